//! Installing again with other options over the objects of an earlier release, and uninstalling.

use libtest_mimic::Failed;
use serde_json::Value;

use super::{
    NamedTest,
    cluster::{IMAGE, RealCluster},
    steps::{namespace, text},
    typo,
    upgrade::LeftObjects,
};
use crate::support::TestResult;

pub(super) const TESTS: &[NamedTest] = named![install_again_with_other_options];

/// The kinds of nadmit's cluster-scoped manifests.
const CLUSTER_SCOPED: [&str; 9] = [
    "clusterroles",
    "clusterrolebindings",
    "priorityclasses",
    "flowschemas",
    "prioritylevelconfigurations",
    "validatingadmissionpolicies",
    "validatingadmissionpolicybindings",
    "validatingwebhookconfigurations",
    "mutatingwebhookconfigurations",
];

fn install_again_with_other_options() -> TestResult {
    let cluster = RealCluster::start(2)?;
    let left = LeftObjects::put(&cluster)?;
    cluster.nadmit_does(&["install", "--image", IMAGE, "--replicas", "3"])?;
    serves(&cluster, 3, "warn")?;
    left.is_kept(&cluster)?;

    // An option that is not given stays as it was.
    cluster.nadmit_does(&["install", "--mode", "deny"])?;
    serves(&cluster, 3, "deny")?;
    cluster.apply(&[namespace("typo", &[])])?;
    let result = cluster.kubectl(&["apply", "-f", "-"], &typo::pod("typo").to_string())?;
    println!("{}", result.output());
    if result.is_well() || !result.errors.contains("storage-nett") {
        return Err(format!("mode deny denies nothing: {}", result.output()).into());
    }
    cluster.nadmit_does(&["install", "--replicas", "1"])?;
    serves(&cluster, 1, "deny")?;

    // A kind that this cluster lacks is reported, and everything else is installed.
    let result = cluster.nadmit_does(&["install", "--monitoring"])?;
    for words in ["skipped", "the cluster has no ServiceMonitor"] {
        if !result.output().contains(words) {
            return Err(format!("it does not say {words:?}").into());
        }
    }
    serves(&cluster, 1, "deny")?;
    left.is_kept(&cluster)?;

    cluster.nadmit_does(&["uninstall"])?;
    nothing_is_left(&cluster)?;
    left.is_kept(&cluster)?;
    let result = cluster.nadmit(&["status"])?;
    if result.is_well() || !result.output().contains("not installed") {
        return Err(format!("nadmit status: {}", result.output()).into());
    }

    // A later installation continues with the records.
    cluster.nadmit_does(&["install", "--image", IMAGE])?;
    serves(&cluster, 2, "warn")?;
    left.is_kept(&cluster)?;
    cluster.nadmit_does(&["uninstall", "--purge", "--yes"])?;
    nothing_is_left(&cluster)?;
    let definitions = names(&cluster, "customresourcedefinitions")?;
    match definitions.iter().find(|name| name.ends_with(".nadmit.io")) {
        None => Ok(()),
        Some(name) => Err(format!("{name} is left").into()),
    }
}

/// Checks that this number of replicas of the image serves in this mode, and that `nadmit status`
/// reports it.
fn serves(cluster: &RealCluster, replicas: u64, mode: &str) -> TestResult {
    let deployment = cluster.get(&["deployment", "-n", "nadmit", "nadmit"])?;
    let image = &deployment["spec"]["template"]["spec"]["containers"][0]["image"];
    let found = (&deployment["spec"]["replicas"], image);
    if found.0.as_u64() != Some(replicas) || *found.1 != *IMAGE {
        return Err(format!("the Deployment has {found:?}, and not {replicas} of {IMAGE}").into());
    }
    let result = cluster.nadmit_does(&["status"])?;
    for words in [
        format!("{replicas} of {replicas} ready, {IMAGE}"),
        format!("mode         {mode}"),
    ] {
        if !result.out.contains(&words) {
            return Err(format!("nadmit status does not say {words:?}").into());
        }
    }
    Ok(())
}

/// Checks that only definitions and records are left.
fn nothing_is_left(cluster: &RealCluster) -> TestResult {
    for kind in CLUSTER_SCOPED {
        let names = names(cluster, kind)?;
        if let Some(name) = names.iter().find(|name| name.contains("nadmit")) {
            return Err(format!("{kind} {name} is left").into());
        }
    }
    let namespaces = names(cluster, "namespaces")?;
    match namespaces.iter().any(|name| name == "nadmit") {
        false => Ok(()),
        true => Err("the namespace nadmit is left".into()),
    }
}

fn names(cluster: &RealCluster, kind: &str) -> Result<Vec<String>, Failed> {
    let list: Value = cluster.get(&[kind])?;
    let items = list["items"].as_array().into_iter().flatten();
    Ok(items.map(|item| text(&item["metadata"]["name"])).collect())
}
