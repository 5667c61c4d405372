//! Metrics of the two reconcilers.

use std::{
    collections::BTreeMap,
    fmt::Error as FmtError,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
};

/// Counters of a reconciler. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct ReconcileMetrics(Arc<ReconcileCounts>);

#[derive(Debug, Default)]
struct ReconcileCounts {
    reasons: Mutex<BTreeMap<&'static str, u64>>,
    duplicates: AtomicU64,
    drifted: AtomicU64,
}

impl ReconcileMetrics {
    /// Counts an action by its reason.
    pub(super) fn add(&self, reason: &'static str) {
        let mut reasons = self
            .0
            .reasons
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *reasons.entry(reason).or_default() += 1;
    }

    /// Sets the number of addresses with several users.
    pub(super) fn set_duplicates(&self, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.0.duplicates.store(count, Ordering::Relaxed);
    }
}

impl ReconcileMetrics {
    /// Sets the number of interfaces that report something else than is recorded for them.
    pub(super) fn set_drifted(&self, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.0.drifted.store(count, Ordering::Relaxed);
    }
}

impl Collector for ReconcileMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), FmtError> {
        let duplicates = ConstGauge::new(self.0.duplicates.load(Ordering::Relaxed));
        let metric = encoder.encode_descriptor(
            "duplicate_addresses",
            "Addresses with several users, as of the last pass",
            None,
            duplicates.metric_type(),
        )?;
        duplicates.encode(metric)?;
        let drifted = ConstGauge::new(self.0.drifted.load(Ordering::Relaxed));
        let metric = encoder.encode_descriptor(
            "drifted_interfaces",
            "Interfaces whose network-status shows another address or MAC than recorded, as of the \
             last pass",
            None,
            drifted.metric_type(),
        )?;
        drifted.encode(metric)?;
        let reasons = self
            .0
            .reasons
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if reasons.is_empty() {
            return Ok(());
        }
        let mut metric = encoder.encode_descriptor(
            "reconciliations",
            "Addresses recorded, freed or reported by the reconciler, by reason",
            None,
            ConstCounter::new(0u64).metric_type(),
        )?;
        for (reason, count) in &*reasons {
            let labels = [("reason", *reason)];
            ConstCounter::new(*count).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
