//! Live reads: quorum reads of the origin that bypass the caches.

use std::{error::Error, fmt, pin::Pin};

use nadmit_allocation::{Address, Holder};

/// A quorum read of objects, bypassing the cache, that a decision depends on.
///
/// The reconciler reads in the order of the variants.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LiveRead {
    /// A node, which may be missing.
    Node {
        /// The node's name.
        name: Box<str>,
    },
    /// A network, which may be missing.
    Network {
        /// The network's namespace.
        namespace: Box<str>,
        /// The network's name.
        name: Box<str>,
    },
    /// A StatefulSet, which may be missing.
    StatefulSet {
        /// The StatefulSet's namespace.
        namespace: Box<str>,
        /// The StatefulSet's name.
        name: Box<str>,
    },
    /// A virtual machine and its instance, which may be missing.
    VirtualMachine {
        /// The virtual machine's namespace.
        namespace: Box<str>,
        /// The virtual machine's name.
        name: Box<str>,
    },
    /// The migration of a virtual machine, which may have ended.
    Migration {
        /// The migration's namespace.
        namespace: Box<str>,
        /// The migration's name.
        name: Box<str>,
    },
    /// The current state of a pod, which may be missing.
    Pod {
        /// The pod's namespace.
        namespace: Box<str>,
        /// The pod's name.
        name: Box<str>,
    },
    /// The pod of this UID, for facts that do not change until it is bound: that it exists, and what it
    /// requests. Any cache that has the pod will do.
    PodOfUid {
        /// The pod's namespace.
        namespace: Box<str>,
        /// The pod's name.
        name: Box<str>,
        /// The pod's UID.
        uid: Box<str>,
    },
    /// All pods of a namespace.
    PodsOf { namespace: Box<str> },
    /// The `Network` of OpenShift's Cluster Network Operator.
    NetworkOperator,
    /// The spec and the allocations of a pool, and the labels of a namespace.
    Pool {
        /// The name of the pool.
        name: Box<str>,
        /// The namespace, if its labels matter.
        namespace: Option<Box<str>>,
    },
    /// The pods that use a network, and the state of its namespace, which may be terminating.
    NetworkUsers {
        /// The network's namespace.
        namespace: Box<str>,
        /// The network's name.
        name: Box<str>,
    },
    /// The allocations of a pool, which the ledger has.
    Allocations {
        /// The name of the pool.
        pool: Box<str>,
        /// The address whose allocation is read; `None` for all, if the pool is exhausted.
        address: Option<Address>,
    },
    /// The allocations of a holder on all networks, which the ledger has.
    Holdings {
        holder: Holder,
        /// Set if some allocations of the holder are already known. It keeps this read distinct from one
        /// that was made before any was known and need not have seen the others.
        partially_known: bool,
    },
}

impl LiveRead {
    /// Creates the read of a node.
    pub fn node(name: impl Into<Box<str>>) -> Self {
        Self::Node { name: name.into() }
    }

    /// Creates the read of a network.
    pub fn network(namespace: impl Into<Box<str>>, name: impl Into<Box<str>>) -> Self {
        Self::Network {
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// Creates the read of a StatefulSet.
    pub fn stateful_set(namespace: impl Into<Box<str>>, name: impl Into<Box<str>>) -> Self {
        Self::StatefulSet {
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// Creates the read of a virtual machine and its instance.
    pub fn virtual_machine(namespace: impl Into<Box<str>>, name: impl Into<Box<str>>) -> Self {
        Self::VirtualMachine {
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// Creates the read of a pod.
    pub fn pod(namespace: impl Into<Box<str>>, name: impl Into<Box<str>>) -> Self {
        Self::Pod {
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// Creates the read of all pods of a namespace.
    pub fn pods_of(namespace: impl Into<Box<str>>) -> Self {
        Self::PodsOf {
            namespace: namespace.into(),
        }
    }

    /// Returns true if the ledger answers the read, not the origin of the catalog.
    pub fn is_of_ledger(&self) -> bool {
        matches!(self, Self::Allocations { .. } | Self::Holdings { .. })
    }
}

/// The kind of the read with the names of its objects, for logs: `Pod("db", "web-0")`.
impl fmt::Display for LiveRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, namespace, name) = match self {
            Self::Node { name } => return write!(f, "Node({name:?})"),
            Self::PodsOf { namespace } => return write!(f, "PodsOf({namespace:?})"),
            Self::NetworkOperator => return f.write_str("NetworkOperator"),
            Self::Pool { name, .. } => return write!(f, "Pool({name:?})"),
            Self::Allocations { pool, .. } => return write!(f, "Allocations({pool:?})"),
            Self::Holdings { holder, .. } => return write!(f, "Holdings({holder:?})"),
            Self::Network { namespace, name } => ("Network", namespace, name),
            Self::StatefulSet { namespace, name } => ("StatefulSet", namespace, name),
            Self::VirtualMachine { namespace, name } => ("VirtualMachine", namespace, name),
            Self::Migration { namespace, name } => ("Migration", namespace, name),
            Self::Pod { namespace, name }
            | Self::PodOfUid {
                namespace, name, ..
            } => ("Pod", namespace, name),
            Self::NetworkUsers { namespace, name } => ("NetworkUsers", namespace, name),
        };
        write!(f, "{kind}({namespace:?}, {name:?})")
    }
}

/// A catalog whose origin can be read live.
pub trait LiveCatalog: Send + Sync {
    /// Refreshes the published catalog for these live reads, one after the other: afterwards it is at
    /// least as fresh, in these respects, as the origin was at the call. Reads of the ledger are skipped.
    /// Callers then load the catalog again.
    ///
    /// Callers may drop the future, for instance when their deadline has passed.
    fn refresh<'a>(&'a self, reads: &'a [LiveRead]) -> LiveReadFuture<'a>;
}

/// The future of [`LiveCatalog::refresh`].
pub type LiveReadFuture<'a> = Pin<Box<dyn Future<Output = Result<(), LiveReadError>> + Send + 'a>>;

/// The failure of a live read. The state of its objects is unknown then.
#[derive(Debug, thiserror::Error)]
pub enum LiveReadError {
    /// The API server did not answer.
    #[error(transparent)]
    Cluster(Box<dyn Error + Send + Sync>),
    /// The folder of manifests could not be scanned.
    #[error(transparent)]
    Folder(Box<dyn Error + Send + Sync>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_are_named_by_kind_and_objects() {
        for (read, text) in [
            (LiveRead::node("node-1"), r#"Node("node-1")"#),
            (
                LiveRead::network("db", "storage"),
                r#"Network("db", "storage")"#,
            ),
            (LiveRead::pod("db", "web-0"), r#"Pod("db", "web-0")"#),
            (LiveRead::pods_of("db"), r#"PodsOf("db")"#),
        ] {
            assert_eq!(read.to_string(), text);
        }
    }

    #[test]
    fn nodes_are_read_before_networks_and_single_pods_before_namespaces() {
        let ordered = [
            LiveRead::node("z"),
            LiveRead::network("b", "z"),
            LiveRead::pod("b", "z"),
            LiveRead::pods_of("a"),
        ];
        assert!(ordered.is_sorted());
    }
}
