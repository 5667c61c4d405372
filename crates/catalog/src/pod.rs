//! A pod in the catalog, with the fields that concern networks.

use nadmit_allocation::Holder;
use nadmit_cni::name;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// The pod's namespace.
    pub namespace: Box<str>,
    /// The pod's name.
    pub name: Box<str>,
    /// The pod's UID; absent in manifests.
    pub uid: Option<Box<str>>,
    /// The holder of the pod's addresses.
    pub holder: Holder,
    /// Set if the pod uses the host network; Multus then ignores its annotations.
    pub host_network: bool,
    /// The annotation `k8s.v1.cni.cncf.io/networks`, as written.
    pub networks: Option<Box<str>>,
    /// The annotation `v1.multus-cni.io/default-network`, as written.
    pub default_network: Option<Box<str>>,
    /// The annotation `k8s.v1.cni.cncf.io/network-status`, as written.
    pub network_status: Option<Box<str>>,
    /// nadmit's annotations with the values from before injection.
    pub requested: RequestedAnnotations,
    /// The node that the pod is bound to.
    pub node: Option<Box<str>>,
    /// Set if the pod is being deleted.
    pub terminating: bool,
    /// Set on the mirror of a static pod, which the kubelet runs in any case.
    pub mirror: bool,
    /// The migration that the pod claims to be the target of.
    pub migration: Option<Box<MigrationRef>>,
}

impl Pod {
    /// Creates a pod that holds addresses by its own name, without networks or a node.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
            uid: None,
            holder: Holder::Pod {
                namespace: namespace.into(),
                name: name.into(),
            },
            host_network: false,
            networks: None,
            default_network: None,
            network_status: None,
            requested: RequestedAnnotations::default(),
            node: None,
            terminating: false,
            mirror: false,
            migration: None,
        }
    }
}

/// A reference to a virtual machine's migration, as in the annotations of its target pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationRef {
    /// The migration's name.
    pub name: Box<str>,
    /// The migration's UID.
    pub uid: Box<str>,
}

impl MigrationRef {
    /// Returns the migration that a pod names, if it has a UID and a valid object name: it could
    /// not be read otherwise.
    pub fn new(name: Option<&str>, uid: Option<&str>) -> Option<Self> {
        let name = name.filter(|name| name::subdomain(name).is_ok())?;
        let uid = uid.filter(|uid| !uid.is_empty())?;
        Some(Self {
            name: name.into(),
            uid: uid.into(),
        })
    }
}

/// nadmit's annotations that store a pod's network annotations from before injection.
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
    fn a_migration_needs_a_valid_object_name() {
        let named = |name| MigrationRef::new(Some(name), Some("u-1")).is_some();
        assert!(named("kubevirt-migrate-vm-abc.1"));
        for invalid in ["", "a,spec.x=y", "a b", "A", &"a".repeat(254)] {
            assert!(!named(invalid), "{invalid}");
        }
    }
}
