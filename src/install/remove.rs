//! Uninstalls nadmit: webhooks first, so that no request waits for missing replicas. Definitions and
//! records stay unless they are purged.

use kube::{
    Client,
    api::{DeleteParams, ListParams},
};
use serde_json::Value;

use super::{
    Certificates, ExistingInstallation, HelmPolicy, HelmRelease, InstallError, InstallProgress,
    InstallSettings, ProgressFn, Wait, manifests, object,
    render::monitoring_objects,
    rights::{granted_namespaces, revoke},
    wait::gone,
};
use crate::sources::Cluster;

/// Kinds of records, with their plural for messages.
const RECORD_KINDS: [(&str, &str); 4] = [
    ("AddressPool", "address pools"),
    ("AddressReservation", "reservations"),
    ("AddressAllocation", "allocations"),
    ("AddressSlice", "slices"),
];

/// Number of records of each kind that a purge would delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordCounts(pub Vec<(&'static str, usize)>);

impl RecordCounts {
    /// Returns true if all counts are zero.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|(_, count)| *count == 0)
    }
}

impl std::fmt::Display for RecordCounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (place, (what, count)) in self.0.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            write!(f, "{comma}{count} {what}")?;
        }
        Ok(())
    }
}

/// Counts nadmit's records.
///
/// # Errors
/// When they cannot be listed.
pub async fn count_records(cluster: &Cluster) -> Result<RecordCounts, InstallError> {
    let client = cluster.client();
    let mut found = Vec::new();
    for (kind, what) in RECORD_KINDS {
        let api = object::api_of(&client, "nadmit.io/v1alpha1", kind, None);
        let page = ListParams::default().limit(1);
        let count = match api.list_metadata(&page).await {
            Ok(list) => {
                let more = list.metadata.remaining_item_count.unwrap_or_default();
                list.items.len() + usize::try_from(more).unwrap_or_default()
            }
            Err(kube::Error::Api(status)) if status.code == 404 => 0,
            Err(error) => return Err(InstallError::of(format!("count the {what}"), &error)),
        };
        found.push((what, count));
    }
    Ok(RecordCounts(found))
}

/// Options of an uninstallation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UninstallOptions {
    /// Time to wait for the deletions.
    pub wait: Wait,
    /// Treatment of an installation that Helm manages.
    pub release: HelmPolicy,
}

/// Deletes the objects of an installation, whichever overlay it used, except the definitions of kinds and
/// their records, and waits for the deletions.
///
/// # Errors
/// When the API server refuses, when an object still exists after the timeout, or when Helm manages the
/// installation. Deleted objects stay deleted; a repeated call continues.
pub async fn uninstall(
    client: &Client,
    removal: UninstallOptions,
    progress: ProgressFn<'_>,
) -> Result<(), InstallError> {
    if removal.release == HelmPolicy::Leave
        && let Some(HelmRelease { name, namespace }) =
            ExistingInstallation::read(client).await?.release
    {
        let instead = format!(
            "remove it with helm uninstall {name} -n {namespace}, or add --take-over if Helm does not know it anymore"
        );
        return Err(InstallError::ManagedByHelm {
            name,
            namespace,
            instead,
        });
    }
    let mut objects: Vec<Value> = Vec::new();
    for certificates in Certificates::ALL {
        let settings = InstallSettings {
            certificates: Some(certificates),
            monitoring: Some(true),
            ..InstallSettings::default()
        };
        for one in manifests(&settings)? {
            if !objects
                .iter()
                .any(|other| object::display_name(other) == object::display_name(&one))
            {
                objects.push(one);
            }
        }
    }
    objects.sort_by_key(object::apply_order);
    objects.retain(|one| !is_definition(one));
    let granted = granted_namespaces(client).await?;
    for one in objects.iter().rev() {
        delete(client, one, progress).await?;
    }
    revoke(client, granted.iter().map(String::as_str), progress).await?;
    // The namespace is deleted last, with everything in it.
    let namespace: Vec<Value> = objects
        .into_iter()
        .filter(|one| object::kind(one) == "Namespace")
        .collect();
    await_deletion(client, &namespace, removal.wait, progress).await
}

/// Deletes the definitions of nadmit's kinds, and with them all pools, reservations and allocations.
///
/// # Errors
/// When the API server refuses, or an object still exists after the timeout.
pub async fn purge(
    client: &Client,
    wait: Wait,
    progress: ProgressFn<'_>,
) -> Result<(), InstallError> {
    let mut definitions = manifests(&InstallSettings::default())?;
    definitions.retain(is_definition);
    for one in &definitions {
        delete(client, one, progress).await?;
    }
    await_deletion(client, &definitions, wait, progress).await
}

/// Deletes the objects that `--monitoring` adds.
pub(super) async fn delete_monitoring(
    client: &Client,
    progress: ProgressFn<'_>,
) -> Result<(), InstallError> {
    for one in monitoring_objects()? {
        delete(client, &one, progress).await?;
    }
    Ok(())
}

async fn await_deletion(
    client: &Client,
    objects: &[Value],
    wait: Wait,
    progress: ProgressFn<'_>,
) -> Result<(), InstallError> {
    let Wait::For(timeout) = wait else {
        return Ok(());
    };
    for one in objects {
        progress(InstallProgress::Waiting(format!(
            "{} to be deleted",
            object::display_name(one)
        )));
        gone(client, one, timeout).await?;
    }
    Ok(())
}

fn is_definition(object: &Value) -> bool {
    object::kind(object) == "CustomResourceDefinition"
}

async fn delete(
    client: &Client,
    one: &Value,
    progress: ProgressFn<'_>,
) -> Result<(), InstallError> {
    let called = object::display_name(one);
    let parameters = DeleteParams::background();
    match object::api(client, one)
        .delete(object::name(one), &parameters)
        .await
    {
        Ok(_) => progress(InstallProgress::Deleted(called)),
        // The object, its kind or its namespace does not exist.
        Err(kube::Error::Api(status)) if status.code == 404 => {}
        Err(error) => return Err(InstallError::of(format!("delete {called}"), &error)),
    }
    Ok(())
}
