//! Metrics of the resync schedule and its runs.

use std::{
    fmt::Error as FmtError,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
};

use jiff::Timestamp;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::counter::ConstCounter,
};

use crate::gauge::gauge;

/// The outcomes of a run, as labels of the metric.
const OUTCOMES: [&str; 3] = ["succeeded", "failed", "interrupted"];

/// The state of the schedule. Times are in seconds since 1970; 0 means none.
#[derive(Debug, Default)]
pub(super) struct ResyncMetrics {
    invalid: AtomicBool,
    next: AtomicI64,
    began: AtomicI64,
    ended: AtomicI64,
    runs: [AtomicU64; 3],
}

impl ResyncMetrics {
    pub(super) fn set_invalid(&self, invalid: bool) {
        self.invalid.store(invalid, Ordering::Relaxed);
    }

    pub(super) fn set_next(&self, next: Option<Timestamp>) {
        let next = next.map_or(0, Timestamp::as_second);
        self.next.store(next, Ordering::Relaxed);
    }

    pub(super) fn began(&self, time: Timestamp) {
        self.began.store(time.as_second(), Ordering::Relaxed);
    }

    pub(super) fn ended(&self, time: Timestamp, succeeded: bool) {
        self.ended.store(time.as_second(), Ordering::Relaxed);
        self.runs[usize::from(!succeeded)].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn interrupted(&self) {
        self.runs[2].fetch_add(1, Ordering::Relaxed);
    }
}

#[derive(Debug)]
pub(super) struct ResyncCollector(pub(super) Arc<ResyncMetrics>);

impl Collector for ResyncCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), FmtError> {
        let metrics = &self.0;
        let invalid = i64::from(metrics.invalid.load(Ordering::Relaxed));
        let help = "1 while the configured schedule is invalid, and the last valid one is used";
        gauge(&mut encoder, "schedule_invalid", help, invalid)?;
        for (name, help, time) in [
            (
                "full_comparison_next_timestamp_seconds",
                "Time of the next full comparison, on the leader",
                &metrics.next,
            ),
            (
                "full_comparison_started_timestamp_seconds",
                "Start of the last full comparison of this replica; 0 if there was none",
                &metrics.began,
            ),
            (
                "full_comparison_ended_timestamp_seconds",
                "End of the last full comparison of this replica; 0 if there was none",
                &metrics.ended,
            ),
        ] {
            gauge(&mut encoder, name, help, time.load(Ordering::Relaxed))?;
        }
        let mut metric = encoder.encode_descriptor(
            "full_comparisons",
            "Full comparisons of this replica, by outcome",
            None,
            ConstCounter::new(0u64).metric_type(),
        )?;
        for (outcome, count) in OUTCOMES.into_iter().zip(&metrics.runs) {
            let labels = [("outcome", outcome)];
            let count = ConstCounter::new(count.load(Ordering::Relaxed));
            count.encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
