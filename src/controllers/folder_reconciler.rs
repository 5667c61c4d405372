//! The reconciler of a server without a cluster.

use std::{collections::HashSet, sync::Arc, time::Duration};

use arc_swap::{ArcSwap, ArcSwapOption};
use prometheus_client::collector::Collector;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{
    apply::{apply, log_and_count},
    folder_pods::FolderPods,
    metrics::ReconcileMetrics,
};
use crate::{
    allocation::{
        SharedIndex, Timestamp,
        reconcile::{Action, ActionReason, reconcile},
    },
    catalog::Catalog,
    clock::Clock,
    ledger::Ledger,
    rules::Policy,
};

/// How often the catalog is looked at for changes.
const INTERVAL: Duration = Duration::from_millis(100);
/// While a quarantine runs, how many seconds pass between two looks at it.
const QUARANTINE_CHECK_INTERVAL: i64 = 1;
/// For how many seconds a pod that is gone is remembered: longer than any sensible quarantine.
const GONE_POD_TTL: i64 = 24 * 3600;

/// Adopts, reserves and frees, as the folder's objects come and go.
///
/// # Guarantees
/// - A pool is let go only after everything in use in its ranges is recorded.
/// - An address is freed only if the folder showed its pod and shows it no more, its quarantine has
///   passed, and its record is as it was judged.
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
    /// A housekeeper of these.
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

    /// Keeps house until `cancel`.
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

    /// What it has done for which reason, as it is at each scrape.
    pub fn collector(&self) -> Box<dyn Collector> {
        Box::new(self.metrics.clone())
    }

    /// Looks once, and acts if something is new.
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
        self.pods.look(&catalog, now);
        self.pods.forget_before(now.plus(-GONE_POD_TTL));
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

    /// One comparison of everything. Whether all of it was carried out.
    async fn pass(&mut self, catalog: &Catalog, now: Timestamp) -> bool {
        let multus_namespace = self.policy.load().multus_namespace.clone();
        let in_use = catalog.addresses_in_use(&multus_namespace);
        let actions = {
            let mut index = self.index.lock();
            index.sync(catalog.pool_config());
            reconcile(
                index.recorded(),
                catalog.pool_config(),
                &in_use,
                &self.pods,
                now,
            )
        };
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
                tracing::warn!("{line}; change the addresses of all but one of them");
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
