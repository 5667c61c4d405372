//! Absences of pods and states of nodes, as observed by this process. Times are measured on this
//! process's monotonic clock, because the cluster's clocks may differ.

use core::time::Duration;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use crate::{MonotonicTime, observed_addresses::ObservedAddresses, pod_index::PodIndex};
use nadmit_allocation::{Address, Allocation, Holder, Space, Stored, Version};
use nadmit_catalog::Catalog;

/// An address and its address space.
pub(crate) type RecordKey = (Space, Address);

/// The absences and node states observed so far. They are lost on a restart; the first observation
/// after it counts as the beginning.
#[derive(Debug, Default)]
pub(crate) struct AbsenceTracker {
    /// The time at which the recorded pod was first seen missing. For records without a UID, a pod of
    /// the same name may be unrelated, so this is when the address was first seen unused. A rewritten
    /// record (another version) starts over.
    absent_since: HashMap<RecordKey, (Version, MonotonicTime)>,
    nodes: HashMap<Box<str>, NodeObservation>,
}

/// The observed readiness of a node.
#[derive(Debug, Clone, Copy)]
struct NodeObservation {
    ready: bool,
    /// The time at which the present readiness was first observed.
    since: MonotonicTime,
    /// True if a different readiness was observed before.
    changed: bool,
}

impl AbsenceTracker {
    /// Updates the observations from the present records, pods and nodes.
    pub(crate) fn update(
        &mut self,
        records: &[Arc<Stored>],
        pods: &PodIndex<'_>,
        addresses: &ObservedAddresses,
        catalog: &Catalog,
        now: MonotonicTime,
    ) {
        let before = std::mem::take(&mut self.absent_since);
        let of_pods = records
            .iter()
            .filter(|one| is_of_pod(&one.allocation.holder));
        let of_pods: Vec<&Arc<Stored>> = of_pods.collect();
        let unnamed = of_pods.iter().filter(|one| !names_uid(&one.allocation));
        let unnamed: HashSet<Address> = unnamed.map(|one| one.allocation.address).collect();
        let used = addresses.in_use().map(|one| one.address);
        let used: HashSet<Address> = used.filter(|address| unnamed.contains(address)).collect();
        let absent_since = of_pods.into_iter().filter(|one| {
            let record = &one.allocation;
            let unused = !names_uid(record) && !used.contains(&record.address);
            unused || pods.named(record).is_none()
        });
        self.absent_since = absent_since
            .map(|one| {
                let key = key(&one.allocation);
                let known = before.get(&key).filter(|known| known.0 == one.version);
                let since = known.map_or(now, |known| known.1);
                (key, (one.version, since))
            })
            .collect();
        let before = std::mem::take(&mut self.nodes);
        let nodes = catalog.nodes().iter();
        self.nodes = nodes
            .map(|(name, node)| {
                let observed_now = |changed| NodeObservation {
                    ready: node.ready,
                    since: now,
                    changed,
                };
                let seen = match before.get(name) {
                    None => observed_now(false),
                    Some(known) if known.ready != node.ready => observed_now(true),
                    Some(known) => *known,
                };
                (name.into(), seen)
            })
            .collect();
    }

    /// Returns how long the recorded pod has been absent; `None` if it is present.
    pub(crate) fn absent_for(&self, record: &Allocation, now: MonotonicTime) -> Option<Duration> {
        let (_, since) = self.absent_since.get(&key(record))?;
        Some(now.since(*since))
    }

    /// Returns how long a node has been ready, or not ready.
    pub(crate) fn node_state_duration(&self, node: &str, now: MonotonicTime) -> Option<Duration> {
        let seen = self.nodes.get(node)?;
        Some(now.since(seen.since))
    }

    /// Returns true if a node is ready and was not ready before.
    pub(crate) fn has_recovered(&self, node: &str) -> bool {
        let seen = self.nodes.get(node);
        seen.is_some_and(|seen| seen.ready && seen.changed)
    }
}

fn is_of_pod(holder: &Holder) -> bool {
    !matches!(holder, Holder::Reservation { .. } | Holder::Network { .. })
}

/// Returns true if the record names the UID of its pod.
pub(crate) fn names_uid(record: &Allocation) -> bool {
    record.pod.as_ref().is_some_and(|pod| pod.uid.is_some())
}

pub(crate) fn key(record: &Allocation) -> RecordKey {
    (record.space.clone(), record.address)
}
