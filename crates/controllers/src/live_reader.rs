//! Reads of the cluster that bypass the caches.

use futures_util::future::BoxFuture;

/// The object or objects of a live read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReadTarget {
    /// A node, by name.
    Node(Box<str>),
    /// A network, by namespace and name.
    Network(Box<str>, Box<str>),
    /// A StatefulSet, by namespace and name.
    StatefulSet(Box<str>, Box<str>),
    /// A virtual machine and its instance, by namespace and name.
    VirtualMachine(Box<str>, Box<str>),
    /// The migration of a virtual machine, by namespace and name.
    Migration(Box<str>, Box<str>),
    /// A pod, by namespace and name.
    Pod(Box<str>, Box<str>),
    /// All pods of a namespace.
    PodsOf(Box<str>),
}

/// A source of live reads.
pub trait LiveReader: Send + Sync {
    /// Reads `target` and updates the published catalog to be at least as fresh, in this respect, as
    /// the cluster was at the call.
    ///
    /// # Errors
    /// The reason why the cluster did not answer. The target is unknown then.
    fn refresh<'a>(&'a self, target: &'a ReadTarget) -> BoxFuture<'a, Result<(), String>>;
}
