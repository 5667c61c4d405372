//! Allocation records and the writes that change them.

use core::time::Duration;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Address, Holder, PodRef, Space};
use nadmit_cni::{Network, mac::Mac};

/// The maximum number of former nodes in a record. A pod is not expected to move more often while all
/// of those nodes are unresponsive.
pub const MAX_FORMER_NODES: usize = 8;

/// An allocated address, or an allocated MAC that is not derived from an address.
///
/// Each address has one record, named by [`Self::record_name`]; the records alone determine who holds
/// it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Allocation {
    /// The allocated address.
    pub address: Address,
    /// The address space in which it is unique: the pool's `networkName`.
    #[serde(rename = "networkName", default = "Space::default")]
    pub space: Space,
    /// The pool it was allocated from.
    pub pool: Arc<str>,
    /// The network that uses it.
    pub network: NetworkRef,
    /// The interface inside the pod; empty for any interface.
    #[serde(default)]
    pub interface: Arc<str>,
    /// The owner of the allocation.
    pub holder: Holder,
    /// The pod that uses the address, or used it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodRef>,
    /// The nodes of the holder's earlier pods, the latest last; the node of the recorded pod is one of
    /// them if an earlier pod ran there, too. While one of them does not respond, containers of that
    /// pod may still run there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former_nodes: Vec<Arc<str>>,
    /// The MAC of the interface, if it is derived from the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    /// The reservation that the address belongs to and returns to on release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reservation: Option<NetworkRef>,
    /// The time of the allocation or of the last change of holder or pod, in seconds since 1970 UTC.
    pub since: Timestamp,
    /// The time at which the holder got the address, if a later pod of the holder has taken it over
    /// since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken: Option<Timestamp>,
}

/// The namespace and name of an object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkRef {
    pub namespace: Arc<str>,
    pub name: Arc<str>,
}

impl From<&Network> for NetworkRef {
    fn from(network: &Network) -> Self {
        Self {
            namespace: Arc::from(&*network.namespace),
            name: Arc::from(&*network.name),
        }
    }
}

/// A time in whole seconds since 1970 UTC. Pure modules get the current time from their callers.
///
/// A newtype instead of `jiff::Timestamp`: index entries keep eight bytes, formats keep a number, and
/// pure crates do without a crate that reads the clock.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

/// The version of a stored record. It grows with each write; a write that names an older version fails.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Version(pub u64);

/// A record as stored in a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The record.
    pub allocation: Allocation,
    /// The version of the record.
    pub version: Version,
}

/// A write to a ledger. Updates and deletes are conditional on the version of the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Creates a record; fails if one with the same name exists.
    Create(Allocation),
    /// Replaces the record of the same name, if it still has this version.
    Update(Allocation, Version),
    /// Deletes the record, if it still has this version.
    Delete(Allocation, Version),
}

impl Allocation {
    /// Returns the time since which the holder has had the address, across all of its pods.
    pub fn held_since(&self) -> Timestamp {
        self.taken.unwrap_or(self.since)
    }

    /// Returns true if the record's pool is one that networks define by themselves. No AddressPool has a
    /// name with a slash.
    pub fn is_of_derived_pool(&self) -> bool {
        self.pool.contains('/')
    }

    /// Returns true if the record names this pod, as far as both have a UID.
    pub fn is_of_pod(&self, pod: Option<&PodRef>) -> bool {
        match (&self.pod, pod) {
            (Some(own), Some(pod)) => {
                let is_other = own.uid.is_some() && pod.uid.is_some() && own.uid != pod.uid;
                own.name == pod.name && !is_other
            }
            _ => false,
        }
    }

    /// Returns the name of the record; see [`Space::record_name`].
    pub fn record_name(&self) -> String {
        self.space.record_name(self.address)
    }

    /// Returns the former nodes to record when `next` takes the address over: the node of the current
    /// pod is added if `next` is another pod.
    ///
    /// A node stays in the list if `next` is bound there: the binding may fail, and the pod may run on
    /// another node in the end.
    pub(crate) fn former_nodes_for(&self, next: Option<&PodRef>) -> Vec<Arc<str>> {
        let mut nodes = self.former_nodes.clone();
        let before = self.pod.as_ref().filter(|pod| {
            let same = next.is_some_and(|next| next.uid.is_some() && next.uid == pod.uid);
            !same
        });
        if let Some(node) = before.and_then(|pod| pod.node.as_ref()) {
            nodes.retain(|one| one != node);
            nodes.push(Arc::clone(node));
        }
        nodes.drain(..nodes.len().saturating_sub(MAX_FORMER_NODES));
        nodes
    }
}

impl Write {
    /// Returns the record after a create or update, or before a delete.
    pub fn allocation(&self) -> &Allocation {
        match self {
            Self::Create(allocation)
            | Self::Update(allocation, _)
            | Self::Delete(allocation, _) => allocation,
        }
    }
}

impl Timestamp {
    /// Returns the time this many whole seconds later.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add_unsigned(duration.as_secs()))
    }

    /// Returns the time this many whole seconds earlier.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub_unsigned(duration.as_secs()))
    }

    /// Returns the time from an earlier time to this one; zero if it is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        let seconds = self.0.saturating_sub(earlier.0);
        Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_saturate() {
        let (day, ever) = (Duration::from_secs(86_400), Duration::from_secs(u64::MAX));
        assert_eq!(Timestamp(0).plus(day), Timestamp(86_400));
        assert_eq!(Timestamp(0).minus(day), Timestamp(-86_400));
        assert_eq!(Timestamp(0).plus(ever), Timestamp(i64::MAX));
        assert_eq!(Timestamp(0).minus(ever), Timestamp(i64::MIN));
        assert_eq!(Timestamp(86_400).since(Timestamp(0)), day);
        assert_eq!(Timestamp(0).since(Timestamp(86_400)), Duration::ZERO);
    }
}
