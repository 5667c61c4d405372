//! Metrics of the two reconcilers.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// Metrics of a reconciler. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct ReconcileMetrics {
    reasons: Family<ReasonLabels, Counter>,
    duplicates: Gauge,
    drifted: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

impl ReconcileMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
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
