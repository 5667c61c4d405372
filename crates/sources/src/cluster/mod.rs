//! Reads the objects of a cluster once.
//!
//! [`ClusterAccess`] selects the cluster; [`Cluster::read`] lists the objects of a
//! [`ClusterQuery`], several kinds at a time and page by page. Each object is reduced to the fields
//! that [`nadmit_manifests::read_all`] reads, so that a pod takes some hundred bytes, and there is
//! a single reader. Nothing is written, and nothing is watched.
//!
//! Guarantees:
//! - Lists are complete: a list whose continue token has expired (410) is restarted.
//! - A kind that the cluster does not have has no objects. A kind that may not be listed is an
//!   error, unless everything that depends on it can be omitted; then it is reported in
//!   [`ClusterSnapshot::unreadable`].
//! - No request takes longer than a minute.

mod access;
mod audit_kinds;
mod error;
pub(super) mod kinds;
pub(super) mod list;
pub(super) mod projection;
mod requests;

pub use self::{
    access::{ClusterAccess, ClusterConnection, with_causes},
    error::ClusterError,
};

use std::cell::Cell;

use futures_util::{StreamExt as _, stream};
use thiserror::Error;

use self::{
    kinds::{IP_POOLS, OVERLAPPING_RESERVATIONS},
    requests::{allocation_request, list_requests},
};

/// The number of kinds that are listed concurrently.
const LIST_CONCURRENCY: usize = 4;

/// A connection to a cluster, with the name of its context.
pub struct Cluster {
    client: kube::Client,
    server: String,
    context: Option<String>,
}

/// The objects to read from a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClusterQuery {
    /// The objects against which manifests are checked.
    Environment,
    /// All objects that can be checked, and those against which they are checked.
    Everything {
        /// The namespace whose objects are checked; all namespaces if `None`.
        namespace: Option<String>,
    },
    /// The ConfigMap with nadmit's settings.
    Settings {
        /// nadmit's own namespace.
        namespace: String,
    },
    /// The objects for questions about addresses: networks, and the following.
    Addresses {
        /// True if pools and reservations are read.
        pools: bool,
        /// The records of Whereabouts.
        whereabouts: WhereaboutsKinds,
        /// The pods, by namespace and name.
        pods: Vec<(String, String)>,
    },
    /// The records of addresses, and what they are compared with: all objects of their kinds, pods
    /// that have ended and pods without networks included.
    Records,
}

/// The records of Whereabouts that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhereaboutsKinds {
    None,
    /// The `IPPool`s.
    Pools,
    /// The `IPPool`s and reservations.
    All,
}

/// An object of a cluster, reduced to the fields that are used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterObject {
    /// The object's kind, namespace and name: `Pod db/db-0`.
    pub name: String,
    /// The object in JSON.
    pub text: String,
}

/// The objects of a cluster at the time of reading.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterSnapshot {
    /// The objects, by kind and then in the API server's order.
    pub objects: Vec<ClusterObject>,
    /// The number of further objects that are unrelated to networks.
    pub unrelated: usize,
    /// The lists that could not be read, and their consequences.
    pub unreadable: Vec<UnreadableList>,
    /// The resources that the cluster does not have: `ippools`.
    pub missing: Vec<&'static str>,
}

/// An optional list that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{consequence}: {error}")]
pub struct UnreadableList {
    /// The resource: `pods`.
    pub resource: &'static str,
    /// The consequence, for the message.
    consequence: String,
    error: ClusterError,
}

impl Cluster {
    /// Returns a client, for callers that read more than manifests.
    pub fn client(&self) -> kube::Client {
        self.client.clone()
    }

    /// Returns the URL of the API server.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Returns the context of the kubeconfig.
    pub fn context(&self) -> Option<&str> {
        self.context.as_deref()
    }

    /// Returns true if the cluster has the kind `AddressAllocation`; without nadmit's CRDs it does
    /// not.
    ///
    /// # Errors
    /// Returns an error if they may not be listed, or the cluster does not respond.
    pub async fn has_allocations(&self) -> Result<bool, ClusterError> {
        self.has(&allocation_request()).await
    }

    /// Lists the objects of a query. `progress` is called with the number of objects read so far.
    ///
    /// # Errors
    /// Returns an error if a list that is not optional cannot be read.
    pub async fn read(
        &self,
        query: &ClusterQuery,
        progress: impl Fn(usize),
    ) -> Result<ClusterSnapshot, ClusterError> {
        let count = Cell::new(0);
        let more = |objects: usize| {
            count.set(count.get() + objects);
            progress(count.get());
        };
        let requests = list_requests(query);
        let lists = requests.iter().map(|request| self.list(request, &more));
        let mut lists = stream::iter(lists).buffered(LIST_CONCURRENCY);
        let mut found = ClusterSnapshot::default();
        let mut pending = requests.iter();
        while let (Some(request), Some(list)) = (pending.next(), lists.next().await) {
            match (list, &request.if_forbidden) {
                (Ok(list), _) => {
                    found.objects.extend(list.objects);
                    found
                        .missing
                        .extend(list.missing.then_some(request.kind.resource));
                    found.unrelated += list.unrelated;
                }
                (Err(error @ ClusterError::Forbidden { .. }), Some(without)) => {
                    found.unreadable.push(UnreadableList {
                        resource: request.kind.resource,
                        consequence: without.clone(),
                        error,
                    });
                }
                (Err(error), _) => return Err(error),
            }
        }
        check_namespace_exists(query, &found)?;
        Ok(found)
    }
}

impl ClusterSnapshot {
    /// Takes the records of Whereabouts out of the objects.
    pub fn take_whereabouts(&mut self) -> Vec<ClusterObject> {
        let kinds = [IP_POOLS, OVERLAPPING_RESERVATIONS];
        let is_record = |object: &mut ClusterObject| {
            let kind = object.name.split_once(' ').map(|(kind, _)| kind);
            kinds.iter().any(|one| Some(one.name) == kind)
        };
        self.objects.extract_if(.., is_record).collect()
    }
}

/// Returns an error if the namespace of the query does not exist; checking it would find no
/// mistakes.
fn check_namespace_exists(
    query: &ClusterQuery,
    found: &ClusterSnapshot,
) -> Result<(), ClusterError> {
    let ClusterQuery::Everything {
        namespace: Some(namespace),
    } = query
    else {
        return Ok(());
    };
    let name = projection::object_name("Namespace", "", namespace);
    if found.objects.iter().any(|object| object.name == name) {
        return Ok(());
    }
    Err(ClusterError::NoNamespace {
        namespace: namespace.clone(),
    })
}
