//! Pods on networks of Whereabouts that nadmit serves: several ranges, chosen addresses, a full range, and
//! a time without nadmit.

use std::collections::BTreeSet;

use libtest_mimic::Failed;
use serde_json::{Value, json};

use super::{
    NamedTest,
    cluster::RealCluster,
    page_shell::holds,
    served::{network, serving_cluster, until_entries},
    statefulset::agreed,
    steps::{NETWORKS, stateful_set},
};
use crate::support::{TestResult, same};

/// Tests that need Whereabouts's plugin.
pub(super) const TESTS: &[NamedTest] = named![
    served_networks_have_several_ranges,
    a_pod_on_a_served_network_chooses_its_address,
    an_address_that_the_plugin_chose_is_adopted
];

const NAMESPACE: &str = "db";

fn pod(name: &str, networks: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": NAMESPACE, "annotations": {NETWORKS: networks.to_string()},
        },
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "main", "image": "app"}],
        },
    })
}

fn asks(name: &str, ip: &str) -> Value {
    pod(name, &json!([{"name": "storage", "ips": [ip]}]))
}

/// Returns the words of kubectl about an object that is denied.
fn denied(cluster: &RealCluster, object: &Value) -> Result<String, Failed> {
    let result = cluster.kubectl(&["create", "-f", "-"], &object.to_string())?;
    match result.is_well() {
        true => Err(format!("{object} is allowed").into()),
        false => Ok(result.output()),
    }
}

fn served_networks_have_several_ranges() -> TestResult {
    let cluster = serving_cluster()?;
    let dual = json!({"ipRanges": [{"range": "198.51.100.0/28"}, {"range": "2001:db8:1::/120"}]});
    let wide = json!({"range": "192.0.2.0/24", "network_name": "common"});
    let narrow = json!({"range": "192.0.2.0/29", "network_name": "common"});
    cluster.apply(&[
        network(&cluster, NAMESPACE, "dual", &dual)?,
        network(&cluster, NAMESPACE, "wide", &wide)?,
        network(&cluster, NAMESPACE, "narrow", &narrow)?,
        stateful_set(NAMESPACE, "dual", 2, "dual"),
        stateful_set(NAMESPACE, "wide", 2, "wide"),
        stateful_set(NAMESPACE, "narrow", 2, "narrow"),
    ])?;
    let pods = cluster.until_pods(NAMESPACE, 6)?;
    let first = agreed(&cluster, NAMESPACE, pods.keys())?;
    for pod in ["dual-0", "dual-1"] {
        same(&first[pod].len(), &2)?;
    }
    let all: Vec<&String> = first.values().flatten().collect();
    let distinct: BTreeSet<&String> = all.iter().copied().collect();
    same(&distinct.len(), &all.len())?;

    for pod in ["dual-1", "narrow-0"] {
        cluster.done(&["delete", "pod", "-n", NAMESPACE, pod], "")?;
    }
    let pods = cluster.until_pods(NAMESPACE, 6)?;
    same(&agreed(&cluster, NAMESPACE, pods.keys())?, &first)?;
    cluster.is_content()
}

fn a_pod_on_a_served_network_chooses_its_address() -> TestResult {
    const POOL: &str = "198.51.100.0-29";
    let cluster = serving_cluster()?;
    let ipam = json!({"range": "198.51.100.0/29", "exclude": ["198.51.100.6/32"]});
    cluster.apply(&[network(&cluster, NAMESPACE, "storage", &ipam)?])?;
    cluster.until_listed("whereabouts/198.51.100.0-2")?;
    cluster.apply(&[asks("chosen", "198.51.100.5/29")])?;
    cluster.until_pods(NAMESPACE, 1)?;
    same(
        &cluster.addresses(NAMESPACE, "chosen", "net1")?,
        &vec!["198.51.100.5/29".to_owned()],
    )?;
    let written = cluster.get(&["pod", "-n", NAMESPACE, "chosen"])?;
    let annotations = &written["metadata"]["annotations"];
    same(&annotations[NETWORKS], &json!(r#"[{"name":"storage"}]"#))?;

    let taken = denied(&cluster, &asks("second", "198.51.100.5/29"))?;
    holds(&taken, "198.51.100.5 is in use by pod db/chosen")?;
    let excluded = denied(&cluster, &asks("third", "198.51.100.6/29"))?;
    holds(&excluded, "[nadmit address-excluded]")?;
    let outside = denied(&cluster, &asks("fourth", "198.51.100.77/29"))?;
    holds(&outside, "[nadmit address-outside-pool]")?;

    // The range has four more addresses; the last pod waits, and says why.
    cluster.apply(&[stateful_set(NAMESPACE, "db", 5, "storage")])?;
    cluster.soon("db-4 is not refused", || {
        let events = ["get", "events", "-n", NAMESPACE, "-o=wide"];
        let events = cluster.done(&events, "")?;
        let refused = events
            .lines()
            .find(|line| line.contains("pod/db-4") && line.contains("[nadmit pool-exhausted]"));
        Ok(refused.map(drop))
    })?;
    // It gets the address of the pod that is deleted, after the quarantine.
    cluster.done(&["delete", "pod", "-n", NAMESPACE, "chosen"], "")?;
    let pods = cluster.until_pods(NAMESPACE, 5)?;
    let given = agreed(&cluster, NAMESPACE, pods.keys())?;
    same(&given["db-4"], &vec!["198.51.100.5".to_owned()])?;
    until_entries(&cluster, POOL, "full", |entries| entries.len() == 5)?;
    cluster.is_content()
}

fn an_address_that_the_plugin_chose_is_adopted() -> TestResult {
    const POOL: &str = "198.51.100.0-28";
    let cluster = serving_cluster()?;
    let ipam = json!({"range": "198.51.100.0/28"});
    cluster.apply(&[network(&cluster, NAMESPACE, "storage", &ipam)?])?;
    cluster.until_listed("whereabouts/198.51.100.0-2")?;
    let replicas = |count: &str| {
        let scale = ["scale", "-n", "nadmit", "deployment/nadmit", count];
        cluster.done(&scale, "").map(drop)
    };
    replicas("--replicas=0")?;
    cluster.until_pods("nadmit", 0)?;
    cluster.apply(&[stateful_set(NAMESPACE, "db", 2, "storage")])?;
    let pods = cluster.until_pods(NAMESPACE, 2)?;
    let mut by_plugin = Vec::new();
    for pod in pods.keys() {
        by_plugin.push(cluster.reported(NAMESPACE, pod, "net1")?);
    }

    replicas("--replicas=2")?;
    cluster.until_pods("nadmit", 2)?;
    until_entries(&cluster, POOL, "taken over", |entries| {
        entries.len() == 2 && entries.values().all(|(_, id)| id.starts_with("nadmit:"))
    })?;
    let adopted = agreed(&cluster, NAMESPACE, pods.keys())?;
    same(&adopted.values().cloned().collect(), &by_plugin)?;
    cluster.done(&["delete", "pod", "-n", NAMESPACE, "db-0"], "")?;
    let pods = cluster.until_pods(NAMESPACE, 2)?;
    same(&agreed(&cluster, NAMESPACE, pods.keys())?, &adopted)?;
    cluster.is_content()
}
