//! The reconciler of a cluster.
//!
//! Every replica compares what it knows (records, pods, networks, workloads, nodes) and lets pools give
//! when nothing lacks ([`ready`]). The leader alone writes: it records what is in use, frees what is
//! gone, puts in late what was missed, deletes slices of nodes that are gone, and tells people of what
//! only they can mend.
//!
//! # Guarantees
//! - A record is freed only after everything that this rests on (the pod, its node, its workload) was
//!   read live, judged once more, and only in the version that was judged.
//! - A pool gives nothing until everything in use in its ranges is recorded.
//! - Two leaders at once do no harm: every write names what it rests on.
//! - Nothing is written in an order that chance decides; time is tokio's and the clock's.

mod absence_tracker;
mod backfill;
mod cluster_view;
mod compare;
mod live_reads;
mod observed_addresses;
mod pod_index;
mod ready;
mod refresh;
mod release;
mod report;
mod slice_gc;
mod warnings;

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::Arc,
};

use arc_swap::{ArcSwap, ArcSwapOption};
use prometheus_client::collector::Collector;
use tokio::{
    sync::{Mutex, watch},
    time::{Duration, Instant, sleep},
};
use tokio_util::sync::CancellationToken;

pub use self::report::{PlannedAction, ReconcileReport};
use self::{
    absence_tracker::AbsenceTracker, observed_addresses::ObservedAddresses, warnings::PodWarning,
};
use super::{EventSink, LiveReader, PodWriter, metrics::ReconcileMetrics};
use crate::{
    allocation::SharedIndex,
    catalog::Catalog,
    clock::Clock,
    ledger::{Ledger, SliceLedger},
    rules::Policy,
};

/// How often is looked whether something changed.
const TICK: Duration = Duration::from_millis(100);
/// The shortest pause between two passes, and the pause while a pool waits for one.
const MIN_PAUSE: Duration = Duration::from_secs(1);
const UNREADY_PAUSE: Duration = Duration::from_millis(200);
/// A pause is so many times as long as the pass before, at least.
const REST_FACTOR: u32 = 20;
/// The longest pause, though nothing changed.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// What a steward works with.
pub struct ReconcilerParts {
    /// What is known of the cluster.
    pub catalog: Arc<ArcSwapOption<Catalog>>,
    /// The settings.
    pub policy: Arc<ArcSwap<Policy>>,
    /// Who holds what; somebody else keeps it as the ledger is.
    pub index: Arc<SharedIndex>,
    /// Where that is recorded.
    pub ledger: Arc<Ledger>,
    /// Where slices are recorded, if they are.
    pub slices: Option<SliceLedger>,
    /// What the time is.
    pub clock: Clock,
    /// Looks past the caches.
    pub live: Arc<dyn LiveReader>,
    /// Writes annotations late.
    pub pod_writer: Arc<dyn PodWriter>,
    /// Tells people.
    pub events: Arc<dyn EventSink>,
    /// Whether this replica leads.
    pub is_leader: watch::Receiver<bool>,
}

/// The reconciler of a cluster. Clones are the same one.
#[derive(Clone)]
pub struct Reconciler(Arc<Inner>);

struct Inner {
    catalog: Arc<ArcSwapOption<Catalog>>,
    policy: Arc<ArcSwap<Policy>>,
    index: Arc<SharedIndex>,
    ledger: Arc<Ledger>,
    slices: Option<SliceLedger>,
    clock: Clock,
    live: Arc<dyn LiveReader>,
    pod_writer: Arc<dyn PodWriter>,
    events: Arc<dyn EventSink>,
    is_leader: watch::Receiver<bool>,
    metrics: ReconcileMetrics,
    /// One pass at a time.
    state: Mutex<ReconcilerState>,
}

/// What is remembered from one pass to the next.
#[derive(Default)]
struct ReconcilerState {
    absences: AbsenceTracker,
    addresses: ObservedAddresses,
    waiting: backfill::BackfillQueue,
    /// What was told of pods that are given nothing, by UID.
    rejected: HashMap<Box<str>, String>,
    duplicates: BTreeSet<PodWarning>,
    drifted: BTreeSet<PodWarning>,
    /// What the last pass was about, and when it ended.
    last_catalog: Option<Arc<Catalog>>,
    changes: u64,
    was_leader: bool,
    last_ended: Option<Instant>,
    compare_duration: Duration,
    /// When there is something to do though nothing changes.
    due: Option<Instant>,
    /// How many passes in a row left something undone.
    failed_passes: u32,
}

impl fmt::Debug for Reconciler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Steward")
    }
}

impl Reconciler {
    /// A steward of these.
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

    /// What it has done for which reason, as it is at each scrape.
    pub fn collector(&self) -> Box<dyn Collector> {
        Box::new(self.0.metrics.clone())
    }

    /// Compares and acts, as the cluster changes, until `cancel`. A pass that is under way then ends
    /// where it is: all that it writes names what it rests on.
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

    /// Compares everything once, and acts if this replica leads; `full`: after reading afresh what the
    /// comparison rests on. One pass at a time: another one that is under way is waited for.
    pub async fn pass(&self, full: bool) -> ReconcileReport {
        let mut state = self.0.state.lock().await;
        self.0.pass(&mut state, full).await
    }

    /// What a pass would do, without doing it. What needs to have been gone for some time is not there
    /// if it was not seen to be gone before.
    pub async fn plan(&self) -> Vec<PlannedAction> {
        let mut state = self.0.state.lock().await;
        let Some(catalog) = self.0.catalog.load_full() else {
            return Vec::new();
        };
        let changes = state.changes;
        let comparison = self.0.compare(&mut state, &catalog);
        // Nothing was done about what is new.
        state.changes = changes;
        comparison
            .actions
            .into_iter()
            .map(PlannedAction::from)
            .collect()
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
            was_leader: *self.is_leader.borrow(),
            full,
            ..ReconcileReport::default()
        };
        state.was_leader = report.was_leader;
        if full {
            self.refresh(&mut report).await;
        }
        if let Some(mut catalog) = self.catalog.load_full() {
            state.last_catalog = Some(Arc::clone(&catalog));
            self.work(state, &mut catalog, &mut report).await;
        }
        report.compare_duration = begun.elapsed();
        state.last_ended = Some(Instant::now());
        for error in &report.errors {
            tracing::warn!("{error}");
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
        let mut comparison = self.compare(state, catalog);
        state.compare_duration = begun.elapsed();
        comparison = self.make_ready(state, catalog, comparison, report).await;
        self.metrics.set_duplicates(comparison.duplicates());
        if report.was_leader {
            comparison = self.apply(state, catalog, comparison, report).await;
            self.emit_warnings(state, &comparison, report);
        }
        state.due = comparison.due;
        self.schedule_retry(state, report);
        self.backfill(state, catalog, report).await;
        if report.was_leader {
            self.collect_idle_slices(catalog, report).await;
        }
        report.records = comparison.records.len();
        report.pod_writer = catalog.pod_count();
        let unready = self.unready(catalog).into_iter();
        report.unready = unready.map(|pool| pool.name.to_string()).collect();
    }

    /// What was left undone is tried again, and more and more seldom if it stays so.
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
