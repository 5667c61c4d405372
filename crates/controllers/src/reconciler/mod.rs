//! The reconciler of a cluster.
//!
//! Every replica plans on what it knows (records, pods, networks, workloads, nodes) and marks a pool as
//! ready when nothing in its ranges is missing from the records ([`readiness`]). Only the leader writes:
//! it records what is in use, frees what is gone, injects what the webhook missed, deletes the slices of
//! nodes that are gone, and emits warnings about what only operators can fix.
//!
//! Everything that judges is in `nadmit-reconcile`. A pass plans ([`Planner`]), reads live and plans again
//! ([`verify`]), and writes ([`apply`]).
//!
//! # Guarantees
//! - A record is freed only after everything that the decision depends on (the pod, its node, its
//!   workload) was read live and the decision repeated, and only in the version it was made on.
//! - A pool allocates nothing until everything in use in its ranges is recorded.
//! - Two leaders at once do no harm: every write names the version it depends on.
//! - Writes are in a deterministic order; all time comes from tokio and the clock.

mod apply;
mod backfill;
mod error;
mod readiness;
mod report;
mod slice_gc;
mod verify;
mod warnings;

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::Arc,
};

use arc_swap::{ArcSwap, ArcSwapOption};
use prometheus_client::registry::Registry;
use tokio::{
    sync::{Mutex, watch},
    time::{Duration, Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use self::warnings::EmittedWarning;
pub use self::{
    error::{BackfillError, ReconcileError},
    report::ReconcileReport,
};
use super::{EventSink, PodWriter, metrics::ReconcileMetrics};
use nadmit_allocation::SharedIndex;
use nadmit_catalog::{Catalog, LiveCatalog};
use nadmit_host::clock::Clock;
use nadmit_ledger::{Ledger, SliceLedger};
use nadmit_reconcile::{MonotonicTime, Observation, Plan, PlannedAction, Planner};
use nadmit_rules::Policy;

/// The interval between two checks for changes.
const TICK: Duration = Duration::from_millis(100);
/// The minimum pause between two passes; [`UNREADY_PAUSE`] is that while a pool is not ready.
const MIN_PAUSE: Duration = Duration::from_secs(1);
const UNREADY_PAUSE: Duration = Duration::from_millis(200);
/// The minimum ratio of a pause to the duration of the comparison before it.
const REST_FACTOR: u32 = 20;
/// The maximum pause, even if nothing changed.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// The dependencies of a [`Reconciler`].
pub struct ReconcilerParts {
    /// The state of the cluster.
    pub catalog: Arc<ArcSwapOption<Catalog>>,
    /// The rule levels and settings.
    pub policy: Arc<ArcSwap<Policy>>,
    /// The index; a [`LedgerSync`](super::LedgerSync) keeps it up to date.
    pub index: Arc<SharedIndex>,
    /// The ledger behind the index.
    pub ledger: Arc<Ledger>,
    /// The store of slices, if they are recorded.
    pub slices: Option<SliceLedger>,
    /// The wall clock.
    pub clock: Clock,
    /// Live reads of the cluster.
    pub live: Arc<dyn LiveCatalog>,
    /// The writer of annotations, for backfill.
    pub pod_writer: Arc<dyn PodWriter>,
    /// The receiver of warnings.
    pub events: Arc<dyn EventSink>,
    /// Leadership of this replica.
    pub is_leader: watch::Receiver<bool>,
}

/// The reconciler of a cluster. Clones share their state.
#[derive(Clone)]
pub struct Reconciler(Arc<Inner>);

struct Inner {
    catalog: Arc<ArcSwapOption<Catalog>>,
    policy: Arc<ArcSwap<Policy>>,
    index: Arc<SharedIndex>,
    ledger: Arc<Ledger>,
    slices: Option<SliceLedger>,
    clock: Clock,
    live: Arc<dyn LiveCatalog>,
    pod_writer: Arc<dyn PodWriter>,
    events: Arc<dyn EventSink>,
    is_leader: watch::Receiver<bool>,
    metrics: ReconcileMetrics,
    /// The lock allows one pass at a time.
    state: Mutex<ReconcilerState>,
}

/// The state kept from one pass to the next.
#[derive(Default)]
struct ReconcilerState {
    planner: Planner,
    /// The origin of the planner's monotonic times: the first plan.
    origin: Option<Instant>,
    backfills: backfill::BackfillQueue,
    /// The last warning for each rejected pod, by UID.
    rejected: HashMap<Box<str>, String>,
    duplicates: BTreeSet<EmittedWarning>,
    drifted: BTreeSet<EmittedWarning>,
    /// The catalog of the last pass. The fields below are of the same pass.
    last_catalog: Option<Arc<Catalog>>,
    changes: u64,
    was_leader: bool,
    last_ended: Option<Instant>,
    compare_duration: Duration,
    /// The time of the next pass even if nothing changes.
    due: Option<Instant>,
    /// The number of consecutive passes that deferred something.
    failed_passes: u32,
}

impl ReconcilerState {
    /// Returns the time of a reading of the planner's monotonic clock.
    fn instant_of(&self, reading: Option<MonotonicTime>) -> Option<Instant> {
        Some(self.origin? + reading?.since_origin())
    }
}

impl fmt::Debug for Reconciler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reconciler")
    }
}

impl Reconciler {
    /// Creates a reconciler.
    pub fn new(parts: ReconcilerParts) -> Self {
        Self(Arc::new(Inner {
            catalog: parts.catalog,
            policy: parts.policy,
            index: parts.index,
            ledger: parts.ledger,
            slices: parts.slices,
            clock: parts.clock,
            live: parts.live,
            pod_writer: parts.pod_writer,
            events: parts.events,
            is_leader: parts.is_leader,
            metrics: ReconcileMetrics::default(),
            state: Mutex::default(),
        }))
    }

    /// Registers metrics of the passes.
    pub fn register(&self, registry: &mut Registry) {
        self.0.metrics.register(registry);
    }

    /// Reconciles as the cluster changes, until `cancel`. A pass may be cut off at any point, because
    /// each write names the version it depends on.
    pub async fn run(self, cancel: CancellationToken) {
        loop {
            let step = async {
                sleep(TICK).await;
                self.0.pass_if_due().await;
            };
            tokio::select! {
                biased;
                () = cancel.cancelled() => return,
                () = step => {}
            }
        }
    }

    /// Runs one pass, and acts if this replica leads. If `full`, everything the comparison depends on
    /// is read live first. Waits for a pass that is already running.
    pub async fn pass(&self, full: bool) -> ReconcileReport {
        let mut state = self.0.state.lock().await;
        self.0.pass(&mut state, full).await
    }

    /// Returns the actions that a pass would take. Actions that require an absence of some time are
    /// missing if the absence was not observed before.
    pub async fn plan(&self) -> Vec<PlannedAction> {
        let mut state = self.0.state.lock().await;
        let Some(catalog) = self.0.catalog.load_full() else {
            return Vec::new();
        };
        let changes = state.changes;
        let plan = self.0.plan(&mut state, &catalog);
        // The changes were only looked at; the next pass still has to handle them.
        state.changes = changes;
        plan.actions
    }
}

impl Inner {
    async fn pass_if_due(&self) {
        let mut state = self.state.lock().await;
        if self.is_due(&state) {
            self.pass(&mut state, false).await;
        }
    }

    fn is_due(&self, state: &ReconcilerState) -> bool {
        let Some(catalog) = self.catalog.load_full() else {
            return false;
        };
        let Some(last_ended) = state.last_ended else {
            return true;
        };
        let pause = last_ended.elapsed();
        let rest = state.compare_duration * REST_FACTOR;
        if pause >= UNREADY_PAUSE.max(rest) && !self.unready(&catalog).is_empty() {
            return true;
        }
        if pause < MIN_PAUSE.max(rest) {
            return false;
        }
        let same = |last_catalog: &Arc<Catalog>| Arc::ptr_eq(last_catalog, &catalog);
        !state.last_catalog.as_ref().is_some_and(same)
            || state.changes != self.index.lock().generation()
            || state.was_leader != *self.is_leader.borrow()
            || state.due.is_some_and(|due| due <= Instant::now())
            || pause >= MAX_PAUSE
    }

    async fn pass(&self, state: &mut ReconcilerState, full: bool) -> ReconcileReport {
        let begun = Instant::now();
        let mut report = ReconcileReport {
            is_leader: *self.is_leader.borrow(),
            full,
            ..ReconcileReport::default()
        };
        state.was_leader = report.is_leader;
        if full {
            self.refresh(&mut report).await;
        }
        if let Some(mut catalog) = self.catalog.load_full() {
            state.last_catalog = Some(Arc::clone(&catalog));
            self.work(state, &mut catalog, &mut report).await;
        }
        report.duration = begun.elapsed();
        state.last_ended = Some(Instant::now());
        for error in &report.errors {
            tracing::warn!(error = error.to_string(), "reconcile pass incomplete");
        }
        report
    }

    async fn work(
        &self,
        state: &mut ReconcilerState,
        catalog: &mut Arc<Catalog>,
        report: &mut ReconcileReport,
    ) {
        let begun = Instant::now();
        let mut plan = self.plan(state, catalog);
        state.compare_duration = begun.elapsed();
        self.metrics.compared(state.compare_duration);
        plan = self.make_ready(state, catalog, plan, report).await;
        self.metrics.set_duplicates(plan.duplicates());
        if report.is_leader {
            plan = self.apply(state, catalog, plan, report).await;
            self.emit_warnings(state, &plan, report);
        }
        state.due = state.instant_of(plan.due);
        self.schedule_retry(state, report);
        self.backfill(state, catalog, report).await;
        if report.is_leader {
            self.collect_idle_slices(catalog, report).await;
        }
        report.records = plan.records.len();
        report.pods = catalog.pod_count();
        let unready = self.unready(catalog).into_iter();
        report.unready = unready.map(|pool| pool.name.to_string()).collect();
    }

    /// Plans on a catalog and the records of the index.
    fn plan(&self, state: &mut ReconcilerState, catalog: &Arc<Catalog>) -> Plan {
        let multus_namespace = self.policy.load().multus_namespace.clone();
        let records = {
            let index = self.index.synced(catalog.pool_config());
            state.changes = index.generation();
            index.snapshot()
        };
        let now = Instant::now();
        let origin = *state.origin.get_or_insert(now);
        let mut plan = state.planner.plan(Observation {
            catalog,
            records,
            multus_namespace: &multus_namespace,
            now: self.clock.seconds(),
            instant: MonotonicTime::after_origin(now.saturating_duration_since(origin)),
        });
        plan.drop_pending(&self.index.lock());
        plan
    }

    /// Schedules a retry of deferred actions, with exponential backoff.
    fn schedule_retry(&self, state: &mut ReconcilerState, report: &ReconcileReport) {
        if report.deferred.is_empty() {
            state.failed_passes = 0;
            return;
        }
        let pause = MAX_PAUSE.min(MIN_PAUSE * 2_u32.saturating_pow(state.failed_passes));
        state.failed_passes = state.failed_passes.saturating_add(1);
        let again = Instant::now() + pause;
        state.due = Some(state.due.map_or(again, |due| due.min(again)));
    }
}
