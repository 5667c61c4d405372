//! The status of pools and reservations, written by the leader.
//!
//! The desired status follows from the catalog and the index; the actual one is known from a list. An
//! object is written when they differ, at most every few seconds: a pool may allocate a hundred
//! addresses in that time.
//!
//! The status is applied server-side by the field manager `nadmit`, so conditions of others stay.

mod condition;
mod objects;
mod pool;
mod pressure;
mod reservation;
mod settings;

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwapOption;
use kube::Client;
use serde_json::Value;
use tokio::{
    sync::watch::Receiver,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use self::{
    objects::{StatusKey, StatusObject, StatusObjects, WriteOutcome},
    pressure::PressureTracker,
};
use super::event_sink::{EventSink, EventType};
use nadmit_allocation::{ParsedSpec, PoolConfig, SharedIndex};
use nadmit_api::{AddressPool, AddressReservation};
use nadmit_catalog::{Catalog, PoolValidity};
use nadmit_host::clock::Clock;

/// The interval between two checks for statuses to write.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// The interval at which the objects are listed although nothing is known to have changed.
const RELIST_INTERVAL: Duration = Duration::from_secs(60);
/// The maximum number of writes in a pass. A thousand reservations take some time, and other objects
/// should not wait for all of them.
const MAX_WRITES_PER_PASS: usize = 50;

/// Writes the status of pools and reservations.
///
/// It needs `list` on `addresspools` and `addressreservations`, and `patch` on `addresspools/status`
/// and `addressreservations/status`.
pub struct StatusWriter {
    catalog: Arc<ArcSwapOption<Catalog>>,
    index: Arc<SharedIndex>,
    is_leader: Receiver<bool>,
    events: Arc<dyn EventSink>,
    clock: Clock,
    pools: StatusObjects,
    reservations: StatusObjects,
    pressure: PressureTracker,
    listed: Option<ListSnapshot>,
}

/// The state of the catalog at the last list, to detect changes.
struct ListSnapshot {
    at: Instant,
    pool_config: Arc<PoolConfig>,
    names: BTreeSet<Box<str>>,
}

impl StatusWriter {
    /// Creates a writer for the pools and reservations of `catalog`, with their usage in `index`. It
    /// writes while `is_leader`. Sends no request.
    pub fn new(
        client: Client,
        catalog: Arc<ArcSwapOption<Catalog>>,
        index: Arc<SharedIndex>,
        is_leader: Receiver<bool>,
        events: Arc<dyn EventSink>,
        clock: Clock,
    ) -> Self {
        Self {
            catalog,
            index,
            is_leader,
            events,
            clock,
            pools: StatusObjects::of::<AddressPool>(client.clone()),
            reservations: StatusObjects::of::<AddressReservation>(client),
            pressure: PressureTracker::default(),
            listed: None,
        }
    }

    /// Writes until `cancel`.
    pub async fn run(mut self, cancel: CancellationToken) {
        tokio::select! {
            biased;
            () = cancel.cancelled() => {}
            () = self.follow() => {}
        }
    }

    async fn follow(&mut self) {
        loop {
            if self
                .is_leader
                .wait_for(|is_leader| *is_leader)
                .await
                .is_err()
            {
                return;
            }
            // Another leader may have written statuses and emitted events meanwhile.
            self.listed = None;
            self.pressure = PressureTracker::default();
            while *self.is_leader.borrow() {
                self.pass().await;
                sleep(CHECK_INTERVAL).await;
            }
        }
    }

    /// Writes every status that differs, up to the limit of a pass.
    async fn pass(&mut self) {
        let Some(catalog) = self.catalog.load_full() else {
            return;
        };
        if !self.list(&catalog).await {
            return;
        }
        self.warn_about_pressure(&catalog);
        let due = self.due(&catalog);
        for (is_pool, key, status) in due {
            let objects = if is_pool {
                &mut self.pools
            } else {
                &mut self.reservations
            };
            match objects.write(&key, status).await {
                WriteOutcome::Done => {}
                WriteOutcome::Stale => self.listed = None,
                WriteOutcome::Unavailable => return,
            }
            if !*self.is_leader.borrow() {
                return;
            }
        }
    }

    /// Lists the objects if something may have changed. Returns true if they are known.
    async fn list(&mut self, catalog: &Catalog) -> bool {
        let settings = catalog.settings().map(|settings| &*settings.name);
        let names = catalog.pool_names().into_iter().chain(settings);
        let names: BTreeSet<Box<str>> = names.map(Box::from).collect();
        let same = |listed: &ListSnapshot| {
            listed.at.elapsed() < RELIST_INTERVAL
                && Arc::ptr_eq(&listed.pool_config, catalog.pool_config())
                && listed.names == names
        };
        if self.listed.as_ref().is_some_and(same) {
            return true;
        }
        let listed = ListSnapshot {
            at: Instant::now(),
            pool_config: Arc::clone(catalog.pool_config()),
            names,
        };
        let known = self.pools.list().await && self.reservations.list().await;
        self.listed = known.then_some(listed);
        known
    }

    /// Returns the statuses to write now, pools first. The flag is true for a pool.
    fn due(&self, catalog: &Catalog) -> Vec<(bool, StatusKey, Value)> {
        let pools = self.pools.iter().filter_map(|(key, known)| {
            let status = self.pool_status(key, known, catalog)?;
            Some((true, key.clone(), status))
        });
        let pool_config = catalog.pool_config();
        let valid = pool_config
            .reservations
            .iter()
            .enumerate()
            .map(|(at, (one, _))| {
                let key: StatusKey = (Box::from(&*one.namespace), Box::from(&*one.name));
                (key, at)
            });
        let valid: HashMap<StatusKey, usize> = valid.collect();
        let reservations = self.reservations.iter().filter_map(|(key, known)| {
            let status = self.reservation_status(key, known, pool_config, &valid)?;
            Some((false, key.clone(), status))
        });
        pools
            .chain(reservations)
            .take(MAX_WRITES_PER_PASS)
            .collect()
    }

    /// Returns the status of a pool, if it has to be written.
    fn pool_status(
        &self,
        (_, name): &StatusKey,
        known: &StatusObject,
        catalog: &Catalog,
    ) -> Option<Value> {
        if !known.may_be_written() {
            return None;
        }
        let now = self.clock.now();
        let (generation, before) = (known.generation, known.conditions());
        let pressure = self.pressure.pressure(name);
        let sources = (catalog, &*self.index);
        let status = pool::status(
            name,
            &known.spec,
            sources,
            pressure,
            generation,
            &before,
            now,
        )?;
        let own = [pool::READY, pressure::PRESSURE];
        known.changed_status(serde_json::to_value(status).ok()?, &own)
    }

    /// Returns the status of a reservation, if it has to be written.
    fn reservation_status(
        &self,
        key: &StatusKey,
        known: &StatusObject,
        pool_config: &PoolConfig,
        valid: &HashMap<StatusKey, usize>,
    ) -> Option<Value> {
        if !known.may_be_written() {
            return None;
        }
        let verdict = match valid
            .get(key)
            .and_then(|at| pool_config.reservations.get(*at))
        {
            Some((one, pool)) => match pool.as_deref().and_then(|name| pool_config.pool(name)) {
                Some(pool) => reservation::reserved(one, pool, &self.index.lock()),
                None => reservation::without_pool(one, pool_config.pool_of(&one.network)),
            },
            None => {
                let (namespace, name) = key;
                let words = ParsedSpec::of_reservation(&known.spec);
                // A valid one appears in the catalog soon.
                reservation::faulty(&words.reservation(namespace, name).err()?)
            }
        };
        let before = known.conditions();
        let status = reservation::status(verdict, known.generation, &before, self.clock.now());
        known.changed_status(serde_json::to_value(status).ok()?, &[reservation::RESERVED])
    }

    /// Emits an event for each pool that has become nearly full or exhausted.
    fn warn_about_pressure(&mut self, catalog: &Catalog) {
        for ((_, name), known) in self.pools.iter() {
            let PoolValidity::Valid(pool) = catalog.pool(name) else {
                continue;
            };
            let conditions = || known.conditions();
            let warning = self.pressure.observe(pool, &self.index.lock(), conditions);
            if let Some((reason, message)) = warning {
                let about = known.pool(name);
                self.events.emit(about, EventType::Warning, reason, message);
            }
        }
        self.pressure
            .retain_pools(|name| catalog.pool(name).valid().is_some());
    }
}
