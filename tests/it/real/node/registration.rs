//! The Node objects: registered, ready, and kept ready by their Leases.

use std::{net::IpAddr, time::Duration};

use kube::{
    Client,
    api::{Api, DynamicObject, Patch, PatchParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::now;

/// The interval between renewals of a Lease; the kubelet's is 10 s.
const RENEW_INTERVAL: Duration = Duration::from_secs(5);
const MANAGER: &str = "node-of-a-test";
const LEASES: &str = "kube-node-lease";

/// Registers the nodes.
///
/// # Errors If the API server refuses.
pub(super) async fn register(
    client: &Client,
    names: &[String],
    address: IpAddr,
) -> Result<(), kube::Error> {
    let nodes = api(client, "", "v1", "Node", "nodes", None);
    for (index, name) in names.iter().enumerate() {
        let node = json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name, "labels": {
                "kubernetes.io/hostname": name, "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "topology.kubernetes.io/zone": format!("zone-{}", index + 1),
            }},
        });
        let parameters = PatchParams::apply(MANAGER).force();
        nodes.patch(name, &parameters, &Patch::Apply(node)).await?;
        let status = Patch::Merge(json!({"status": status(name, address)}));
        nodes
            .patch_status(name, &PatchParams::default(), &status)
            .await?;
        renew(client, name).await?;
    }
    Ok(())
}

/// Renews the Leases forever.
pub(super) async fn keep(client: Client, names: Vec<String>) {
    loop {
        sleep(RENEW_INTERVAL).await;
        for name in &names {
            // The API server may be busy; the Lease lasts for several attempts.
            let _ = renew(&client, name).await;
        }
    }
}

async fn renew(client: &Client, name: &str) -> Result<(), kube::Error> {
    let group = "coordination.k8s.io";
    let leases = api(client, group, "v1", "Lease", "leases", Some(LEASES));
    let moment = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ");
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name},
        "spec": {
            "holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": moment.to_string(),
        },
    });
    let parameters = PatchParams::apply(MANAGER).force();
    leases
        .patch(name, &parameters, &Patch::Apply(lease))
        .await
        .map(drop)
}

fn status(name: &str, address: IpAddr) -> Value {
    let condition = |kind: &str, status: &str, reason: &str| {
        json!({
            "type": kind, "status": status, "reason": reason, "message": "a node of a test",
            "lastHeartbeatTime": now(), "lastTransitionTime": now(),
        })
    };
    let resources =
        json!({"cpu": "8", "memory": "16Gi", "pods": "110", "ephemeral-storage": "64Gi"});
    json!({
        "capacity": resources, "allocatable": resources,
        "addresses": [
            {"type": "InternalIP", "address": address}, {"type": "Hostname", "address": name},
        ],
        "conditions": [
            condition("MemoryPressure", "False", "KubeletHasSufficientMemory"),
            condition("DiskPressure", "False", "KubeletHasNoDiskPressure"),
            condition("PIDPressure", "False", "KubeletHasSufficientPID"),
            condition("Ready", "True", "KubeletReady"),
        ],
    })
}

fn api(
    client: &Client,
    group: &str,
    version: &str,
    kind: &str,
    plural: &str,
    namespace: Option<&str>,
) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk(group, version, kind);
    let resource = ApiResource::from_gvk_with_plural(&kind, plural);
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}
