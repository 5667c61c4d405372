//! The status of the watches, for metrics, readiness, conditions and the log.

use tokio::time::Instant;

/// The status of all watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterStatus {
    /// True once a catalog was published. It stays true.
    pub synced: bool,
    /// The kinds, in a fixed order.
    pub kinds: Vec<KindStatus>,
    /// The errors in objects, grouped by kind.
    pub problems: Vec<String>,
    /// The number of published catalogs.
    pub published: u64,
    /// The number of events from the watches, without bookmarks.
    pub events: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KindStatus {
    /// The resource with its group: `network-attachment-definitions.k8s.cni.cncf.io`.
    pub resource: String,
    /// True if nothing is published before the kind is known.
    pub required: bool,
    /// The knowledge of the kind's objects.
    pub state: KindState,
    /// The failure of the watch, if it is disconnected. The last known objects still count.
    pub stale: Option<Stale>,
    /// The number of the kind's objects in the catalog.
    pub objects: usize,
}

/// The knowledge of the objects of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KindState {
    /// Not known yet.
    #[default]
    Waiting,
    /// All are known.
    Synced,
    /// The cluster does not have the kind, and so no objects.
    Missing,
    /// nadmit may not list or watch the kind.
    Forbidden,
}

/// The failure of a disconnected watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stale {
    /// The time at which the watch was lost.
    pub since: Instant,
    /// The last error.
    pub error: String,
}

impl ClusterStatus {
    /// Returns the kinds that are disconnected at present.
    pub fn stale(&self) -> impl Iterator<Item = &KindStatus> {
        self.kinds.iter().filter(|kind| kind.stale.is_some())
    }
}
