//! Records that Whereabouts's plugin left behind, which nadmit removes on its schedule.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    NamedTest,
    cluster::RealCluster,
    served::{HOME, entries, network, serving_cluster, until_entries},
    steps::{namespace, stateful_set},
};
use crate::support::{TestResult, same};

/// Tests that need Whereabouts's plugin.
pub(super) const TESTS: &[NamedTest] = named![leaks_of_whereabouts_are_removed];

const POOL: &str = "198.51.100.0-28";
/// The time for two comparisons by a schedule of one a minute, on a busy machine.
const TWO_COMPARISONS: Duration = Duration::from_secs(300);
const RESERVATIONS: &str = "overlappingrangeipreservations.whereabouts.cni.cncf.io";

fn reservation(name: &str, pod: &str) -> Value {
    json!({
        "apiVersion": "whereabouts.cni.cncf.io/v1alpha1", "kind": "OverlappingRangeIPReservation",
        "metadata": {"name": name, "namespace": HOME},
        "spec": {"podref": pod, "ifname": "net1", "containerid": "x"},
    })
}

/// Makes nadmit compare everything once a minute.
fn compare_each_minute(cluster: &RealCluster) -> TestResult {
    let data = json!({"data": {"reconciler_cron_expression": "* * * * *"}}).to_string();
    let config = ["patch", "configmap", "-n", "nadmit", "nadmit-config"];
    let patch = [&config[..], &["--type=merge", "-p", &data]].concat();
    cluster.done(&patch, "").map(drop)
}

fn leaks_of_whereabouts_are_removed() -> TestResult {
    let cluster = serving_cluster()?;
    compare_each_minute(&cluster)?;
    let ipam = json!({"range": "198.51.100.0/28"});
    cluster.apply(&[
        network(&cluster, "db", "storage", &ipam)?,
        stateful_set("db", "db", 1, "storage"),
        namespace("web", &[]),
        network(&cluster, "web", "storage", &ipam)?,
        stateful_set("web", "web", 1, "storage"),
    ])?;
    cluster.until_pods("db", 1)?;
    cluster.until_pods("web", 1)?;
    until_entries(&cluster, POOL, "complete", |entries| entries.len() == 2)?;
    let before = entries(&cluster, POOL)?;

    // A pod that is gone, another address of a pod that runs, and a hold that somebody wrote.
    let leaks = json!([
        {"op": "add", "path": "/spec/allocations/9",
         "value": {"id": "x", "podref": "web/gone", "ifname": "net1"}},
        {"op": "add", "path": "/spec/allocations/10",
         "value": {"id": "y", "podref": "web/web-0", "ifname": "net1"}},
        {"op": "add", "path": "/spec/allocations/11",
         "value": {"id": "z", "podref": "", "ifname": ""}},
    ])
    .to_string();
    let pool = ["patch", "ippools.whereabouts.cni.cncf.io", "-n", HOME, POOL];
    cluster.done(&[&pool[..], &["--type=json", "-p", &leaks]].concat(), "")?;
    cluster.apply(&[
        reservation("198.51.100.9", "web/gone"),
        reservation("198.51.100.12", "web/gone"),
    ])?;
    cluster.soon_within(TWO_COMPARISONS, "leaks are left", || {
        let found = entries(&cluster, POOL)?;
        let listed = cluster.get(&[RESERVATIONS, "-n", HOME])?;
        let names = listed["items"].as_array().into_iter().flatten();
        let left = names.filter(|one| one["spec"]["podref"] == "web/gone");
        let is_clean = !found.contains_key("9") && !found.contains_key("10");
        Ok((is_clean && left.count() == 0).then_some(()))
    })?;
    let mut after = entries(&cluster, POOL)?;
    let hold = after.remove("11");
    same(&hold.is_some(), &true)?;
    same(&after, &before)?;
    cluster.is_content()
}
