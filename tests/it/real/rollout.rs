//! A rolling update of nadmit while pods are created: with failurePolicy Fail no pod is refused,
//! and every typo is denied.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use libtest_mimic::Failed;
use serde_json::json;

use super::{
    NamedTest,
    cluster::{IMAGE, RealCluster, installed},
    steps::{NETWORKS, namespace},
    typo,
};
use crate::support::TestResult;

pub(super) const TESTS: &[NamedTest] = named![a_rolling_update_is_not_noticed];

const NAMESPACE: &str = "rollout";
/// Another tag of the same image.
const NEXT_IMAGE: &str = "nadmit:next";

fn a_rolling_update_is_not_noticed() -> TestResult {
    let cluster = installed()?;
    cluster.apply(&[
        namespace(NAMESPACE, &[]),
        cluster.plain_network(NAMESPACE, "storage-net"),
    ])?;
    cluster.nadmit_does(&["install", "--mode", "deny", "--fail-closed"])?;
    let rolled = while_rolling(&cluster);
    // Restored even after a failure: other tests rely on it.
    cluster.nadmit_does(&[
        "install",
        "--image",
        IMAGE,
        "--mode",
        "warn",
        "--fail-closed=false",
    ])?;
    let asked = rolled?;
    println!("{asked} pods of each sort came during the update");
    cluster
        .done(&["delete", "namespace", NAMESPACE, "--timeout=100s"], "")
        .map(drop)
}

/// Updates nadmit, creates pods until the update is done, and returns their number.
fn while_rolling(cluster: &RealCluster) -> Result<usize, Failed> {
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let mut count = 0;
            while !is_done.load(Ordering::Relaxed) || count == 0 {
                is_judged(cluster)?;
                count += 1;
            }
            Ok(count)
        });
        let updated = cluster.nadmit_does(&["install", "--image", NEXT_IMAGE]);
        // Old replicas still drain when the command ends.
        let drained = cluster.until_pods("nadmit", 2);
        is_done.store(true, Ordering::Relaxed);
        let sent: Result<usize, Failed> = sender.join().unwrap_or_else(|_| Err("a panic".into()));
        updated?;
        drained?;
        sent
    })
}

/// Sends a right pod, which has to be allowed, and a wrong one, which has to be denied, both as dry
/// runs.
fn is_judged(cluster: &RealCluster) -> TestResult {
    let dry = ["create", "--dry-run=server", "-f", "-"];
    let wrong = typo::pod(NAMESPACE);
    let mut right = wrong.clone();
    right["metadata"]["annotations"][NETWORKS] = json!("storage-net");
    cluster.done(&dry, &right.to_string())?;
    let result = cluster.kubectl(&dry, &wrong.to_string())?;
    match result.errors.contains(&typo::complaint(NAMESPACE)) {
        true => Ok(()),
        false => Err(format!("a typo is not denied: {}", result.output()).into()),
    }
}
