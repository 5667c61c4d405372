//! nadmit is unavailable while pods are bound: they wait for their addresses, get them late, and
//! then start.

use super::{
    NamedTest,
    cluster::{RealCluster, installed},
    statefulset::agreed,
    steps::{namespace, pool, stateful_set},
};
use crate::support::TestResult;

pub(super) const TESTS: &[NamedTest] = named![missed_addresses_are_backfilled];

const NAMESPACE: &str = "late";

fn missed_addresses_are_backfilled() -> TestResult {
    let cluster = installed()?;
    cluster.apply(&[
        namespace(NAMESPACE, &[("nadmit.io/injection", "enabled")]),
        pool("late", &["198.51.100.64/27"]),
        cluster.network(NAMESPACE, "late"),
    ])?;
    cluster.until_ready("late")?;
    replicas(&cluster, 0)?;
    let hung = hangs(&cluster);
    // Restored even after a failure: other tests need it.
    replicas(&cluster, 2)?;
    hung?;
    let pods = cluster.until_pods(NAMESPACE, 1)?;
    agreed(&cluster, NAMESPACE, pods.keys())?;
    cluster.done(
        &["delete", "namespace", NAMESPACE, "--timeout=100s", "--wait"],
        "",
    )?;
    cluster.until_free(NAMESPACE)?;
    cluster.done(&["delete", "addresspool", "late", "--timeout=60s"], "")?;
    cluster.is_content()
}

/// Waits until a pod without addresses is stuck on its node, because the plugin gets none.
fn hangs(cluster: &RealCluster) -> TestResult {
    cluster.apply(&[stateful_set(NAMESPACE, "db", 1, "storage")])?;
    cluster.soon("the pod does not hang", || {
        let events = cluster.get(&["events", "-n", NAMESPACE])?;
        let mut events = events["items"].as_array().into_iter().flatten();
        let hangs = events.any(|event| event["reason"] == "FailedCreatePodSandBox");
        Ok(hangs.then_some(()))
    })
}

/// Scales nadmit, and waits until this number of replicas is ready.
fn replicas(cluster: &RealCluster, count: usize) -> TestResult {
    let replicas = format!("--replicas={count}");
    cluster.done(
        &["scale", "-n", "nadmit", "deployment/nadmit", &replicas],
        "",
    )?;
    cluster.until_pods("nadmit", count).map(drop)
}
