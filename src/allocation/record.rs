//! The record of an allocation, and what is done to records.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Address, Holder, PodRef, Space};
use crate::network::{Network, mac::Mac};

/// How many former nodes a record names at the most. A pod that moves on more often while all of
/// them are silent is not to be expected.
pub const MAX_FORMER_NODES: usize = 8;

/// One address (or one MAC that does not follow from an address), taken.
///
/// One record each, named by [`Self::record_name`]; nothing else says who holds what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Allocation {
    /// The address.
    pub address: Address,
    /// Where it is unique: the pool's `networkName`.
    #[serde(rename = "networkName", default = "Space::default")]
    pub space: Space,
    /// The pool that gave it.
    pub pool: Arc<str>,
    /// The network it is used on.
    pub network: NetworkRef,
    /// The interface inside the pod; empty where any is meant.
    #[serde(default)]
    pub interface: Arc<str>,
    /// Who it is for.
    pub holder: Holder,
    /// The pod that uses it now, or used it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodRef>,
    /// The nodes that pods of the holder before this one were on, the last one last: where they do not
    /// answer, containers of those pods may run still.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former_nodes: Vec<Arc<str>>,
    /// The MAC that goes with it, where that follows from the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    /// The reservation that it was taken from and goes back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reservation: Option<NetworkRef>,
    /// When it was taken or last changed hands, in seconds since 1970 UTC.
    pub since: Timestamp,
    /// When the holder got it, where a later pod of the holder has taken it over since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken: Option<Timestamp>,
}

/// A namespace and a name in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkRef {
    /// The namespace.
    pub namespace: Arc<str>,
    /// The name.
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

/// Seconds since 1970 UTC. Who calls the pure rooms brings the time.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

/// The version of a stored record: it changes with each write. A write that names an old one fails.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Version(pub u64);

/// A record as a ledger has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The record.
    pub allocation: Allocation,
    /// Its version.
    pub version: Version,
}

/// One change to a ledger. Everything that changes hands does so under a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// A record whose name must not exist yet.
    Create(Allocation),
    /// The record of that name, which must still have this version, becomes this.
    Update(Allocation, Version),
    /// The record goes, if it still has this version.
    Delete(Allocation, Version),
}

impl Allocation {
    /// Returns since when the holder has had it, through all of its pods.
    pub fn held_since(&self) -> Timestamp {
        self.taken.unwrap_or(self.since)
    }

    /// The name of its record; see [`Space::record_name`].
    pub fn record_name(&self) -> String {
        self.space.record_name(self.address)
    }

    /// The former nodes that the record is to name once this pod has the address: that of the pod
    /// before it is one, and where the pod is itself is none.
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
        let own = next.and_then(|next| next.node.as_ref());
        nodes.retain(|one| Some(one) != own);
        nodes.drain(..nodes.len().saturating_sub(MAX_FORMER_NODES));
        nodes
    }
}

impl Write {
    /// The record that it is about, as it will be, or was.
    pub fn allocation(&self) -> &Allocation {
        match self {
            Self::Create(allocation)
            | Self::Update(allocation, _)
            | Self::Delete(allocation, _) => allocation,
        }
    }
}

impl Timestamp {
    /// This many seconds later.
    #[must_use]
    pub fn plus(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds))
    }
}
