//! The reconciler of a server without a cluster.

use std::{collections::HashSet, sync::Arc, time::Duration};

use arc_swap::{ArcSwap, ArcSwapOption};
use prometheus_client::registry::Registry;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{
    apply::{apply, log_and_count},
    folder_pods::FolderPods,
    metrics::ReconcileMetrics,
};
use nadmit_allocation::{
    SharedIndex, Timestamp,
    reconcile::{Action, ActionReason, reconcile},
};
use nadmit_catalog::Catalog;
use nadmit_host::clock::Clock;
use nadmit_ledger::Ledger;
use nadmit_rules::Policy;

/// The interval between two checks of the catalog for changes.
const INTERVAL: Duration = Duration::from_millis(100);
/// The interval between two passes while a quarantine runs.
const QUARANTINE_CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// The time for which a removed pod is remembered; longer than any sensible quarantine.
const GONE_POD_TTL: Duration = Duration::from_secs(24 * 3600);

/// Adopts, reserves and frees addresses as the objects of the folder come and go.
///
/// # Guarantees
/// - A pool becomes ready only after everything in use in its ranges is recorded.
/// - An address is freed only if its pod was in the folder and has been removed, the quarantine has
///   passed, and the record is still in the version that the decision was made on.
pub struct FolderReconciler {
    catalog: Arc<ArcSwapOption<Catalog>>,
    policy: Arc<ArcSwap<Policy>>,
    index: Arc<SharedIndex>,
    ledger: Arc<Ledger>,
    clock: Clock,
    reconciled: Option<Arc<Catalog>>,
    last_pass: Timestamp,
    pods: FolderPods,
    reported: HashSet<String>,
    metrics: ReconcileMetrics,
}

impl FolderReconciler {
    /// Creates a reconciler.
    pub fn new(
        catalog: Arc<ArcSwapOption<Catalog>>,
        policy: Arc<ArcSwap<Policy>>,
        index: Arc<SharedIndex>,
        ledger: Arc<Ledger>,
        clock: Clock,
    ) -> Self {
        Self {
            catalog,
            policy,
            index,
            ledger,
            clock,
            reconciled: None,
            last_pass: Timestamp::default(),
            pods: FolderPods::default(),
            reported: HashSet::new(),
            metrics: ReconcileMetrics::default(),
        }
    }

    /// Reconciles until `cancel`.
    pub async fn run(mut self, cancel: CancellationToken) {
        let mut ticks = interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                _ = ticks.tick() => {}
            }
            self.reconcile_once().await;
        }
    }

    /// Registers metrics of the passes.
    pub fn register(&self, registry: &mut Registry) {
        self.metrics.register(registry);
    }

    /// Runs one pass if the catalog has changed or a quarantine may have ended.
    pub async fn reconcile_once(&mut self) {
        let Some(catalog) = self.catalog.load_full() else {
            return;
        };
        let now = self.clock.seconds();
        let same = |reconciled: &Arc<Catalog>| Arc::ptr_eq(reconciled, &catalog);
        let waiting = self.pods.any_gone() && now >= self.last_pass.plus(QUARANTINE_CHECK_INTERVAL);
        if self.reconciled.as_ref().is_some_and(same) && !waiting {
            return;
        }
        self.pods.update(&catalog, now);
        self.pods.forget_before(now.minus(GONE_POD_TTL));
        self.last_pass = now;
        if self.pass(&catalog, now).await {
            let mut index = self.index.lock();
            for pool in catalog.pool_config().pools.keys() {
                index.set_ready(pool);
            }
            drop(index);
            self.reconciled = Some(catalog);
        }
    }

    /// Compares records and catalog once and applies the result. Returns true if every action is
    /// complete.
    async fn pass(&mut self, catalog: &Catalog, now: Timestamp) -> bool {
        let multus_namespace = self.policy.load().multus_namespace.clone();
        let begun = Instant::now();
        let in_use = catalog.addresses_in_use(&multus_namespace);
        let actions = {
            let index = self.index.synced(catalog.pool_config());
            reconcile(
                index.recorded(),
                catalog.pool_config(),
                &in_use,
                &self.pods,
                now,
            )
        };
        self.metrics.compared(begun.elapsed());
        let duplicates = actions.iter().filter(|action| is_duplicate(&action.reason));
        self.metrics.set_duplicates(duplicates.count());
        let outcomes = apply(&self.ledger, &self.index, actions).await;
        let all = outcomes.iter().all(|(_, done)| *done);
        for (action, done) in outcomes {
            if done {
                self.report(&action);
            }
        }
        all
    }

    fn report(&mut self, action: &Action) {
        if let ActionReason::Duplicate { address, users } = &action.reason {
            let users: Vec<String> = users.iter().map(ToString::to_string).collect();
            let line = format!("{address} is used by {}", users.join(" and by "));
            if self.reported.insert(line.clone()) {
                tracing::warn!(
                    duplicate = line,
                    "address used more than once; change the addresses of all users but one"
                );
                self.metrics.add(action.reason.name());
            }
            return;
        }
        log_and_count(action, &self.metrics);
    }
}

fn is_duplicate(reason: &ActionReason) -> bool {
    matches!(reason, ActionReason::Duplicate { .. })
}
