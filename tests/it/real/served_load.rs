//! Many pods at once on one IPPool: three replicas of nadmit write it while the plugins of other pods do, and
//! one replica is killed meanwhile.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use libtest_mimic::Failed;
use serde_json::{Value, json};

use super::{
    NamedTest,
    cluster::RealCluster,
    served::{network, serving_cluster, until_entries, until_entries_within},
    steps::{is_ready, namespace, stateful_set, text},
};
use crate::support::TestResult;

/// Tests that need Whereabouts's plugin.
pub(super) const TESTS: &[NamedTest] = named![no_address_is_lost_or_given_twice_under_load];

const POOL: &str = "198.51.100.0-24";
/// The number of pods of each namespace.
const PODS: usize = 64;
const NAMESPACES: [&str; 2] = ["db", "web"];
/// The time for all pods on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(300);
/// The time until an address that the killed replica recorded, and that its pod did not get, is free: a
/// provisional record stays for two minutes, a detached one for half a minute, and a busy machine is slow.
const SURPLUS_TIMEOUT: Duration = Duration::from_secs(300);
const STATUS: &str = "k8s.v1.cni.cncf.io/network-status";

fn pods(cluster: &RealCluster, namespace: &str) -> Result<Vec<Value>, Failed> {
    let mut listed = cluster.get(&["pods", "-n", namespace])?;
    match listed["items"].take() {
        Value::Array(pods) => Ok(pods),
        other => Err(other.to_string().into()),
    }
}

/// Waits until this number of pods is ready; returns what they report, by name.
fn until_ready(
    cluster: &RealCluster,
    namespace: &str,
    count: usize,
) -> Result<BTreeMap<String, Vec<String>>, Failed> {
    cluster.soon_within(TIMEOUT, &format!("{namespace} is not ready"), || {
        let pods = pods(cluster, namespace)?;
        let ready = pods.len() == count && pods.iter().all(is_ready);
        let reported = pods.iter().map(|pod| {
            let metadata = &pod["metadata"];
            let status = text(&metadata["annotations"][STATUS]);
            let status: Value = serde_json::from_str(&status).unwrap_or_default();
            let all = status.as_array().into_iter().flatten();
            let of_it = all.filter(|one| one["interface"] == "net1");
            let ips = of_it.flat_map(|one| one["ips"].as_array().into_iter().flatten());
            (text(&metadata["name"]), ips.map(text).collect())
        });
        Ok(ready.then(|| reported.collect()))
    })
}

fn scale(cluster: &RealCluster, namespace: &str, set: &str, replicas: usize) -> TestResult {
    let replicas = format!("--replicas={replicas}");
    let arguments = ["scale", "-n", namespace, set, &replicas];
    cluster.done(&arguments, "").map(drop)
}

fn no_address_is_lost_or_given_twice_under_load() -> TestResult {
    let cluster = serving_cluster()?;
    scale(&cluster, "nadmit", "deployment/nadmit", 3)?;
    cluster.until_pods("nadmit", 3)?;
    let ipam = json!({"range": "198.51.100.0/24"});
    cluster.apply(&[namespace("web", &[])])?;
    for namespace in NAMESPACES {
        let mut set = stateful_set(namespace, namespace, PODS as u32, "storage");
        set["spec"]["podManagementPolicy"] = "Parallel".into();
        cluster.apply(&[network(&cluster, namespace, "storage", &ipam)?, set])?;
    }
    // One replica of nadmit ends without warning while pods are bound.
    cluster.soon("no pod is bound", || {
        let bound = pods(&cluster, "db")?;
        let mut bound = bound
            .iter()
            .filter(|pod| pod["spec"]["nodeName"].is_string());
        Ok(bound.nth(PODS / 8).map(drop))
    })?;
    let replicas = cluster.until_pods("nadmit", 3)?;
    let killed = replicas.keys().next().ok_or("no replica")?;
    cluster.kill("nadmit", killed)?;

    let mut all = BTreeMap::new();
    for namespace in NAMESPACES {
        let reported = until_ready(&cluster, namespace, PODS)?;
        all.extend(
            reported
                .into_iter()
                .map(|(pod, ips)| (format!("{namespace}/{pod}"), ips)),
        );
    }
    let distinct: BTreeSet<&String> = all.values().flatten().collect();
    let is_single = all.values().all(|ips| ips.len() == 1);
    if distinct.len() != 2 * PODS || !is_single {
        return Err(format!("addresses are given twice, or not at all: {all:?}").into());
    }
    // Each pod has one entry, with its address as the offset. The killed replica may have left another.
    let offset = |ips: &[String]| {
        let last = ips.first().and_then(|ip| ip.rsplit('.').next());
        last.unwrap_or_default().to_owned()
    };
    let what = "what the pods report";
    until_entries_within(SURPLUS_TIMEOUT, &cluster, POOL, what, |entries| {
        let mut reported = all.iter();
        entries.len() == all.len()
            && reported.all(|(pod, ips)| {
                let entry = entries.get(&offset(ips));
                entry.is_some_and(|(holder, _)| holder == pod)
            })
    })?;
    // Nor is a record left of an address that a pod did not get: with the pod gone, its replica would keep
    // both.
    let of_db = all.iter().filter_map(|(pod, ips)| {
        let pod = pod.strip_prefix("db/")?;
        Some((pod.to_owned(), ips.clone()))
    });
    let of_db: BTreeMap<String, Vec<String>> = of_db.collect();
    let complaint = "the records are not what the pods report";
    cluster.soon_within(SURPLUS_TIMEOUT, complaint, || {
        Ok((cluster.recorded("db")? == of_db).then_some(()))
    })?;

    // What is left are holds of the replicas of the labelled namespace.
    for namespace in NAMESPACES {
        let set = format!("statefulset/{namespace}");
        scale(&cluster, namespace, &set, 0)?;
    }
    for namespace in NAMESPACES {
        until_ready(&cluster, namespace, 0)?;
    }
    until_entries(&cluster, POOL, "held", |entries| {
        entries.len() == PODS && entries.values().all(|(pod, _)| pod.is_empty())
    })?;
    cluster.is_content_without(Some(killed))
}
