//! A rolling update of nadmit while pods come: failing closed, it refuses none of them, and denies every typo.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use libtest_mimic::Failed;
use serde_json::json;

use super::{
    Named,
    cluster::{Cluster, IMAGE, installed},
    stage::{NETWORKS, namespace},
    typo,
};

pub(super) const TRIALS: &[Named] = &[("a_rolling_update_is_not_noticed", not_noticed)];

const NAMESPACE: &str = "rollout";
/// Another name of the same binary.
const NEXT: &str = "nadmit:next";

fn not_noticed() -> Result<(), Failed> {
    let cluster = installed()?;
    cluster.apply(&[
        namespace(NAMESPACE, &[]),
        cluster.plain_network(NAMESPACE, "storage-net"),
    ])?;
    cluster.nadmit_does(&["install", "--mode", "deny", "--fail-closed"])?;
    let rolled = while_rolling(&cluster);
    // Whatever became of that: others count on it.
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

/// Updates nadmit, sends pods until that is done, and returns how many.
fn while_rolling(cluster: &Cluster) -> Result<usize, Failed> {
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
        let updated = cluster.nadmit_does(&["install", "--image", NEXT]);
        // Those of before still drain when the command ends.
        let drained = cluster.until_pods("nadmit", 2);
        is_done.store(true, Ordering::Relaxed);
        let sent: Result<usize, Failed> = sender.join().unwrap_or_else(|_| Err("a panic".into()));
        updated?;
        drained?;
        sent
    })
}

/// Sends a right pod, which has to pass, and a wrong one, which has to be denied; neither is made.
fn is_judged(cluster: &Cluster) -> Result<(), Failed> {
    let dry = ["create", "--dry-run=server", "-f", "-"];
    let wrong = typo::pod(NAMESPACE);
    let mut right = wrong.clone();
    right["metadata"]["annotations"][NETWORKS] = json!("storage-net");
    cluster.done(&dry, &right.to_string())?;
    let told = cluster.kubectl(&dry, &wrong.to_string())?;
    match told.errors.contains(&typo::complaint(NAMESPACE)) {
        true => Ok(()),
        false => Err(format!("a typo is not denied: {}", told.said()).into()),
    }
}
