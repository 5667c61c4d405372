//! The controller that removes what Whereabouts's plugin left behind ([`RepairPlan`]), after each full
//! resync. It runs on the leader while networks are served (`whereabouts: serve`).
//!
//! # Guarantees
//! - A record is removed if two looks, [`PAUSE`] apart, find it in the same state.
//! - Its pod is read live before each write, and the write applies only to the version that was read before
//!   the pod.
//! - While a node is not ready, nothing is removed.

use std::{collections::BTreeMap, fmt, net::IpAddr, sync::Arc};

use arc_swap::ArcSwapOption;
use futures_util::{StreamExt as _, stream};
use prometheus_client::{metrics::counter::Counter, registry::Registry};
use tokio::{
    sync::{Notify, watch},
    time::{Duration, Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::event_sink::{EventSink, EventType, ObjectRef};
use nadmit_allocation::SharedIndex;
use nadmit_catalog::{Catalog, WhereaboutsMode};
use nadmit_ledger::{RecordGuard, WhereaboutsError, WhereaboutsLedger, WhereaboutsWrite};
use nadmit_reconcile::{LeakedRecord, RepairHindrance, RepairPlan};

/// The pause between the two looks: longer than a kubelet may be silent before its node is not ready.
const PAUSE: Duration = Duration::from_secs(60);
/// The time for the removal of one record. The entries of one pool wait for each other.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// The number of records that are removed concurrently.
const CONCURRENCY: usize = 32;
/// The maximum number of addresses in an event.
const MAX_NAMED: usize = 5;

/// The dependencies of [`WhereaboutsRepair`].
pub struct WhereaboutsRepairParts {
    /// The state of the cluster.
    pub catalog: Arc<ArcSwapOption<Catalog>>,
    pub index: Arc<SharedIndex>,
    /// The writer of Whereabouts's records.
    pub whereabouts: WhereaboutsLedger,
    pub events: Arc<dyn EventSink>,
    /// Leadership of this replica.
    pub is_leader: watch::Receiver<bool>,
}

/// The controller of records that the plugin left behind. Clones share it.
#[derive(Clone)]
pub struct WhereaboutsRepair(Arc<Shared>);

struct Shared {
    parts: WhereaboutsRepairParts,
    requested: Notify,
    removed: Counter,
}

impl fmt::Debug for WhereaboutsRepair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WhereaboutsRepair")
    }
}

impl WhereaboutsRepair {
    /// Creates the controller.
    pub fn new(parts: WhereaboutsRepairParts) -> Self {
        Self(Arc::new(Shared {
            parts,
            requested: Notify::new(),
            removed: Counter::default(),
        }))
    }

    /// Registers the metric of removed records.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "whereabouts_leaks_removed",
            "Records of Whereabouts that its plugin left behind, and this replica removed",
            self.0.removed.clone(),
        );
    }

    /// Requests a pass. Several requests during a pass lead to one more.
    pub fn request(&self) {
        self.0.requested.notify_one();
    }

    /// Makes a pass after each request, until `cancel`.
    pub async fn run(self, cancel: CancellationToken) {
        let passes = async {
            loop {
                self.0.requested.notified().await;
                self.0.pass().await;
            }
        };
        tokio::select! {
            biased;
            () = cancel.cancelled() => {}
            () = passes => {}
        }
    }
}

impl Shared {
    /// Looks twice, and removes what both looks found.
    async fn pass(&self) {
        let Some(first) = self.look() else { return };
        sleep(PAUSE).await;
        let Some(mut plan) = self.look() else { return };
        plan.retain_seen(&first);
        if plan.leaks.is_empty() {
            return;
        }
        match plan.hindrance {
            Some(hindrance) => self.report_left(&plan.leaks, &hindrance),
            None => self.remove(plan.leaks).await,
        }
    }

    /// Returns the leaks, if there are any and this replica removes them.
    fn look(&self) -> Option<RepairPlan> {
        let catalog = self.parts.catalog.load_full()?;
        let serves = catalog.pool_derivation().whereabouts == WhereaboutsMode::Serve;
        if !serves || !*self.parts.is_leader.borrow() {
            return None;
        }
        let records = self.parts.index.lock().snapshot();
        let plan = RepairPlan::of(&catalog, &records);
        (!plan.leaks.is_empty()).then_some(plan)
    }

    async fn remove(&self, leaks: Vec<LeakedRecord>) {
        let removals = stream::iter(leaks).map(|leak| self.remove_one(leak));
        let removals = removals.buffer_unordered(CONCURRENCY);
        let removed = removals.filter(|removed| std::future::ready(*removed));
        let removed = removed.count().await;
        self.removed.inc_by(removed as u64);
    }

    /// Removes the records of one address. Returns true if they are gone.
    async fn remove_one(&self, leak: LeakedRecord) -> bool {
        let guards = leak.rests_on.iter().map(|one| RecordGuard {
            record: one.record.clone(),
            version: one.version,
        });
        let write = WhereaboutsWrite {
            entry: leak.entry.clone(),
            guards: guards.collect(),
        };
        let (address, object) = (leak.entry.at.address, object(&leak));
        let reason = leak.reason.in_words();
        let deadline = Instant::now() + WRITE_TIMEOUT;
        match self.parts.whereabouts.write(vec![write], deadline).await {
            Ok(()) => {
                tracing::info!(component = "whereabouts", object = %object.name, %address, reason, "removed a record that the plugin left behind");
                true
            }
            // A pod uses the address after all, or a record of nadmit is there by now.
            Err(
                WhereaboutsError::InUse(_)
                | WhereaboutsError::Outdated(_)
                | WhereaboutsError::Taken(_),
            ) => false,
            Err(error) => {
                tracing::warn!(component = "whereabouts", object = %object.name, %address, %error, "cannot remove a record that the plugin left behind");
                false
            }
        }
    }

    fn report_left(&self, leaks: &[LeakedRecord], hindrance: &RepairHindrance) {
        let because = match hindrance {
            RepairHindrance::NodesUnknown => "the nodes may not be listed".to_owned(),
            RepairHindrance::NodeNotReady(node) => format!(
                "node {node} is not ready, and containers of deleted pods may run there; bring it back, or taint \
                 it as out of service if it is shut down"
            ),
        };
        tracing::warn!(
            component = "whereabouts",
            records = leaks.len(),
            because,
            "records that the plugin left behind stay"
        );
        for (object, addresses) in by_object(leaks) {
            let count = addresses.len();
            let message = format!(
                "{count} records that Whereabouts's plugin left behind stay ({}): {because}",
                named(&addresses)
            );
            let events = &self.parts.events;
            events.emit(object, EventType::Warning, "WhereaboutsLeak", message);
        }
    }
}

/// Returns the objects with the addresses of their leaks.
fn by_object(leaks: &[LeakedRecord]) -> BTreeMap<ObjectRef, Vec<IpAddr>> {
    let mut found: BTreeMap<ObjectRef, Vec<IpAddr>> = BTreeMap::new();
    for leak in leaks {
        let addresses = found.entry(object(leak)).or_default();
        addresses.push(leak.entry.at.address);
    }
    found
}

/// Returns the `IPPool` of an entry, or the reservation.
fn object(leak: &LeakedRecord) -> ObjectRef {
    let at = &leak.entry.at;
    let (kind, name) = match (&at.pool, &at.reservation) {
        (Some(pool), _) => ("IPPool", &*pool.name),
        (None, Some(reservation)) => ("OverlappingRangeIPReservation", &**reservation),
        (None, None) => ("IPPool", ""),
    };
    ObjectRef {
        api_version: "whereabouts.cni.cncf.io/v1alpha1",
        kind,
        namespace: at.namespace.to_string(),
        name: name.to_owned(),
        uid: None,
    }
}

/// Returns the first addresses in words.
fn named(addresses: &[IpAddr]) -> String {
    let first = addresses.iter().take(MAX_NAMED).map(ToString::to_string);
    let mut text = first.collect::<Vec<_>>().join(", ");
    if addresses.len() > MAX_NAMED {
        text.push_str(", …");
    }
    text
}
