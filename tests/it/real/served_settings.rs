//! Served networks of Whereabouts whose pools an AddressPool configures.

use std::{thread::sleep, time::Duration};

use serde_json::json;

use super::{
    NamedTest,
    served::{entries, network, serving_cluster, until_entries},
    steps::stateful_set,
};
use crate::support::{TestResult, holds};

/// Tests that need Whereabouts's plugin.
pub(super) const TESTS: &[NamedTest] = named![an_address_pool_configures_a_served_network];

const NAMESPACE: &str = "db";
const POOL: &str = "198.51.100.0-27";

fn an_address_pool_configures_a_served_network() -> TestResult {
    let cluster = serving_cluster()?;
    let ipam = json!({"range": "198.51.100.0/27"});
    let keep = json!({
        "apiVersion": "nadmit.io/v1alpha1", "kind": "AddressPool", "metadata": {"name": "keep"},
        "spec": {
            "whereabouts": {"networks": [format!("{NAMESPACE}/storage")]},
            "retention": "Pod", "quarantine": "5s",
        },
    });
    let scale = |replicas: u32| -> TestResult {
        let replicas_option = format!("--replicas={replicas}");
        let arguments = ["scale", "-n", NAMESPACE, "statefulset/db", &replicas_option];
        cluster.done(&arguments, "")?;
        cluster.until_pods(NAMESPACE, replicas as usize).map(drop)
    };
    cluster.apply(&[keep])?;
    let until_ready = |expected: &str| {
        cluster.soon(&format!("keep is not {expected}"), || {
            let object = cluster.get(&["addresspool", "keep"])?;
            let ready = &object["status"]["conditions"][0];
            let found = format!(
                "{} {}: {}",
                ready["status"], ready["reason"], ready["message"]
            );
            Ok(found
                .replace(['"', '\\'], "")
                .starts_with(expected)
                .then_some(()))
        })
    };
    until_ready("False NetworkNotFound")?;
    cluster.apply(&[network(&cluster, NAMESPACE, "storage", &ipam)?])?;
    until_ready("True Configures: the settings are those of pool whereabouts/198.51.100.0-27")?;
    cluster.apply(&[stateful_set(NAMESPACE, "db", 2, "storage")])?;
    cluster.until_pods(NAMESPACE, 2)?;
    until_entries(&cluster, POOL, "in use", |entries| entries.len() == 2)?;
    // By default replicas would keep their addresses.
    scale(0)?;
    until_entries(&cluster, POOL, "empty", |entries| entries.is_empty())?;

    // Held addresses do not keep the AddressPool, and without it the default holds again.
    scale(2)?;
    cluster.done(&["delete", "addresspool", "keep"], "")?;
    scale(0)?;
    until_entries(&cluster, POOL, "held", |entries| {
        entries.len() == 2 && entries.values().all(|(pod, _)| pod.is_empty())
    })?;
    sleep(Duration::from_secs(10));
    let left = entries(&cluster, POOL)?;
    holds(left.len() == 2, format!("{left:?}"))?;
    cluster.is_content()
}
