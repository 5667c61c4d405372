//! Gives Whereabouts back what nadmit keeps in its records, without a server.
//!
//! [`release_whereabouts`] reads the records live, plans as the leader does for networks that are not served
//! any more ([`ServedPlan`]), and writes until nothing of Whereabouts names nadmit.

use std::{collections::BTreeSet, fmt, net::IpAddr, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream};
use kube::{Client, api::ListParams};
use thiserror::Error;
use tokio::time::{Instant, sleep};

use super::{InstallError, object, rollout::PODS};
use crate::{
    allocation::Stored,
    api::call::RetryPolicy,
    catalog::Catalog,
    check::{self, File},
    ledger::{
        Actor, ClusterLedger, ClusterLedgerOptions, Ledger, Pacing, ReadError, Store as _,
        WhereaboutsError, WhereaboutsLedger, WhereaboutsWrite,
    },
    reconcile::{ServedPlan, ServedWrite},
    sources::{self, Cluster, ClusterError, ClusterQuery, UnreadableList, WhereaboutsKinds},
    whereabouts::{DesiredEntry, DesiredUse, PodName},
};

/// Time limits of a request and of all its attempts: a person waits, not a webhook.
const RETRY_POLICY: RetryPolicy = RetryPolicy {
    attempt_timeout: Duration::from_secs(20),
    total_timeout: Duration::from_secs(40),
    initial_backoff: Duration::from_millis(200),
    max_backoff: Duration::from_secs(2),
};
/// Pause between two passes.
const PAUSE: Duration = Duration::from_millis(500);
/// Number of addresses that are written concurrently.
const CONCURRENCY: usize = 16;

/// An address that nadmit does not keep any more in Whereabouts's records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleasedAddress {
    /// Namespace and name of the `IPPool`, or of the reservation without an entry.
    pub record: String,
    pub address: IpAddr,
    /// Pod that keeps it; `None` if the address is free.
    pub left_to: Option<PodName>,
}

/// An address that nadmit still keeps in Whereabouts's records.
#[derive(Debug)]
pub struct KeptAddress {
    pub address: ReleasedAddress,
    /// Reason, if writing was tried.
    pub reason: Option<WhereaboutsError>,
}

/// A failure to read what a release rests on.
#[derive(Debug, Error)]
pub enum ReleaseError {
    #[error(transparent)]
    Read(#[from] ClusterError),
    #[error("{0}")]
    Unreadable(UnreadableList),
    #[error("cannot list nadmit's allocations")]
    Records(#[from] ReadError),
}

impl fmt::Display for ReleasedAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.left_to {
            Some(pod) => write!(f, "{} to pod {pod} in {}", self.address, self.record),
            None => write!(f, "{} in {}", self.address, self.record),
        }
    }
}

impl fmt::Display for KeptAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ReleasedAddress {
            address, record, ..
        } = &self.address;
        write!(f, "{address} in {record}")?;
        match &self.reason {
            Some(reason) => write!(f, ": {reason}"),
            None => Ok(()),
        }
    }
}

/// Returns the number of nadmit's pods in its namespace that have not ended.
///
/// # Errors
/// When the API server refuses.
pub async fn count_replicas(client: &Client, namespace: &str) -> Result<usize, InstallError> {
    let api = object::api_of(client, "v1", "Pod", Some(namespace));
    let own = ListParams::default().labels(PODS);
    let pods = api.list(&own).await;
    let pods = pods.map_err(|error| InstallError::of("list nadmit's pods", &error))?;
    let has_ended = |phase: Option<&str>| matches!(phase, Some("Succeeded" | "Failed"));
    let phase = |pod: &kube::api::DynamicObject| {
        let phase = pod.data["status"]["phase"].as_str();
        has_ended(phase)
    };
    Ok(pods.iter().filter(|pod| !phase(pod)).count())
}

/// Puts the ids of containers back into the entries of pods that exist, and removes holds, reservations
/// without a pod, and finalizers. `released` is called for each address. Repeats until nothing of
/// Whereabouts names nadmit, or the time is over. Returns what nadmit still keeps.
///
/// # Errors
/// When something that the decision rests on cannot be read.
pub async fn release_whereabouts(
    cluster: &Cluster,
    timeout: Duration,
    mut released: impl FnMut(&ReleasedAddress),
) -> Result<Vec<KeptAddress>, ReleaseError> {
    let end = Instant::now() + timeout;
    let ledger = ledger(cluster);
    let writer = WhereaboutsLedger::new(
        cluster.client(),
        RETRY_POLICY,
        Arc::clone(&ledger),
        Pacing::default(),
    );
    let mut kept: Vec<KeptAddress> = Vec::new();
    loop {
        let records = match cluster.has_allocations().await? {
            true => ledger.list().await?.0,
            false => Vec::new(),
        };
        let records: Vec<Arc<Stored>> = records.into_iter().map(Arc::new).collect();
        let catalog = read(cluster, &records).await?;
        let plan = ServedPlan::of(&catalog, &records, &[]);
        if plan.writes.is_empty() || Instant::now() >= end {
            kept.retain(|one| {
                plan.writes
                    .iter()
                    .any(|write| one.address == address_of(write))
            });
            let known: BTreeSet<String> = kept.iter().map(|one| one.address.to_string()).collect();
            let further = plan.writes.iter().map(address_of);
            let further = further.filter(|one| !known.contains(&one.to_string()));
            kept.extend(further.map(|address| KeptAddress {
                address,
                reason: None,
            }));
            return Ok(kept);
        }
        let writes = stream::iter(plan.writes).map(|write| {
            let address = address_of(&write);
            let write = WhereaboutsWrite {
                entry: write.entry,
                // No replica writes, and nadmit's kinds may be gone.
                guards: Vec::new(),
            };
            let writer = &writer;
            async move { (address, writer.write(vec![write], end).await) }
        });
        let mut writes = writes.buffer_unordered(CONCURRENCY);
        kept.clear();
        while let Some((address, outcome)) = writes.next().await {
            match outcome {
                Ok(()) => released(&address),
                Err(reason) => kept.push(KeptAddress {
                    address,
                    reason: Some(reason),
                }),
            }
        }
        drop(writes);
        if is_refused(&kept) {
            return Ok(kept);
        }
        if !kept.is_empty() {
            sleep(PAUSE).await;
        }
    }
}

/// Returns true if each address was refused by the API server, so that repeating would not help.
fn is_refused(kept: &[KeptAddress]) -> bool {
    let is_final = |one: &KeptAddress| matches!(one.reason, Some(WhereaboutsError::Api(_)));
    !kept.is_empty() && kept.iter().all(is_final)
}

fn ledger(cluster: &Cluster) -> Arc<Ledger> {
    let options = ClusterLedgerOptions {
        retry_policy: RETRY_POLICY,
        actor: Actor::Operator,
        ..ClusterLedgerOptions::new("nadmit-release")
    };
    Arc::new(ClusterLedger::new(cluster.client(), options).into())
}

/// Reads the records of Whereabouts, then the pods that they or nadmit's records name.
async fn read(cluster: &Cluster, records: &[Arc<Stored>]) -> Result<Catalog, ReleaseError> {
    let query = |whereabouts, pods| ClusterQuery::Addresses {
        pools: false,
        whereabouts,
        pods,
    };
    let all = WhereaboutsKinds::All;
    let mut found = cluster.read(&query(all, Vec::new()), |_| ()).await?;
    let objects = found.take_whereabouts();
    let lists = found.unreadable;
    let mut unreadable = lists.iter().filter(|list| !is_network(list));
    if let Some(list) = unreadable.next() {
        return Err(ReleaseError::Unreadable(list.clone()));
    }
    let mut catalog = Catalog::default();
    sources::put_records(&mut catalog, all, &objects, &[]);
    let pods: Vec<(String, String)> = pods_of(&catalog, records).into_iter().collect();
    let found = cluster
        .read(&query(WhereaboutsKinds::None, pods), |_| ())
        .await?;
    if let Some(list) = found.unreadable.into_iter().find(|list| !is_network(list)) {
        return Err(ReleaseError::Unreadable(list));
    }
    let files: Vec<File> = found.objects.into_iter().map(File::of_cluster).collect();
    let (mut catalog, _) = check::catalog_in(&[], &files);
    sources::put_records(&mut catalog, all, &objects, &[]);
    Ok(catalog)
}

/// Returns true for the list of networks, on which a release does not rest.
fn is_network(list: &UnreadableList) -> bool {
    list.resource == "network-attachment-definitions"
}

/// Returns the namespaces and names of the pods that may use an address which nadmit keeps.
fn pods_of(catalog: &Catalog, records: &[Arc<Stored>]) -> BTreeSet<(String, String)> {
    let known = catalog.whereabouts();
    let entries = known.pools().flat_map(|one| one.pool.entries.iter());
    let entries = entries.filter(|entry| entry.is_kept());
    let reservations = known.reservations().filter(|one| one.is_kept());
    let named = entries
        .filter_map(|entry| entry.pod.as_ref())
        .chain(reservations.filter_map(|one| one.pod.as_ref()));
    let named = named.map(|pod| (pod.namespace.to_string(), pod.name.to_string()));
    let recorded = records.iter().filter_map(|one| {
        let record = &one.allocation;
        let pod = record.pod.as_ref()?;
        let has_entry = record.address.ip().is_some_and(|address| {
            let mut entries = known.entries_at(address);
            entries.any(|found| found.entry.is_kept())
        });
        has_entry.then(|| (record.holder.namespace().to_string(), pod.name.to_string()))
    });
    named.chain(recorded).collect()
}

fn address_of(write: &ServedWrite) -> ReleasedAddress {
    let DesiredEntry { at, desired } = &write.entry;
    let record = match (&at.pool, &at.reservation) {
        (Some(pool), _) => format!("IPPool {}/{}", pool.namespace, pool.name),
        (None, name) => {
            let name = name.as_deref().unwrap_or_default();
            format!("OverlappingRangeIPReservation {}/{name}", at.namespace)
        }
    };
    ReleasedAddress {
        record,
        address: at.address,
        left_to: match desired {
            DesiredUse::Released { to, .. } => to.as_ref().map(|to| to.pod.clone()),
            _ => None,
        },
    }
}
