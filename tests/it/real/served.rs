//! Networks of Whereabouts that nadmit serves: the unmodified plugin gives the addresses that nadmit
//! assigned, and they outlive their pods.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use libtest_mimic::Failed;
use serde_json::{Value, json};

use super::{
    NamedTest,
    cluster::{IMAGE, RealCluster, TIMEOUT},
    statefulset::{AddressesByPod, agreed},
    steps::{namespace, stateful_set},
};
use crate::support::{TestResult, same};
use crate::whereabouts::KINDS;

/// Tests that need Whereabouts's plugin.
pub(super) const TESTS: &[NamedTest] = named![a_network_of_whereabouts_is_served_in_place];

const NAMESPACE: &str = "db";
pub(super) const HOME: &str = "kube-system";

/// Installs nadmit, which serves the networks of Whereabouts.
pub(super) fn serving_cluster() -> Result<RealCluster, Failed> {
    serving_cluster_with(&[])
}

/// Installs nadmit, which serves the networks of Whereabouts, in a cluster with these further kinds.
pub(super) fn serving_cluster_with(definitions: &[Value]) -> Result<RealCluster, Failed> {
    let cluster = RealCluster::start(2)?;
    let whereabouts = KINDS.iter().map(|kind| kind.definition());
    for definition in whereabouts.chain(definitions.iter().cloned()) {
        cluster.apply(&[definition])?;
    }
    std::fs::write(cluster.roots()?.join("whereabouts.conf"), "{}")?;
    cluster.nadmit_does(&["install", "--image", IMAGE, "--whereabouts", "serve"])?;
    cluster.apply(&[namespace(NAMESPACE, &[("nadmit.io/injection", "enabled")])])?;
    Ok(cluster)
}

/// Returns a network of Whereabouts on the host's interface.
pub(super) fn network(
    cluster: &RealCluster,
    namespace: &str,
    name: &str,
    ipam: &Value,
) -> Result<Value, Failed> {
    let mut ipam = ipam.clone();
    ipam["type"] = "whereabouts".into();
    ipam["kubernetes"] = json!({"kubeconfig": cluster.kubeconfig()});
    // On a node this is a file at a fixed path.
    ipam["configuration_path"] = cluster
        .roots()?
        .join("whereabouts.conf")
        .display()
        .to_string()
        .into();
    let config = json!({
        "cniVersion": "0.3.1", "name": name, "type": "macvlan", "master": cluster.master(),
        "mode": "bridge", "ipam": ipam,
    });
    Ok(json!({
        "apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"config": config.to_string()},
    }))
}

/// Returns the entries of an `IPPool` by offset: pod reference and id.
pub(super) fn entries(
    cluster: &RealCluster,
    pool: &str,
) -> Result<BTreeMap<String, (String, String)>, Failed> {
    let object = cluster.get(&["ippools.whereabouts.cni.cncf.io", "-n", HOME, pool])?;
    let all = object["spec"]["allocations"].as_object().cloned();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let entry = |(key, one): (String, Value)| (key, (text(&one["podref"]), text(&one["id"])));
    Ok(all.into_iter().flatten().map(entry).collect())
}

/// Waits until the entries of a pool are as a condition has it.
pub(super) fn until_entries(
    cluster: &RealCluster,
    pool: &str,
    what: &str,
    holds: impl Fn(&BTreeMap<String, (String, String)>) -> bool,
) -> TestResult {
    until_entries_within(TIMEOUT, cluster, pool, what, holds)
}

/// Waits as [`until_entries`] does, for this time.
pub(super) fn until_entries_within(
    timeout: Duration,
    cluster: &RealCluster,
    pool: &str,
    what: &str,
    holds: impl Fn(&BTreeMap<String, (String, String)>) -> bool,
) -> TestResult {
    cluster.soon_within(timeout, &format!("{pool} is not {what}"), || {
        let found = entries(cluster, pool)?;
        match holds(&found) {
            true => Ok(Some(())),
            false => {
                println!("{pool}: {found:?}");
                Ok(None)
            }
        }
    })
}

fn scale(cluster: &RealCluster, replicas: u32) -> TestResult {
    let replicas = format!("--replicas={replicas}");
    let arguments = ["scale", "-n", NAMESPACE, "statefulset/db", &replicas];
    cluster.done(&arguments, "").map(drop)
}

fn given(cluster: &RealCluster) -> Result<AddressesByPod, Failed> {
    let pods = cluster.until_pods(NAMESPACE, 3)?;
    agreed(cluster, NAMESPACE, pods.keys())
}

fn a_network_of_whereabouts_is_served_in_place() -> TestResult {
    const POOL: &str = "198.51.100.0-27";
    let cluster = serving_cluster()?;
    let ipam = json!({"range": "198.51.100.0/27", "exclude": ["198.51.100.1/32"]});
    cluster.apply(&[network(&cluster, NAMESPACE, "storage", &ipam)?])?;
    cluster.apply(&[stateful_set(NAMESPACE, "db", 3, "storage")])?;
    let first = given(&cluster)?;
    let addresses: BTreeSet<&String> = first.values().flatten().collect();
    let expected = ["198.51.100.2", "198.51.100.3", "198.51.100.4"].map(String::from);
    same(&addresses, &expected.iter().collect())?;
    // The ids have nadmit's mark: no sandbox's DEL frees an address.
    until_entries(&cluster, POOL, "taken over", |entries| {
        entries.len() == 3 && entries.values().all(|(_, id)| id.starts_with("nadmit:"))
    })?;

    // A recreated replica has the address of its predecessor, and so have those of a set that was scaled.
    cluster.done(&["delete", "pod", "-n", NAMESPACE, "db-1"], "")?;
    same(&given(&cluster)?, &first)?;
    scale(&cluster, 0)?;
    cluster.until_pods(NAMESPACE, 0)?;
    until_entries(&cluster, POOL, "held", |entries| {
        entries.len() == 3 && entries.values().all(|(pod, _)| pod.is_empty())
    })?;

    // A pod without nadmit gets another address from the plugin, which nadmit leaves to it.
    cluster.apply(&[
        namespace("web", &[]),
        network(&cluster, "web", "storage", &ipam)?,
        stateful_set("web", "web", 1, "storage"),
    ])?;
    cluster.until_pods("web", 1)?;
    same(
        &cluster.reported("web", "web-0", "net1")?,
        &vec!["198.51.100.5".to_owned()],
    )?;
    scale(&cluster, 4)?;
    let pods = cluster.until_pods(NAMESPACE, 4)?;
    let again = agreed(&cluster, NAMESPACE, pods.keys())?;
    same(&again["db-3"], &vec!["198.51.100.6".to_owned()])?;
    for (pod, addresses) in &first {
        same(&again[pod], addresses)?;
    }
    cluster.is_content()
}
