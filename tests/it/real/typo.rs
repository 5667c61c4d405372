//! A typo in the name of a network: denied in mode deny; where nadmit only warns, the pod hangs.

use serde_json::{Value, json};

use super::{
    NamedTest,
    cluster::installed,
    steps::{NETWORKS, namespace, text},
};
use crate::support::TestResult;

pub(super) const TESTS: &[NamedTest] = named![
    a_typo_is_denied_before_scheduling,
    a_typo_that_is_warned_of_hangs
];

/// Returns a pod with a network that does not exist.
pub(super) fn pod(namespace: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "typo", "namespace": namespace, "annotations": {NETWORKS: "storage-nett"},
        },
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "main", "image": "app"}],
        },
    })
}

/// Returns nadmit's message for it.
pub(super) fn complaint(namespace: &str) -> String {
    format!("network \"storage-nett\" does not exist in namespace \"{namespace}\"")
}

fn a_typo_is_denied_before_scheduling() -> TestResult {
    let cluster = installed()?;
    let name = "typo-denied";
    cluster.apply(&[
        namespace(name, &[("nadmit.io/mode", "deny")]),
        cluster.plain_network(name, "storage-net"),
    ])?;
    // Replicas learn of the namespace with a delay.
    let result = cluster.soon("the typo is not denied", || {
        let dry = ["apply", "--dry-run=server", "-f", "-"];
        let result = cluster.kubectl(&dry, &pod(name).to_string())?;
        Ok((!result.is_well()).then_some(result))
    })?;
    println!("{}", result.output());
    let result = cluster.kubectl(&["apply", "-f", "-"], &pod(name).to_string())?;
    println!("{}", result.output());
    for words in [complaint(name).as_str(), "did you mean \"storage-net\"?"] {
        if result.is_well() || !result.errors.contains(words) {
            return Err(format!("kubectl does not show {words:?}: {}", result.output()).into());
        }
    }
    let pods = cluster.get(&["pods", "-n", name])?;
    if pods["items"].as_array().is_none_or(|all| !all.is_empty()) {
        return Err("the pod is there".into());
    }
    cluster
        .done(&["delete", "namespace", name, "--timeout=100s"], "")
        .map(drop)
}

fn a_typo_that_is_warned_of_hangs() -> TestResult {
    let cluster = installed()?;
    let name = "typo-warned";
    cluster.apply(&[
        namespace(name, &[]),
        cluster.plain_network(name, "storage-net"),
    ])?;
    let result = cluster.soon("the typo is not warned of", || {
        let dry = ["apply", "--dry-run=server", "-f", "-"];
        let result = cluster.kubectl(&dry, &pod(name).to_string())?;
        Ok(result.errors.contains("did you mean").then_some(result))
    })?;
    println!("{}", result.output());
    let result = cluster.kubectl(&["apply", "-f", "-"], &pod(name).to_string())?;
    if !result.is_well() || !result.errors.contains(&complaint(name)) {
        return Err(format!("no warning: {}", result.output()).into());
    }
    let event = cluster.soon("no event says why the pod hangs", || {
        let events = cluster.get(&["events", "-n", name])?;
        let events = events["items"].as_array().into_iter().flatten();
        let mut failed = events.filter(|event| event["reason"] == "FailedCreatePodSandBox");
        Ok(failed.next().map(|event| text(&event["message"])))
    })?;
    println!("{event}");
    if !event.contains("storage-nett") {
        return Err(format!("the event does not name the network: {event}").into());
    }
    let pod = cluster.get(&["pod", "-n", name, "typo"])?;
    if pod["status"]["phase"] != "Pending" || pod["spec"]["nodeName"].is_null() {
        return Err(format!("the pod does not hang on its node: {pod}").into());
    }
    // It starts once the network exists.
    cluster.apply(&[cluster.plain_network(name, "storage-nett")])?;
    cluster.until_pods(name, 1)?;
    cluster
        .done(&["delete", "namespace", name, "--timeout=100s"], "")
        .map(drop)
}
