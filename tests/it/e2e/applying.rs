//! Manifests that are applied again, applied as a dry run, or have no name.

use libtest_mimic::Failed;
use serde_json::Value;

use super::{
    NamedTest,
    cluster::{injected, pod},
    newer_apis,
    shared::installed,
};
use crate::api_server::RealServer;
use crate::support::TestResult;

pub(super) const TESTS: &[NamedTest] = named![
    applied_twice_by_kubectl_is_no_change,
    applied_twice_by_the_server_is_no_conflict,
    a_dry_run_leaves_no_allocation,
    pods_of_generated_names_get_addresses_of_their_own,
];

fn applied_twice_by_kubectl_is_no_change() -> TestResult {
    applied("apply-client", "192.0.2.48/28", &["apply", "-f", "-"])
}

fn applied_twice_by_the_server_is_no_conflict() -> TestResult {
    applied(
        "apply-server",
        "192.0.2.64/28",
        &["apply", "--server-side", "-f", "-"],
    )
}

/// Applies a manifest before and after addresses were injected.
fn applied(namespace: &str, range: &str, apply: &[&str]) -> TestResult {
    let installed = installed()?;
    let cluster = &installed.cluster;
    cluster.create_namespace_with_pool(namespace, range, &[])?;
    cluster.until_ready(namespace)?;
    let manifest = pod("web", namespace, "storage");
    // In older versions, a server-side apply that webhooks modify updates its timestamp, and
    // nothing else.
    let is_newer = RealServer::minor().is_some_and(|minor| minor >= newer_apis::MINOR);
    let writes_time = apply.contains(&"--server-side") && !is_newer;
    let stored = || -> Result<Value, Failed> {
        let text = cluster.done(&["get", "pod", "-n", namespace, "web", "-o=json"], "")?;
        let mut pod: Value = serde_json::from_str(&text)?;
        let metadata = pod["metadata"].as_object_mut().ok_or("no metadata")?;
        metadata.remove("managedFields");
        if writes_time {
            metadata.remove("resourceVersion");
        }
        Ok(pod)
    };
    cluster.done(apply, &manifest)?;
    let created = stored()?;
    cluster.done(apply, &manifest)?;
    if stored()? != created {
        return Err("it changes before it is bound".into());
    }
    cluster.bind(namespace, "web")?;
    let given = cluster.addresses(namespace, "web")?;
    if given.len() != 1 {
        return Err(format!("it is given {given:?}").into());
    }
    cluster.done(apply, &manifest)?;
    let bound = stored()?;
    for _ in 0..2 {
        cluster.done(apply, &manifest)?;
    }
    if stored()? != bound {
        return Err("it changes after it was bound".into());
    }
    match cluster.addresses(namespace, "web")? == given {
        true => Ok(()),
        false => Err("its address changes".into()),
    }
}

fn a_dry_run_leaves_no_allocation() -> TestResult {
    let installed = installed()?;
    let cluster = &installed.cluster;
    cluster.create_namespace_with_pool("dry", "192.0.2.80/28", &[])?;
    cluster.until_ready("dry")?;
    // With a node set, so that it gets its address when it is created.
    let manifest = pod("web", "dry", "storage").replace("spec:\n", "spec:\n  nodeName: node-1\n");
    let path = "-o=jsonpath={.metadata.annotations.k8s\\.v1\\.cni\\.cncf\\.io/networks}";
    let tried = cluster.done(&["create", "--dry-run=server", path, "-f", "-"], &manifest)?;
    if injected(&tried).is_empty() {
        return Err(format!("it shows no address: {tried}").into());
    }
    let recorded = cluster.recorded("dry")?;
    if !recorded.is_empty() {
        return Err(format!("a dry run leaves {recorded:?}").into());
    }
    let made = cluster.done(&["create", path, "-f", "-"], &manifest)?;
    match made == tried {
        true => Ok(()),
        false => Err(format!("tried: {tried}, made: {made}").into()),
    }
}

fn pods_of_generated_names_get_addresses_of_their_own() -> TestResult {
    let installed = installed()?;
    let cluster = &installed.cluster;
    cluster.create_namespace_with_pool("generated", "192.0.2.96/28", &[])?;
    cluster.until_ready("generated")?;
    let manifest =
        pod("web", "generated", "storage").replace("  name: web\n", "  generateName: web-\n");
    let mut expected = Vec::new();
    for _ in 0..3 {
        let created = cluster.done(&["create", "-o=json", "-f", "-"], &manifest)?;
        let created: Value = serde_json::from_str(&created)?;
        let name = created["metadata"]["name"]
            .as_str()
            .ok_or("no name")?
            .to_owned();
        cluster.bind("generated", &name)?;
        for address in cluster.addresses("generated", &name)? {
            expected.push(format!("{address} {name}"));
        }
    }
    expected.sort();
    let recorded = cluster.recorded("generated")?;
    match expected.len() == 3 && recorded == expected {
        true => Ok(()),
        false => Err(format!("pods have {expected:?}, recorded is {recorded:?}").into()),
    }
}
