//! The objects of a living cluster, read once.
//!
//! [`Access`] says which cluster; [`Cluster::read`] lists what is [`ClusterQuery`] there, some kinds at a
//! time and page by page, and keeps of each object only what is read of manifests
//! ([`crate::manifests::read_all`]): a pod is some hundred bytes, and there is one way to read it.
//! Nothing is written, and nothing is watched.
//!
//! Guarantees:
//! - Lists are whole: one whose place was lost (410) is begun anew.
//! - A kind that the cluster does not have has no objects. One that may not be listed is an error,
//!   unless all that rests on it can be left out; then [`Found::unknown`] says what that is.
//! - No request lasts longer than a minute.

mod access;
mod error;
pub(super) mod kept;
pub(super) mod kinds;
pub(super) mod list;

pub use self::{
    access::{ClusterAccess, ClusterConnection, with_causes},
    error::ClusterError,
};

use std::cell::Cell;

use futures_util::{StreamExt as _, stream};
use thiserror::Error;

use self::kinds::{allocations, listings};

/// How many kinds are listed at a time.
const AT_A_TIME: usize = 4;

/// A cluster that can be asked.
pub struct Cluster {
    client: kube::Client,
    server: String,
    context: Option<String>,
}

/// What of a cluster is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClusterQuery {
    /// What manifests are judged against.
    Environment,
    /// Everything that can be judged, and what it is judged against.
    Everything {
        /// The namespace whose objects will be judged; all of them, if there is none.
        namespace: Option<String>,
    },
    /// The ConfigMap with nadmit's settings.
    Settings {
        /// nadmit's own namespace.
        namespace: String,
    },
    /// What addresses are asked about: networks, and these.
    Addresses {
        /// Whether pools and reservations are among it.
        pools: bool,
        /// Pods by namespace and name.
        pods: Vec<(String, String)>,
    },
}

/// An object of a cluster, without what nobody asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterObject {
    /// `Pod db/db-0`
    pub name: String,
    /// It, in JSON.
    pub text: String,
}

/// What a cluster holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterSnapshot {
    /// The objects: by kind, then in the API server's order.
    pub objects: Vec<ClusterObject>,
    /// How many more there are that have nothing to do with networks.
    pub unrelated: usize,
    /// What could not be read, and what is left out for that.
    pub unreadable: Vec<UnreadableList>,
}

/// A list that could not be read, and can be done without.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{consequence}: {error}")]
pub struct UnreadableList {
    /// Of what: `pods`.
    pub resource: &'static str,
    /// What is left out.
    consequence: String,
    /// Why.
    error: ClusterError,
}

impl Cluster {
    /// A client of it, for who reads more than manifests.
    pub fn client(&self) -> kube::Client {
        self.client.clone()
    }

    /// The URL of its API server.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The context of the kubeconfig that leads to it.
    pub fn context(&self) -> Option<&str> {
        self.context.as_deref()
    }

    /// Whether the cluster has allocations: without nadmit's definitions it has none.
    ///
    /// # Errors
    /// When they may not be listed, or the cluster does not answer.
    pub async fn has_allocations(&self) -> Result<bool, ClusterError> {
        self.has(&allocations()).await
    }

    /// Lists what is sought. `seen` is told how many objects were read so far.
    ///
    /// # Errors
    /// When something that others are judged against cannot be read.
    pub async fn read(
        &self,
        sought: &ClusterQuery,
        seen: impl Fn(usize),
    ) -> Result<ClusterSnapshot, ClusterError> {
        let count = Cell::new(0);
        let more = |objects: usize| {
            count.set(count.get() + objects);
            seen(count.get());
        };
        let listings = listings(sought);
        let lists = listings.iter().map(|listing| self.list(listing, &more));
        let mut lists = stream::iter(lists).buffered(AT_A_TIME);
        let mut found = ClusterSnapshot::default();
        let mut wanted = listings.iter();
        while let (Some(listing), Some(list)) = (wanted.next(), lists.next().await) {
            match (list, &listing.without) {
                (Ok(list), _) => {
                    found.objects.extend(list.objects);
                    found.unrelated += list.silent;
                }
                (Err(error @ ClusterError::Forbidden { .. }), Some(without)) => {
                    found.unreadable.push(UnreadableList {
                        resource: listing.kind.resource,
                        consequence: without.clone(),
                        error,
                    });
                }
                (Err(error), _) => return Err(error),
            }
        }
        known(sought, &found)?;
        Ok(found)
    }
}

/// A namespace that does not exist would be found faultless.
fn known(sought: &ClusterQuery, found: &ClusterSnapshot) -> Result<(), ClusterError> {
    let ClusterQuery::Everything {
        namespace: Some(namespace),
    } = sought
    else {
        return Ok(());
    };
    let name = kept::name("Namespace", "", namespace);
    if found.objects.iter().any(|object| object.name == name) {
        return Ok(());
    }
    Err(ClusterError::NoNamespace {
        namespace: namespace.clone(),
    })
}
