//! Metrics of allocation: duration, conflicts and exhaustion.

use std::time::Duration;

use prometheus_client::{
    metrics::{counter::Counter, histogram::Histogram},
    registry::{Registry, Unit},
};

use super::DURATIONS;
use nadmit_admission::AdmissionResponse;

/// Code of the finding for an exhausted pool.
const EXHAUSTED: &str = "pool-exhausted";

/// Metrics from a decision to its committed allocation.
#[derive(Debug)]
pub(super) struct AllocationMetrics {
    exhaustions: Counter,
    conflicts: Counter,
    borrowed: Counter,
    releases: Counter,
    durations: Histogram,
}

impl AllocationMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let allocation = Self {
            exhaustions: Counter::default(),
            conflicts: Counter::default(),
            borrowed: Counter::default(),
            releases: Counter::default(),
            durations: Histogram::new(DURATIONS),
        };
        registry.register(
            "pool_exhaustions",
            "Reviews denied because a pool was full",
            allocation.exhaustions.clone(),
        );
        registry.register(
            "allocation_conflicts",
            "Commits that conflicted with another write and were planned again",
            allocation.conflicts.clone(),
        );
        registry.register(
            "borrowed_addresses",
            "Addresses allocated from slices of other nodes because the slices of the pod's node were full",
            allocation.borrowed.clone(),
        );
        registry.register(
            "manual_releases",
            "Addresses released manually",
            allocation.releases.clone(),
        );
        registry.register_with_unit(
            "allocation_duration",
            "Time from the decision about a pod's addresses to their durable allocation",
            Unit::Seconds,
            allocation.durations.clone(),
        );
        allocation
    }

    pub(super) fn answered(&self, response: &AdmissionResponse) {
        if response.findings().iter().any(|one| one.code == EXHAUSTED) {
            self.exhaustions.inc();
        }
    }

    pub(super) fn allocated(&self, elapsed: Duration) {
        self.durations.observe(elapsed.as_secs_f64());
    }

    pub(super) fn borrowed(&self, count: usize) {
        self.borrowed.inc_by(count as u64);
    }

    pub(super) fn commit_conflict(&self) {
        self.conflicts.inc();
    }

    pub(super) fn released(&self) {
        self.releases.inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nadmit_rules::registry;

    #[test]
    fn the_rule_that_is_counted_exists() {
        assert!(registry::find(EXHAUSTED).is_some());
    }
}
