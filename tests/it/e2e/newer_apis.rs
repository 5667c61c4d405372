//! Features that require a newer API server: match conditions, and policies.

use serde_json::json;

use super::{
    NamedTest,
    cluster::{NETWORKS, Registration, pod, soon},
    process::{ReplicaConfig, free_port},
    shared::installed,
};
use crate::support::TestResult;

/// The minor version in which both are generally available.
pub(super) const MINOR: u32 = 30;
pub(super) const IGNORE_REASON: &str =
    "needs Kubernetes 1.30 (tests/real/build.sh kubernetes etcd)";

pub(super) const TESTS: &[NamedTest] = named![
    nothing_of_deploy_is_left_out,
    only_nadmit_writes_allocations,
    failing_closed_keeps_only_pods_with_networks_waiting,
];

fn nothing_of_deploy_is_left_out() -> TestResult {
    match installed()?.left_out.as_slice() {
        [] => Ok(()),
        kinds => Err(format!("{kinds:?} are left out").into()),
    }
}

/// Not even a cluster administrator may write the records.
fn only_nadmit_writes_allocations() -> TestResult {
    let installed = installed()?;
    let slice = json!({
        "apiVersion": "nadmit.io/v1alpha1", "kind": "AddressSlice",
        "metadata": {"name": "a.203.0.113.0"},
        "spec": {"pool": "a", "node": "b", "range": "203.0.113.0/28"},
    });
    let slice = slice.to_string();
    soon("the policy does not count", || {
        let printed = installed
            .cluster
            .kubectl(&["create", "--dry-run=server", "-f", "-"], &slice)?;
        let refused = printed
            .errors
            .contains("ValidatingAdmissionPolicy 'nadmit'");
        Ok((!printed.well && refused).then_some(()))
    })
}

/// The registered webhook is unreachable.
fn failing_closed_keeps_only_pods_with_networks_waiting() -> TestResult {
    let installed = installed()?;
    let cluster = &installed.cluster;
    cluster.namespace("closed", &[("e2e", "closed")])?;
    let home = ReplicaConfig::new("")?;
    cluster.register(&Registration {
        name: "closed",
        url: &format!("https://127.0.0.1:{}", free_port()?),
        ca: &home.ca()?,
        flags: &["--fail-closed"],
    })?;
    let web = pod("web", "closed", "storage");
    let plain = web.replace(&format!("  annotations:\n    {NETWORKS}: storage\n"), "");
    cluster.done(&["create", "-f", "-"], &plain)?;
    cluster.bind("closed", "web")?;
    let printed = cluster.kubectl(
        &["create", "-f", "-"],
        &web.replace("name: web", "name: other"),
    )?;
    match !printed.well && printed.errors.contains("failed calling webhook") {
        true => Ok(()),
        false => Err(format!("it is not refused: {}", printed.errors).into()),
    }
}
