//! What the catalog keeps of a pod: only what speaks of networks.

use crate::{allocation::Holder, network::name};

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
    /// The annotations in which nadmit keeps what it was asked for.
    pub requested: RequestedAnnotations,
    /// The node that it is bound to.
    pub node: Option<Box<str>>,
    /// Whether its deletion has been asked for.
    pub terminating: bool,
    /// Whether it is the API's copy of a static pod, which the kubelet runs in any case.
    pub mirror: bool,
    /// The migration as whose target it says that it was made.
    pub migration: Option<Box<MigrationRef>>,
}

/// A migration of a virtual machine, as the pod names it that is its target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationRef {
    /// Its name.
    pub name: Box<str>,
    /// Its UID.
    pub uid: Box<str>,
}

impl MigrationRef {
    /// Returns the migration that a pod names, if it names both, and by a name that an object can have: another
    /// could not be looked up.
    pub fn new(name: Option<&str>, uid: Option<&str>) -> Option<Self> {
        let name = name.filter(|name| name::subdomain(name).is_ok())?;
        let uid = uid.filter(|uid| !uid.is_empty())?;
        Some(Self {
            name: name.into(),
            uid: uid.into(),
        })
    }
}

/// What a pod carries of nadmit's own: its networks as they were written, before addresses were put
/// in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestedAnnotations {
    /// The annotation `nadmit.io/requested-networks`.
    pub networks: Option<Box<str>>,
    /// The annotation `nadmit.io/requested-default-network`.
    pub default_network: Option<Box<str>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_migration_is_named_as_one_can_be_called() {
        let named = |name| MigrationRef::new(Some(name), Some("u-1")).is_some();
        assert!(named("kubevirt-migrate-vm-abc.1"));
        for odd in ["", "a,spec.x=y", "a b", "A", &"a".repeat(254)] {
            assert!(!named(odd), "{odd}");
        }
    }
}
