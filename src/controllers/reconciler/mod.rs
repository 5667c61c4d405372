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
use self::{absence_tracker::Memory, observed_addresses::Carried, warnings::Note};
use super::{LiveReader, EventSink, PodWriter, metrics::ReconcileMetrics};
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
const PAUSE: Duration = Duration::from_secs(1);
const SHORT_PAUSE: Duration = Duration::from_millis(200);
/// A pause is so many times as long as the pass before, at least.
const REST: u32 = 20;
/// The longest pause, though nothing changed.
const LONG_PAUSE: Duration = Duration::from_secs(60);

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
    pub pods: Arc<dyn PodWriter>,
    /// Tells people.
    pub notices: Arc<dyn EventSink>,
    /// Whether this replica leads.
    pub leads: watch::Receiver<bool>,
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
    pods: Arc<dyn PodWriter>,
    notices: Arc<dyn EventSink>,
    leads: watch::Receiver<bool>,
    metrics: ReconcileMetrics,
    /// One pass at a time.
    state: Mutex<State>,
}

/// What is remembered from one pass to the next.
#[derive(Default)]
struct State {
    memory: Memory,
    carried: Carried,
    waiting: backfill::Waiting,
    /// What was told of pods that are given nothing, by UID.
    refused: HashMap<Box<str>, String>,
    duplicates: BTreeSet<Note>,
    drifted: BTreeSet<Note>,
    /// What the last pass was about, and when it ended.
    judged: Option<Arc<Catalog>>,
    changes: u64,
    led: bool,
    ended: Option<Instant>,
    took: Duration,
    /// When there is something to do though nothing changes.
    due: Option<Instant>,
    /// How many passes in a row left something undone.
    undone: u32,
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
            pods: parts.pods,
            notices: parts.notices,
            leads: parts.leads,
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
        let compared = self.0.compare(&mut state, &catalog);
        // Nothing was done about what is new.
        state.changes = changes;
        compared.actions.into_iter().map(PlannedAction::from).collect()
    }
}

impl Inner {
    async fn pass_if_due(&self) {
        let mut state = self.state.lock().await;
        if self.is_due(&state) {
            self.pass(&mut state, false).await;
        }
    }

    fn is_due(&self, state: &State) -> bool {
        let Some(catalog) = self.catalog.load_full() else {
            return false;
        };
        let Some(ended) = state.ended else {
            return true;
        };
        let pause = ended.elapsed();
        let rest = state.took * REST;
        if pause >= SHORT_PAUSE.max(rest) && !self.unready(&catalog).is_empty() {
            return true;
        }
        if pause < PAUSE.max(rest) {
            return false;
        }
        let same = |judged: &Arc<Catalog>| Arc::ptr_eq(judged, &catalog);
        !state.judged.as_ref().is_some_and(same)
            || state.changes != self.index.lock().changes()
            || state.led != *self.leads.borrow()
            || state.due.is_some_and(|due| due <= Instant::now())
            || pause >= LONG_PAUSE
    }

    async fn pass(&self, state: &mut State, full: bool) -> ReconcileReport {
        let begun = Instant::now();
        let mut report = ReconcileReport {
            led: *self.leads.borrow(),
            full,
            ..ReconcileReport::default()
        };
        state.led = report.led;
        if full {
            self.refresh(&mut report).await;
        }
        if let Some(mut catalog) = self.catalog.load_full() {
            state.judged = Some(Arc::clone(&catalog));
            self.work(state, &mut catalog, &mut report).await;
        }
        report.took = begun.elapsed();
        state.ended = Some(Instant::now());
        for error in &report.errors {
            tracing::warn!("{error}");
        }
        report
    }

    async fn work(&self, state: &mut State, catalog: &mut Arc<Catalog>, report: &mut ReconcileReport) {
        let begun = Instant::now();
        let mut compared = self.compare(state, catalog);
        state.took = begun.elapsed();
        compared = self.make_ready(state, catalog, compared, report).await;
        self.metrics.set_duplicates(compared.duplicates());
        if report.led {
            compared = self.apply(state, catalog, compared, report).await;
            self.tell_people(state, &compared, report);
        }
        state.due = compared.due;
        self.try_again(state, report);
        self.inject_late(state, catalog, report).await;
        if report.led {
            self.release_slices(catalog, report).await;
        }
        report.records = compared.records.len();
        report.pods = catalog.pod_count();
        let unready = self.unready(catalog).into_iter();
        report.unready = unready.map(|pool| pool.name.to_string()).collect();
    }

    /// What was left undone is tried again, and more and more seldom if it stays so.
    fn try_again(&self, state: &mut State, report: &ReconcileReport) {
        if report.left.is_empty() {
            state.undone = 0;
            return;
        }
        let pause = LONG_PAUSE.min(PAUSE * 2_u32.saturating_pow(state.undone));
        state.undone = state.undone.saturating_add(1);
        let again = Instant::now() + pause;
        state.due = Some(state.due.map_or(again, |due| due.min(again)));
    }
}
