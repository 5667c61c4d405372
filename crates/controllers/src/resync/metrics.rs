//! Metrics of the resync schedule and its runs.

use jiff::Timestamp;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// The metrics of the schedule. Times are in seconds since 1970; 0 means none. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct ResyncMetrics {
    invalid: Gauge,
    next: Gauge,
    began: Gauge,
    ended: Gauge,
    succeeded: Counter,
    failed: Counter,
    interrupted: Counter,
    runs: Family<OutcomeLabels, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

impl Default for ResyncMetrics {
    /// Returns metrics in which each outcome has its counter from the beginning.
    fn default() -> Self {
        let runs = Family::<OutcomeLabels, Counter>::default();
        let of = |outcome| runs.get_or_create_owned(&OutcomeLabels { outcome });
        Self {
            invalid: Gauge::default(),
            next: Gauge::default(),
            began: Gauge::default(),
            ended: Gauge::default(),
            succeeded: of("succeeded"),
            failed: of("failed"),
            interrupted: of("interrupted"),
            runs,
        }
    }
}

impl ResyncMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "schedule_invalid",
            "1 while the configured schedule is invalid, and the last valid one is used",
            self.invalid.clone(),
        );
        registry.register(
            "full_comparison_next_timestamp_seconds",
            "Time of the next full comparison, on the leader",
            self.next.clone(),
        );
        registry.register(
            "full_comparison_started_timestamp_seconds",
            "Start of the last full comparison of this replica; 0 if there was none",
            self.began.clone(),
        );
        registry.register(
            "full_comparison_ended_timestamp_seconds",
            "End of the last full comparison of this replica; 0 if there was none",
            self.ended.clone(),
        );
        registry.register(
            "full_comparisons",
            "Full comparisons of this replica, by outcome",
            self.runs.clone(),
        );
    }

    pub(super) fn set_invalid(&self, invalid: bool) {
        self.invalid.set(i64::from(invalid));
    }

    pub(super) fn set_next(&self, next: Option<Timestamp>) {
        self.next.set(next.map_or(0, Timestamp::as_second));
    }

    pub(super) fn began(&self, time: Timestamp) {
        self.began.set(time.as_second());
    }

    pub(super) fn succeeded(&self, time: Timestamp) {
        self.ended.set(time.as_second());
        self.succeeded.inc();
    }

    pub(super) fn failed(&self, time: Timestamp) {
        self.ended.set(time.as_second());
        self.failed.inc();
    }

    pub(super) fn interrupted(&self) {
        self.interrupted.inc();
    }
}
