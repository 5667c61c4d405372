//! The migration of a network of Whereabouts by one word: its ranges become a pool of nadmit's.

use serde_json::json;

use super::{
    NamedTest,
    cluster::{IMAGE, RealCluster},
    served::{entries, network},
    statefulset::agreed,
    steps::{namespace, stateful_set},
};
use crate::support::{TestResult, same};
use crate::whereabouts::KINDS;

/// Tests that need Whereabouts's plugin.
pub(super) const TESTS: &[NamedTest] = named![a_network_of_whereabouts_changes_by_one_word];

const NAMESPACE: &str = "db";
const SETTINGS: &str = "mode: deny\ninlinePools: enabled\n";

fn a_network_of_whereabouts_changes_by_one_word() -> TestResult {
    let cluster = RealCluster::start(2)?;
    for kind in KINDS {
        cluster.apply(&[kind.definition()])?;
    }
    std::fs::write(cluster.roots()?.join("whereabouts.conf"), "{}")?;
    cluster.nadmit_does(&["install", "--image", IMAGE])?;
    let settings = json!({"data": {"nadmit.yaml": SETTINGS}}).to_string();
    let patch = [
        "patch",
        "configmap",
        "-n",
        "nadmit",
        "nadmit-config",
        "--type=merge",
        "-p",
    ];
    cluster.done(&[&patch[..], &[&settings]].concat(), "")?;
    // Waits until the replicas use the settings.
    cluster.nadmit_does(&["install", "--image", IMAGE])?;
    let ipam = json!({
        "range": "198.51.100.0/28", "exclude": ["198.51.100.1/32"], "network_name": "common",
    });
    let before = network(&cluster, NAMESPACE, "storage", &ipam)?;
    cluster.apply(&[
        namespace(NAMESPACE, &[("nadmit.io/injection", "enabled")]),
        before.clone(),
        stateful_set(NAMESPACE, "db", 2, "storage"),
    ])?;
    let pods = cluster.until_pods(NAMESPACE, 2)?;
    let by_plugin: Vec<Vec<String>> = pods
        .keys()
        .map(|pod| cluster.reported(NAMESPACE, pod, "net1"))
        .collect::<Result<_, _>>()?;

    let mut after = before.clone();
    let config = before["spec"]["config"].as_str().unwrap_or_default();
    after["spec"]["config"] = config.replace(r#""whereabouts""#, r#""static""#).into();
    cluster.apply(&[after])?;
    // The running pods are adopted.
    cluster.soon("the running pods are not recorded", || {
        let recorded = cluster.recorded(NAMESPACE)?;
        Ok((recorded.values().cloned().collect::<Vec<_>>() == by_plugin).then_some(()))
    })?;
    for pod in pods.keys() {
        cluster.done(&["delete", "pod", "-n", NAMESPACE, pod], "")?;
    }
    let pods = cluster.until_pods(NAMESPACE, 2)?;
    let migrated = agreed(&cluster, NAMESPACE, pods.keys())?;
    same(&migrated.values().cloned().collect(), &by_plugin)?;
    // The plugin freed its entries when the old sandboxes ended.
    same(&entries(&cluster, "common-198.51.100.0-28")?.len(), &0)?;

    // And back: the plugin chooses again, and gives no address of a running pod.
    cluster.apply(&[before])?;
    cluster.done(
        &["scale", "-n", NAMESPACE, "statefulset/db", "--replicas=0"],
        "",
    )?;
    cluster.until_pods(NAMESPACE, 0)?;
    cluster.done(
        &["scale", "-n", NAMESPACE, "statefulset/db", "--replicas=2"],
        "",
    )?;
    cluster.until_pods(NAMESPACE, 2)?;
    same(&entries(&cluster, "common-198.51.100.0-28")?.len(), &2)?;
    cluster.is_content()
}
