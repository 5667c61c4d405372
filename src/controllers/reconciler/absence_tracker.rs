//! Since when something is as it is, by this process's own look: a cluster's clock may be another, and
//! what is measured here is time that passed.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use tokio::time::{Duration, Instant};

use super::{observed_addresses::ObservedAddresses, pod_index::PodIndex};
use crate::{
    allocation::{Address, Allocation, Holder, Space, Stored, Version},
    catalog::Catalog,
};

/// An address and where it is unique.
pub(super) type RecordKey = (Space, Address);

/// What was seen before. It is lost when the process ends: then the first look counts.
#[derive(Debug, Default)]
pub(super) struct AbsenceTracker {
    /// Since when the pod that a record names is not there; of a record without a UID, whom none of its
    /// name may be, since when nobody uses the address. A record that was written since is another.
    absent_since: HashMap<RecordKey, (Version, Instant)>,
    nodes: HashMap<Box<str>, NodeObservation>,
}

/// How a node is.
#[derive(Debug, Clone, Copy)]
struct NodeObservation {
    ready: bool,
    /// Since when it is ready, or is not.
    since: Instant,
    /// Whether it was seen otherwise before.
    changed: bool,
}

impl AbsenceTracker {
    /// Looks at what there is.
    pub(super) fn update(
        &mut self,
        records: &[Arc<Stored>],
        pods: &PodIndex<'_>,
        addresses: &ObservedAddresses,
        catalog: &Catalog,
        now: Instant,
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

    /// For how long the pod that a record names is gone.
    pub(super) fn absent_for(&self, record: &Allocation, now: Instant) -> Option<Duration> {
        let (_, since) = self.absent_since.get(&key(record))?;
        Some(now.saturating_duration_since(*since))
    }

    /// For how long a node is ready, or is not.
    pub(super) fn node_state_duration(&self, node: &str, now: Instant) -> Option<Duration> {
        let seen = self.nodes.get(node)?;
        Some(now.saturating_duration_since(seen.since))
    }

    /// Whether a node is ready again, and was not.
    pub(super) fn has_recovered(&self, node: &str) -> bool {
        let seen = self.nodes.get(node);
        seen.is_some_and(|seen| seen.ready && seen.changed)
    }
}

fn is_of_pod(holder: &Holder) -> bool {
    !matches!(holder, Holder::Reservation { .. } | Holder::Network { .. })
}

/// Whether a record names a pod that was seen.
pub(super) fn names_uid(record: &Allocation) -> bool {
    record.pod.as_ref().is_some_and(|pod| pod.uid.is_some())
}

pub(super) fn key(record: &Allocation) -> RecordKey {
    (record.space.clone(), record.address)
}
