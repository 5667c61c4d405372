//! Since when something is as it is, by this process's own look: a cluster's clock may be another, and
//! what is measured here is time that passed.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use tokio::time::{Duration, Instant};

use super::{observed_addresses::Carried, pod_index::Pods};
use crate::{
    allocation::{Address, Allocation, Holder, Space, Stored, Version},
    catalog::Catalog,
};

/// An address and where it is unique.
pub(super) type Key = (Space, Address);

/// What was seen before. It is lost when the process ends: then the first look counts.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Since when the pod that a record names is not there; of a record without a UID, whom none of its
    /// name may be, since when nobody uses the address. A record that was written since is another.
    gone: HashMap<Key, (Version, Instant)>,
    nodes: HashMap<Box<str>, NodeSeen>,
}

/// How a node is.
#[derive(Debug, Clone, Copy)]
struct NodeSeen {
    ready: bool,
    /// Since when it is ready, or is not.
    since: Instant,
    /// Whether it was seen otherwise before.
    changed: bool,
}

impl Memory {
    /// Looks at what there is.
    pub(super) fn look(
        &mut self,
        records: &[Arc<Stored>],
        pods: &Pods<'_>,
        carried: &Carried,
        catalog: &Catalog,
        now: Instant,
    ) {
        let before = std::mem::take(&mut self.gone);
        let of_pods = records
            .iter()
            .filter(|one| is_of_pod(&one.allocation.holder));
        let of_pods: Vec<&Arc<Stored>> = of_pods.collect();
        let unnamed = of_pods.iter().filter(|one| !had_uid(&one.allocation));
        let unnamed: HashSet<Address> = unnamed.map(|one| one.allocation.address).collect();
        let used = carried.in_use().map(|one| one.address);
        let used: HashSet<Address> = used.filter(|address| unnamed.contains(address)).collect();
        let gone = of_pods.into_iter().filter(|one| {
            let record = &one.allocation;
            let unused = !had_uid(record) && !used.contains(&record.address);
            unused || pods.named(record).is_none()
        });
        self.gone = gone
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
                let anew = |changed| NodeSeen {
                    ready: node.ready,
                    since: now,
                    changed,
                };
                let seen = match before.get(name) {
                    None => anew(false),
                    Some(known) if known.ready != node.ready => anew(true),
                    Some(known) => *known,
                };
                (name.into(), seen)
            })
            .collect();
    }

    /// For how long the pod that a record names is gone.
    pub(super) fn gone_for(&self, record: &Allocation, now: Instant) -> Option<Duration> {
        let (_, since) = self.gone.get(&key(record))?;
        Some(now.saturating_duration_since(*since))
    }

    /// For how long a node is ready, or is not.
    pub(super) fn node_so_for(&self, node: &str, now: Instant) -> Option<Duration> {
        let seen = self.nodes.get(node)?;
        Some(now.saturating_duration_since(seen.since))
    }

    /// Whether a node is ready again, and was not.
    pub(super) fn is_back(&self, node: &str) -> bool {
        let seen = self.nodes.get(node);
        seen.is_some_and(|seen| seen.ready && seen.changed)
    }
}

fn is_of_pod(holder: &Holder) -> bool {
    !matches!(holder, Holder::Reservation { .. } | Holder::Network { .. })
}

/// Whether a record names a pod that was seen.
pub(super) fn had_uid(record: &Allocation) -> bool {
    record.pod.as_ref().is_some_and(|pod| pod.uid.is_some())
}

pub(super) fn key(record: &Allocation) -> Key {
    (record.space.clone(), record.address)
}
