//! What the housekeeper did, for metrics.

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

/// What a housekeeper has counted; a clone counts on.
#[derive(Debug, Clone, Default)]
pub(super) struct ReconcileMetrics(Arc<ReconcileCounts>);

#[derive(Debug, Default)]
struct ReconcileCounts {
    reasons: Mutex<BTreeMap<&'static str, u64>>,
    duplicates: AtomicU64,
    drifted: AtomicU64,
}

impl ReconcileMetrics {
    /// Something was done for this reason.
    pub(super) fn add(&self, reason: &'static str) {
        let mut reasons = self
            .0
            .reasons
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *reasons.entry(reason).or_default() += 1;
    }

    /// So many addresses have more than one user now.
    pub(super) fn set_duplicates(&self, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.0.duplicates.store(count, Ordering::Relaxed);
    }
}

impl ReconcileMetrics {
    /// So many pods have something else than what is recorded for them now.
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
            "Addresses that more than one uses, as of the last look",
            None,
            duplicates.metric_type(),
        )?;
        duplicates.encode(metric)?;
        let drifted = ConstGauge::new(self.0.drifted.load(Ordering::Relaxed));
        let metric = encoder.encode_descriptor(
            "drifted_interfaces",
            "Interfaces whose network-status shows another address or MAC than is recorded for \
             them, as of the last look",
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
            "What was recorded, freed or reported beside the requests, by its reason",
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
