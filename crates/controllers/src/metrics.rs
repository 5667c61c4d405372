//! Metrics of the two reconcilers.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

/// The bounds of the durations of comparisons, in seconds.
const DURATIONS: [f64; 9] = [0.001, 0.004, 0.016, 0.064, 0.25, 1.0, 4.0, 16.0, 64.0];

/// Metrics of a reconciler. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct ReconcileMetrics {
    comparisons: Histogram,
    reasons: Family<ReasonLabels, Counter>,
    duplicates: Gauge,
    drifted: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

impl Default for ReconcileMetrics {
    fn default() -> Self {
        Self {
            comparisons: Histogram::new(DURATIONS),
            reasons: Family::default(),
            duplicates: Gauge::default(),
            drifted: Gauge::default(),
        }
    }
}

impl ReconcileMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "comparison_duration",
            "Time of a comparison of records and cluster by the reconciler",
            Unit::Seconds,
            self.comparisons.clone(),
        );
        registry.register(
            "duplicate_addresses",
            "Addresses with several users, as of the last pass",
            self.duplicates.clone(),
        );
        registry.register(
            "drifted_interfaces",
            "Interfaces whose network-status shows another address or MAC than recorded, as of the \
             last pass",
            self.drifted.clone(),
        );
        registry.register(
            "reconciliations",
            "Addresses recorded, freed or reported by the reconciler, by reason",
            self.reasons.clone(),
        );
    }

    /// Counts a comparison.
    pub(super) fn compared(&self, duration: Duration) {
        self.comparisons.observe(duration.as_secs_f64());
    }

    /// Counts an action by its reason.
    pub(super) fn add(&self, reason: &'static str) {
        self.reasons.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// Sets the number of addresses with several users.
    pub(super) fn set_duplicates(&self, count: usize) {
        set(&self.duplicates, count);
    }

    /// Sets the number of interfaces that report something else than is recorded for them.
    pub(super) fn set_drifted(&self, count: usize) {
        set(&self.drifted, count);
    }
}

fn set(gauge: &Gauge, count: usize) {
    gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    #[test]
    fn comparisons_are_counted_with_their_time() {
        let (metrics, mut registry) = (ReconcileMetrics::default(), Registry::default());
        metrics.register(&mut registry);
        metrics.compared(Duration::from_millis(1500));
        metrics.compared(Duration::from_millis(500));
        let mut page = String::new();
        encode(&mut page, &registry).unwrap();
        for line in [
            "comparison_duration_seconds_sum 2.0",
            "comparison_duration_seconds_count 2",
        ] {
            assert!(page.contains(line), "{page}");
        }
    }
}
