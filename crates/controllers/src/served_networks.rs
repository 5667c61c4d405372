//! The controller of networks that nadmit serves although Whereabouts's plugin gives the addresses.
//!
//! Every replica keeps the addresses that the plugin has given by itself in its index. The leader keeps
//! Whereabouts's records as nadmit's say ([`ServedPlan`]): it takes over the entry of a pod after its ADD,
//! holds the address when the pod is deleted, writes again what others removed, and gives back what is
//! not served any more.

use std::{collections::BTreeSet, fmt, slice, sync::Arc};

use arc_swap::{ArcSwap, ArcSwapOption};
use futures_util::{StreamExt as _, stream};
use tokio::{
    sync::watch,
    time::{Duration, Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use nadmit_allocation::{SharedIndex, Stored, Write};
use nadmit_catalog::{Catalog, LiveCatalog, LiveRead, WhereaboutsMode};
use nadmit_ledger::{
    Ledger, RecordGuard, Store as _, WhereaboutsError, WhereaboutsLedger, WhereaboutsWrite,
    apply_outcome,
};
use nadmit_reconcile::{MonotonicTime, ServedPacing, ServedPlan, ServedWrite};
use nadmit_rules::Policy;
use nadmit_whereabouts::Taken;

/// The interval between two checks for changes.
const TICK: Duration = Duration::from_millis(100);
/// The interval between two checks while nothing of Whereabouts is there.
const IDLE_TICK: Duration = Duration::from_secs(1);
/// The interval after which a pass that failed is repeated although nothing changed.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);
/// The minimum ratio of a pause to the duration of the comparison before it.
const REST_FACTOR: u32 = 20;
/// The time for the writes of one pass.
const PASS_TIMEOUT: Duration = Duration::from_secs(10);
/// The number of concurrent live reads.
const READS: usize = 16;
/// The number of addresses that are written concurrently. Entries of one pool go in one patch.
const CONCURRENCY: usize = 64;

/// The dependencies of [`ServedNetworks`].
pub struct ServedNetworksParts {
    /// The state of the cluster.
    pub catalog: Arc<ArcSwapOption<Catalog>>,
    /// The settings.
    pub policy: Arc<ArcSwap<Policy>>,
    pub index: Arc<SharedIndex>,
    /// The ledger behind the index.
    pub ledger: Arc<Ledger>,
    /// The writer of Whereabouts's records.
    pub whereabouts: WhereaboutsLedger,
    /// Live reads of the cluster.
    pub live: Arc<dyn LiveCatalog>,
    /// Leadership of this replica.
    pub is_leader: watch::Receiver<bool>,
}

/// The controller of served networks.
pub struct ServedNetworks {
    parts: ServedNetworksParts,
    /// The catalog of the last pass, by pointer.
    last_catalog: Option<Arc<Catalog>>,
    /// The generation of the index at the last pass of the leader.
    generation: Option<u64>,
    /// The origin of monotonic times.
    origin: Instant,
    pacing: ServedPacing,
    /// The time of the next pass even if nothing changes.
    retry: Option<Instant>,
    /// The time before which nothing is compared again.
    rest: Instant,
    /// True unless the last pass found nothing to do, and no network is served.
    is_active: bool,
    /// The conflicts of the last pass, which are logged once.
    taken: Vec<Taken>,
}

impl fmt::Debug for ServedNetworks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServedNetworks")
    }
}

impl ServedNetworks {
    /// Creates the controller.
    pub fn new(parts: ServedNetworksParts) -> Self {
        Self {
            parts,
            last_catalog: None,
            generation: None,
            origin: Instant::now(),
            pacing: ServedPacing::default(),
            retry: None,
            rest: Instant::now(),
            is_active: true,
            taken: Vec::new(),
        }
    }

    /// Follows the cluster until `cancel`.
    pub async fn run(mut self, cancel: CancellationToken) {
        loop {
            let step = async {
                sleep(self.tick()).await;
                self.pass_if_due().await;
            };
            tokio::select! {
                biased;
                () = cancel.cancelled() => return,
                () = step => {}
            }
        }
    }

    fn tick(&self) -> Duration {
        let is_absent = |catalog: &Arc<Catalog>| {
            let records = catalog.whereabouts();
            let has_records =
                records.pools().next().is_some() || records.reservations().next().is_some();
            !serves(catalog) && !has_records
        };
        match self.last_catalog.as_ref().is_some_and(is_absent) {
            true => IDLE_TICK,
            false => TICK,
        }
    }

    async fn pass_if_due(&mut self) {
        let Some(catalog) = self.parts.catalog.load_full() else {
            return;
        };
        let begun = Instant::now();
        if begun < self.rest {
            return;
        }
        let last = self.last_catalog.as_ref();
        let is_new = !last.is_some_and(|last| Arc::ptr_eq(last, &catalog));
        if is_new {
            let index = &self.parts.index;
            let foreign = catalog.foreign_uses(|| index.lock().snapshot());
            index.lock().set_foreign(foreign);
            self.last_catalog = Some(Arc::clone(&catalog));
        }
        let serves = serves(&catalog);
        self.is_active |= serves;
        let is_leader = *self.parts.is_leader.borrow();
        if !is_leader || !self.is_active {
            self.generation = None;
            self.rest = begun + begun.elapsed() * REST_FACTOR;
            return;
        }
        let generation = self.parts.index.lock().generation();
        let is_retry = self.retry.is_some_and(|retry| retry <= begun);
        if is_new || self.generation != Some(generation) || is_retry {
            self.generation = Some(generation);
            let plan = self.plan(&catalog);
            self.rest = begun + begun.elapsed() * REST_FACTOR;
            self.is_active = serves || plan != ServedPlan::default();
            let (mut plan, unread) = self.verified(plan).await;
            let now = MonotonicTime::after_origin(self.origin.elapsed());
            let paced = self.pacing.due(std::mem::take(&mut plan.writes), now);
            plan.writes = paced.due;
            let failed = self.apply(plan).await;
            let is_incomplete = failed || unread > 0;
            let repeat = is_incomplete.then(|| Instant::now() + RETRY_INTERVAL);
            let next = paced.next.map(|next| self.origin + next.since_origin());
            self.retry = [repeat, next].into_iter().flatten().min();
        }
    }

    fn plan(&self, catalog: &Catalog) -> ServedPlan {
        let policy = self.parts.policy.load();
        let candidates = policy.whereabouts_namespaces.iter();
        let candidates: Vec<&str> = candidates.map(|name| &**name).collect();
        let records = self.parts.index.lock().snapshot();
        ServedPlan::of(catalog, &records, &candidates)
    }

    /// Reads live the pods whose absence the writes rest on, and plans again. Returns the plan without the
    /// writes whose pods were not read, and the number of these.
    async fn verified(&self, plan: ServedPlan) -> (ServedPlan, usize) {
        let reads: Vec<LiveRead> = plan.reads().into_iter().collect();
        if reads.is_empty() {
            return (plan, 0);
        }
        let done: BTreeSet<LiveRead> = stream::iter(reads)
            .map(|read| async move {
                let refreshed = self.parts.live.refresh(slice::from_ref(&read)).await;
                if let Err(error) = &refreshed {
                    tracing::warn!(component = "whereabouts", %read, %error, "live lookup failed");
                }
                refreshed.is_ok().then_some(read)
            })
            .buffer_unordered(READS)
            .filter_map(std::future::ready)
            .collect()
            .await;
        let Some(newest) = self.parts.catalog.load_full() else {
            return (ServedPlan::default(), done.len());
        };
        let mut plan = self.plan(&newest);
        let unread = plan.retain_read(|read| done.contains(read));
        (plan, unread)
    }

    /// Makes Whereabouts's records what they have to be. Returns true if something failed.
    async fn apply(&mut self, plan: ServedPlan) -> bool {
        let known = std::mem::replace(&mut self.taken, plan.taken);
        for taken in self.taken.iter().filter(|taken| !known.contains(taken)) {
            let pod = taken.pod.as_ref().map(ToString::to_string);
            tracing::warn!(
                component = "whereabouts",
                address = %taken.address,
                pod,
                space = taken.space.as_deref(),
                "Whereabouts's records give an address of nadmit's to another pod or network"
            );
        }
        let deadline = Instant::now() + PASS_TIMEOUT;
        let this = &*self;
        let writes = stream::iter(plan.writes).map(|write| this.write(write, deadline));
        let failures = writes.buffer_unordered(CONCURRENCY);
        let failures = failures.filter(|failed| std::future::ready(*failed));
        let failed = failures.count().await > 0;
        self.forget(plan.forget).await;
        failed
    }

    /// Makes one write. Returns true if it failed and has to be repeated.
    async fn write(&self, write: ServedWrite, deadline: Instant) -> bool {
        let address = write.entry.at.address;
        let write = WhereaboutsWrite {
            entry: write.entry,
            guards: write
                .rests_on
                .into_iter()
                .map(|rests_on| RecordGuard {
                    record: rests_on.record,
                    version: rests_on.version,
                })
                .collect(),
        };
        match self.parts.whereabouts.write(vec![write], deadline).await {
            Ok(()) => false,
            // The change arrives, and leads to another pass.
            Err(WhereaboutsError::Outdated(_) | WhereaboutsError::Taken(_)) => true,
            Err(error) => {
                tracing::warn!(component = "whereabouts", %address, %error, "cannot write Whereabouts's records");
                true
            }
        }
    }

    /// Deletes records of addresses that are not served any more.
    async fn forget(&self, records: Vec<Arc<Stored>>) {
        for stored in records {
            let writes = [Write::Delete(stored.allocation.clone(), stored.version)];
            let outcome = self.parts.ledger.write(writes.to_vec()).await;
            if let Err(error) = &outcome {
                tracing::warn!(component = "whereabouts", record = stored.allocation.record_name(), %error, "cannot delete the record of an address that is not served");
            }
            apply_outcome(&mut self.parts.index.lock(), &writes, &outcome);
        }
    }
}

fn serves(catalog: &Catalog) -> bool {
    catalog.pool_derivation().whereabouts == WhereaboutsMode::Serve
}
