//! nadmit's rights on Whereabouts's records: a Role and its binding in Whereabouts's namespace.

use std::{collections::BTreeSet, fmt, time::Duration};

use kube::{
    Client, ResourceExt as _,
    api::{DeleteParams, DynamicObject, ListParams},
};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{
    InstallError, InstallProgress, ProgressFn,
    apply::is_openshift,
    object,
    settings::{OPENSHIFT_WHEREABOUTS, WHEREABOUTS_ROLE},
};
use crate::whereabouts::{FINALIZER, MARK};

const RBAC: &str = "rbac.authorization.k8s.io/v1";
const WHEREABOUTS: &str = "whereabouts.cni.cncf.io/v1alpha1";
/// Polling interval.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Kinds of the rights, in the order of their deletion.
const KINDS: [&str; 2] = ["RoleBinding", "Role"];

/// Number of Whereabouts's records that name nadmit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct KeptRecords {
    entries: usize,
    reservations: usize,
}

/// Returns the namespaces in which nadmit has rights on Whereabouts's records.
///
/// # Errors
/// When the API server refuses.
pub(super) async fn granted_namespaces(client: &Client) -> Result<BTreeSet<String>, InstallError> {
    let mut found = BTreeSet::new();
    let named = ListParams::default().fields(&format!("metadata.name={WHEREABOUTS_ROLE}"));
    for kind in KINDS {
        let api = object::api_of(client, RBAC, kind, None);
        let what = || format!("list each {kind} {WHEREABOUTS_ROLE}");
        let list = api.list(&named).await;
        let list = list.map_err(|error| InstallError::of(what(), &error))?;
        found.extend(list.into_iter().filter_map(|one| one.namespace()));
    }
    Ok(found)
}

/// Detects the namespace of Whereabouts's records: that of the `IPPool`s, else OpenShift's. `None` if
/// neither exists, as in a cluster with upstream's manifests and no addresses yet.
pub(super) async fn record_namespace(client: &Client) -> Option<String> {
    let pools = object::api_of(client, WHEREABOUTS, "IPPool", None);
    // Without the kind or the permission, the platform decides.
    if let Ok(found) = pools.list_metadata(&ListParams::default().limit(1)).await
        && let Some(namespace) = found.into_iter().find_map(|one| one.namespace())
    {
        return Some(namespace);
    }
    if !is_openshift(client).await {
        return None;
    }
    let namespaces = object::api_of(client, "v1", "Namespace", None);
    let found = object::get(&namespaces, OPENSHIFT_WHEREABOUTS).await;
    let exists = found.is_ok_and(|found| found.is_some());
    exists.then(|| OPENSHIFT_WHEREABOUTS.to_owned())
}

/// Takes nadmit's rights on Whereabouts's records away in these namespaces.
///
/// # Errors
/// When the API server refuses.
pub(super) async fn revoke<'n>(
    client: &Client,
    namespaces: impl IntoIterator<Item = &'n str>,
    progress: ProgressFn<'_>,
) -> Result<(), InstallError> {
    for namespace in namespaces {
        for kind in KINDS {
            let api = object::api_of(client, RBAC, kind, Some(namespace));
            let called = format!("{kind} {namespace}/{WHEREABOUTS_ROLE}");
            match api.delete(WHEREABOUTS_ROLE, &DeleteParams::default()).await {
                Ok(_) => progress(InstallProgress::Deleted(called)),
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => return Err(InstallError::of(format!("delete {called}"), &error)),
            }
        }
    }
    Ok(())
}

/// Waits until the replicas have given back everything that nadmit keeps in Whereabouts's records.
///
/// # Errors
/// When the API server refuses, or something is still kept after the timeout.
pub(super) async fn released(client: &Client, timeout: Duration) -> Result<(), InstallError> {
    let end = Instant::now() + timeout;
    loop {
        let kept = KeptRecords::count(client).await?;
        if kept.is_none() {
            return Ok(());
        }
        if Instant::now() >= end {
            return Err(InstallError::Timeout {
                what: "the replicas have not released the addresses of Whereabouts".to_owned(),
                waited: timeout,
                last: kept.to_string(),
                help: "see kubectl logs -n nadmit deploy/nadmit, or run nadmit whereabouts release --all; then \
                       install again, which takes nadmit's rights on these records away",
            });
        }
        sleep(POLL_INTERVAL).await;
    }
}

impl KeptRecords {
    async fn count(client: &Client) -> Result<Self, InstallError> {
        let entries = |pool: &DynamicObject| {
            let all = pool.data["spec"]["allocations"].as_object();
            let ids = all.into_iter().flatten().map(|(_, one)| &one["id"]);
            ids.filter_map(Value::as_str)
                .filter(|id| id.starts_with(MARK))
                .count()
        };
        let pools = list(client, "IPPool").await?;
        let reservations = list(client, "OverlappingRangeIPReservation").await?;
        let is_kept = |one: &&DynamicObject| one.finalizers().iter().any(|one| one == FINALIZER);
        Ok(Self {
            entries: pools.iter().map(entries).sum(),
            reservations: reservations.iter().filter(is_kept).count(),
        })
    }

    fn is_none(self) -> bool {
        self.entries == 0 && self.reservations == 0
    }
}

impl fmt::Display for KeptRecords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            entries,
            reservations,
        } = self;
        write!(
            f,
            "{entries} entries of IPPools and {reservations} OverlappingRangeIPReservations name nadmit"
        )
    }
}

/// Lists a kind of Whereabouts's; a cluster without the kind has no objects of it.
async fn list(client: &Client, kind: &str) -> Result<Vec<DynamicObject>, InstallError> {
    let api = object::api_of(client, WHEREABOUTS, kind, None);
    match api.list(&ListParams::default()).await {
        Ok(found) => Ok(found.items),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(Vec::new()),
        Err(error) => Err(InstallError::of(format!("list each {kind}"), &error)),
    }
}
