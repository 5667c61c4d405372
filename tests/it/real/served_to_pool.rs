//! A served network of Whereabouts that becomes a network of an AddressPool while its pods run, and goes
//! back.

use std::collections::BTreeMap;

use libtest_mimic::Failed;
use serde_json::{Value, json};

use super::{
    NamedTest,
    cluster::RealCluster,
    page_shell::PageShell,
    served::{network, serving_cluster, until_entries},
    statefulset::{AddressesByPod, agreed},
    steps::stateful_set,
};
use crate::support::{TestResult, same};

/// Tests that need Whereabouts's plugin.
pub(super) const TESTS: &[NamedTest] = named![a_served_network_moves_to_a_pool_and_back];

const NAMESPACE: &str = "db";
const ENTRIES: &str = "198.51.100.0-27";
const REPLICAS: usize = 2;

/// Returns the network with static IPAM, whose addresses a pool assigns.
fn of_pool(cluster: &RealCluster) -> Result<Value, Failed> {
    let mut network = network(cluster, NAMESPACE, "storage", &json!({}))?;
    let config = network["spec"]["config"].as_str().unwrap_or_default();
    let mut config: Value = serde_json::from_str(config)?;
    config["capabilities"] = json!({"ips": true});
    config["ipam"] = json!({"type": "static"});
    network["spec"]["config"] = config.to_string().into();
    network["metadata"]["annotations"] = json!({"nadmit.io/address-pool": "storage"});
    Ok(network)
}

fn pool() -> Value {
    json!({
        "apiVersion": "nadmit.io/v1alpha1", "kind": "AddressPool",
        "metadata": {"name": "storage"},
        "spec": {
            "ranges": [{"range": "198.51.100.0/27"}],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}},
        },
    })
}

fn scale(cluster: &RealCluster, replicas: usize) -> Result<(), Failed> {
    let argument = format!("--replicas={replicas}");
    let arguments = ["scale", "-n", NAMESPACE, "statefulset/db", &argument];
    cluster.done(&arguments, "")?;
    cluster.until_pods(NAMESPACE, replicas).map(drop)
}

fn assigned(cluster: &RealCluster) -> Result<AddressesByPod, Failed> {
    let pods = cluster.until_pods(NAMESPACE, REPLICAS)?;
    agreed(cluster, NAMESPACE, pods.keys())
}

/// Waits until all records are of this pool.
fn until_recorded_by(cluster: &RealCluster, pool: &str) -> TestResult {
    cluster.soon(&format!("not all records are of {pool}"), || {
        let records = cluster.get(&["addressallocations"])?;
        let records = records["items"].as_array().cloned().unwrap_or_default();
        let all = records.iter().all(|record| record["spec"]["pool"] == pool);
        Ok((all && records.len() == REPLICAS).then_some(()))
    })
}

fn a_served_network_moves_to_a_pool_and_back() -> TestResult {
    let cluster = serving_cluster()?;
    let before = network(
        &cluster,
        NAMESPACE,
        "storage",
        &json!({"range": "198.51.100.0/27"}),
    )?;
    cluster.apply(&[
        before.clone(),
        stateful_set(NAMESPACE, "db", u32::try_from(REPLICAS)?, "storage"),
    ])?;
    let first = assigned(&cluster)?;

    // The pool takes the running pods over, and the plugin frees its entries when their sandboxes end.
    cluster.apply(&[of_pool(&cluster)?, pool()])?;
    until_recorded_by(&cluster, "storage")?;
    for pod in first.keys() {
        cluster.done(&["delete", "pod", "-n", NAMESPACE, pod], "")?;
    }
    same(&assigned(&cluster)?, &first)?;
    until_entries(&cluster, ENTRIES, "empty", BTreeMap::is_empty)?;

    // Back, without running pods, as Whereabouts's records are empty.
    scale(&cluster, 0)?;
    let shell = PageShell::new(&cluster)?;
    for address in first.values().flatten() {
        shell.well(&format!(
            "kubectl exec -n nadmit deploy/nadmit -- /nadmit release {address} --yes"
        ))?;
    }
    cluster.apply(&[before])?;
    cluster.soon("the pool is not deleted", || {
        let arguments = ["delete", "addresspool", "storage", "--ignore-not-found"];
        Ok(cluster.done(&arguments, "").is_ok().then_some(()))
    })?;
    scale(&cluster, REPLICAS)?;
    same(&assigned(&cluster)?, &first)?;
    until_entries(&cluster, ENTRIES, "nadmit's", |entries| {
        entries.len() == REPLICAS && entries.values().all(|(_, id)| id.starts_with("nadmit:"))
    })?;
    cluster.is_content()
}
