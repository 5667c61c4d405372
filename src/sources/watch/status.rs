//! What there is to say of the watches: for metrics, readiness, conditions and the log.

use tokio::time::Instant;

/// The state of all watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterStatus {
    /// Whether a catalog was published: all that is necessary was known once. It stays so.
    pub synced: bool,
    /// Each kind, in an order that does not change.
    pub kinds: Vec<KindStatus>,
    /// What is wrong with objects: those of a sort beside each other.
    pub problems: Vec<String>,
    /// How many catalogs were published.
    pub published: u64,
    /// How many events the watches brought, bookmarks aside.
    pub events: u64,
}

/// What is known of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KindStatus {
    /// The resource with its group: `network-attachment-definitions.k8s.cni.cncf.io`.
    pub resource: String,
    /// Whether nothing is published before it is known.
    pub required: bool,
    /// Whether its objects are known.
    pub state: KindState,
    /// Since when nothing is heard of it, and why. What was known before still counts.
    pub stale: Option<Stale>,
    /// How many of its objects the catalog has.
    pub objects: usize,
}

/// Whether the objects of a kind are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KindState {
    /// Not yet.
    #[default]
    Waiting,
    /// All of them are.
    Synced,
    /// The cluster has no such kind, and so none.
    Missing,
    /// Nadmit may not list or watch it.
    Forbidden,
}

/// A watch that tells nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stale {
    /// Since when.
    pub since: Instant,
    /// Why.
    pub error: String,
}

impl ClusterStatus {
    /// The kinds of which nothing is heard at the moment.
    pub fn stale(&self) -> impl Iterator<Item = &KindStatus> {
        self.kinds.iter().filter(|kind| kind.stale.is_some())
    }
}
