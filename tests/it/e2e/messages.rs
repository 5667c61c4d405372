//! Messages that kubectl shows to its users.

use super::{
    NamedTest,
    cluster::{Registration, injected, pod, soon},
    process::ReplicaConfig,
    shared::installed,
};
use crate::support::TestResult;

pub(super) const TESTS: &[NamedTest] = named![
    deploy_registers_nadmit,
    a_denial_is_printed_by_kubectl,
    warn_mode_prints_a_warning,
    a_pod_gets_its_addresses_when_it_is_created,
];

/// The denial as kubectl prints it.
const DENIAL: &str = r#"The Pod "web" is invalid: metadata.annotations[k8s.v1.cni.cncf.io/networks][0]: [nadmit unknown-network] network "nothing" does not exist in namespace "words-deny" (column 1); create the NetworkAttachmentDefinition first, or use a network that exists: storage
"#;
const WARNING: &str = r#"Warning: [nadmit unknown-network] networks[0]: network "nothing" does not exist in namespace "words-warn" (column 1); create the NetworkAttachmentDefinition first, or use a network that exists: storage
"#;

/// Only kinds that this server's version lacks are left out of `deploy/`.
fn deploy_registers_nadmit() -> TestResult {
    let installed = installed()?;
    let newer = [
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "PriorityLevelConfiguration",
        "FlowSchema",
        "PodDisruptionBudget",
    ];
    for kind in &installed.left_out {
        if !newer.contains(&kind.as_str()) {
            return Err(format!("{kind} is left out").into());
        }
    }
    let cluster = &installed.cluster;
    for resource in [
        "validatingwebhookconfiguration",
        "mutatingwebhookconfiguration",
    ] {
        cluster.done(&["get", resource, "nadmit"], "")?;
    }
    cluster.done(&["get", "-n", "nadmit", "deployment,service,configmap"], "")?;
    // With only its own permissions it leads and is ready.
    soon("nadmit does not lead", || {
        Ok((installed.nadmit.metric("nadmit_leader", &[])? > 0.0).then_some(()))
    })
}

fn a_denial_is_printed_by_kubectl() -> TestResult {
    let installed = installed()?;
    let cluster = &installed.cluster;
    cluster.create_namespace_with_pool("words-deny", "192.0.2.0/28", &[])?;
    let wrong = pod("web", "words-deny", "nothing");
    // Until nadmit knows the network that it suggests.
    soon("it is not denied in these words", || {
        let printed = cluster.kubectl(&["create", "--dry-run=server", "-f", "-"], &wrong)?;
        Ok((!printed.well && printed.errors == DENIAL).then_some(()))
    })?;
    let printed = cluster.kubectl(&["create", "-f", "-"], &wrong)?;
    match printed.well {
        true => Err("it is created".into()),
        false if printed.errors == DENIAL => Ok(()),
        false => Err(printed.errors.into()),
    }
}

fn warn_mode_prints_a_warning() -> TestResult {
    let installed = installed()?;
    let cluster = &installed.cluster;
    cluster.create_namespace_with_pool(
        "words-warn",
        "192.0.2.16/28",
        &[("nadmit.io/mode", "warn")],
    )?;
    let wrong = pod("web", "words-warn", "nothing");
    soon("there is no such warning", || {
        let printed = cluster.kubectl(&["create", "--dry-run=server", "-f", "-"], &wrong)?;
        Ok((printed.well && printed.errors == WARNING).then_some(()))
    })?;
    let shown = cluster.done(&["create", "-f", "-"], &wrong)?;
    if shown != "pod/web created\n" {
        return Err(shown.into());
    }
    let counted = installed
        .nadmit
        .metric("nadmit_would_deny_total", &["unknown-network"])?;
    match counted > 0.0 {
        true => Ok(()),
        false => Err("it is not counted".into()),
    }
}

/// A second nadmit with `injection: create`, for a namespace of its own.
fn a_pod_gets_its_addresses_when_it_is_created() -> TestResult {
    let installed = installed()?;
    let cluster = &installed.cluster;
    cluster.create_namespace_with_pool("words-create", "192.0.2.32/28", &[("e2e", "at-create")])?;
    cluster.until_ready("words-create")?;
    let home = ReplicaConfig::new("injection: create\n")?;
    let nadmit = home.serve(cluster, "nadmit-at-create", 0)?;
    soon("nadmit is not ready", || {
        Ok(nadmit.is_ready()?.then_some(()))
    })?;
    cluster.register(&Registration {
        name: "at-create",
        url: &nadmit.url,
        ca: &home.ca()?,
        flags: &["--injection=create"],
    })?;
    let path = "-o=jsonpath={.metadata.annotations.k8s\\.v1\\.cni\\.cncf\\.io/networks}";
    let manifest = pod("web", "words-create", "storage");
    let named = cluster.done(&["create", path, "-f", "-"], &manifest)?;
    let named = injected(&named);
    let generated = manifest.replace("  name: web\n", "  generateName: web-\n");
    let mut all = named.clone();
    for _ in 0..3 {
        all.extend(injected(
            &cluster.done(&["create", path, "-f", "-"], &generated)?,
        ));
    }
    let expected = ["192.0.2.33", "192.0.2.34", "192.0.2.35", "192.0.2.36"];
    if all != expected {
        return Err(format!("{all:?} is given").into());
    }
    let mut recorded = cluster.recorded("words-create")?;
    for line in &mut recorded {
        // The pod's name is not known at the review if it is generated afterwards.
        line.truncate(line.find(' ').unwrap_or(line.len()));
    }
    match recorded == expected {
        true => Ok(()),
        false => Err(format!("{recorded:?} is recorded").into()),
    }
}
