//! What the catalog keeps of a pod: only what speaks of networks.

use crate::allocation::Holder;

/// A pod that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// Its namespace.
    pub namespace: Box<str>,
    /// Its name.
    pub name: Box<str>,
    /// Its UID; manifests have none.
    pub uid: Option<Box<str>>,
    /// As whom it holds addresses.
    pub holder: Holder,
    /// Whether it is on the node's own network; Multus then ignores its annotations.
    pub host_network: bool,
    /// The annotation `k8s.v1.cni.cncf.io/networks`, as written.
    pub networks: Option<Box<str>>,
    /// The annotation `v1.multus-cni.io/default-network`, as written.
    pub default_network: Option<Box<str>>,
    /// The annotation `k8s.v1.cni.cncf.io/network-status`, as written.
    pub network_status: Option<Box<str>>,
}
