//! Looking at the cluster as it is now, past every cache.

use futures_util::future::BoxFuture;

/// What is to be looked at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReadTarget {
    /// The node of this name.
    Node(Box<str>),
    /// The network of this namespace and name.
    Network(Box<str>, Box<str>),
    /// The StatefulSet of this namespace and name.
    StatefulSet(Box<str>, Box<str>),
    /// The virtual machine of this namespace and name, and its instance.
    VirtualMachine(Box<str>, Box<str>),
    /// The migration of a virtual machine of this namespace and name.
    Migration(Box<str>, Box<str>),
    /// The pod of this namespace and name.
    Pod(Box<str>, Box<str>),
    /// All pods of this namespace.
    PodsOf(Box<str>),
}

/// Who looks at the cluster.
pub trait LiveReader: Send + Sync {
    /// Makes the published catalog at least as fresh, in this respect, as the cluster is at the call.
    ///
    /// # Errors
    /// Why the cluster does not tell; nothing may be concluded then.
    fn refresh<'a>(&'a self, target: &'a ReadTarget) -> BoxFuture<'a, Result<(), String>>;
}
