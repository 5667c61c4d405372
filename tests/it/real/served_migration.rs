//! The live migration of a virtual machine on a network of Whereabouts that nadmit serves.

use libtest_mimic::Failed;
use serde_json::{Value, json};

use super::{
    NamedTest,
    cluster::RealCluster,
    page_shell::holds,
    served::{entries, network, serving_cluster_with, until_entries},
    steps::NETWORKS,
};
use crate::support::{TestResult, same};

/// Tests that need Whereabouts's plugin.
pub(super) const TESTS: &[NamedTest] =
    named![launchers_share_an_address_while_their_machine_migrates];

const NAMESPACE: &str = "db";
const POOL: &str = "198.51.100.0-27";
const ADDRESS: &str = "198.51.100.1";
const GROUP: &str = "kubevirt.io";

/// Returns a kind of KubeVirt, without its schema.
fn kind(plural: &str, kind: &str) -> Value {
    let any = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{GROUP}")},
        "spec": {
            "group": GROUP, "scope": "Namespaced",
            "names": {"plural": plural, "singular": kind.to_lowercase(), "kind": kind},
            "versions": [{
                "name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": any},
            }],
        },
    })
}

fn object(kind: &str, name: &str, content: &Value) -> Value {
    let mut object = json!({
        "apiVersion": "kubevirt.io/v1", "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE},
    });
    for (key, value) in content.as_object().into_iter().flatten() {
        object[key] = value.clone();
    }
    object
}

fn migration(name: &str, phase: &str) -> Value {
    let content = json!({"spec": {"vmiName": "vm1"}, "status": {"phase": phase}});
    object("VirtualMachineInstanceMigration", name, &content)
}

/// Returns a launcher of the machine vm1; the target of a migration names it.
fn launcher(cluster: &RealCluster, name: &str, migration: Option<&str>) -> Result<Value, Failed> {
    let uid = |plural: &str, name: &str| {
        let found = cluster.get(&[&format!("{plural}.{GROUP}"), "-n", NAMESPACE, name])?;
        Ok::<Value, Failed>(found["metadata"]["uid"].clone())
    };
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": NAMESPACE,
            "labels": {"kubevirt.io": "virt-launcher"},
            "ownerReferences": [{
                "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance", "name": "vm1",
                "uid": uid("virtualmachineinstances", "vm1")?, "controller": true,
            }],
            "annotations": {NETWORKS: "storage"},
        },
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "compute", "image": "app"}],
        },
    });
    if let Some(migration) = migration {
        let metadata = &mut pod["metadata"];
        metadata["labels"]["kubevirt.io/migrationJobUID"] =
            uid("virtualmachineinstancemigrations", migration)?;
        metadata["annotations"]["kubevirt.io/migrationJobName"] = migration.into();
    }
    Ok(pod)
}

/// Waits until the one entry is that of this launcher, and no DEL removes it.
fn until_kept_for(cluster: &RealCluster, launcher: &str) -> TestResult {
    let pod = format!("{NAMESPACE}/{launcher}");
    until_entries(cluster, POOL, &format!("that of {pod}"), |entries| {
        let mut all = entries.values();
        entries.len() == 1 && all.all(|(of, id)| *of == pod && id.starts_with("nadmit:"))
    })
}

fn delete_pod(cluster: &RealCluster, name: &str) -> TestResult {
    let arguments = ["delete", "pod", "-n", NAMESPACE, name];
    cluster.done(&arguments, "").map(drop)
}

fn launchers_share_an_address_while_their_machine_migrates() -> TestResult {
    let cluster = serving_cluster_with(&[
        kind("virtualmachines", "VirtualMachine"),
        kind("virtualmachineinstances", "VirtualMachineInstance"),
        kind(
            "virtualmachineinstancemigrations",
            "VirtualMachineInstanceMigration",
        ),
    ])?;
    let ipam = json!({"range": "198.51.100.0/27"});
    cluster.apply(&[
        network(&cluster, NAMESPACE, "storage", &ipam)?,
        object("VirtualMachine", "vm1", &json!({"spec": {}})),
        object("VirtualMachineInstance", "vm1", &json!({"spec": {}})),
    ])?;
    let reports = |pod: &str| {
        let reported = cluster.reported(NAMESPACE, pod, "net1")?;
        same(&reported, &vec![ADDRESS.to_owned()])
    };
    cluster.apply(&[launcher(&cluster, "source", None)?])?;
    cluster.until_pods(NAMESPACE, 1)?;
    reports("source")?;
    until_kept_for(&cluster, "source")?;

    // A second launcher without a migration stays pending.
    cluster.apply(&[launcher(&cluster, "second", None)?])?;
    cluster
        .soon("the second launcher is not refused", || {
            let events = cluster.done(&["get", "events", "-n", NAMESPACE, "-o=wide"], "")?;
            let of_it = events.lines().find(|line| line.contains("pod/second"));
            Ok(of_it
                .filter(|line| line.contains("[nadmit "))
                .map(str::to_owned))
        })
        .and_then(|line| holds(&line, "source"))?;
    delete_pod(&cluster, "second")?;
    until_kept_for(&cluster, "source")?;

    // Both have the address, and the entry is that of the target.
    cluster.apply(&[migration("m1", "Running")])?;
    cluster.apply(&[launcher(&cluster, "target", Some("m1"))?])?;
    cluster.until_pods(NAMESPACE, 2)?;
    reports("source")?;
    reports("target")?;
    until_kept_for(&cluster, "target")?;
    cluster.apply(&[migration("m1", "Succeeded")])?;
    delete_pod(&cluster, "source")?;
    cluster.until_pods(NAMESPACE, 1)?;
    until_kept_for(&cluster, "target")?;

    // After a migration that failed, the entry is that of the launcher that still runs.
    cluster.apply(&[migration("m2", "Running")])?;
    cluster.apply(&[launcher(&cluster, "failed", Some("m2"))?])?;
    cluster.until_pods(NAMESPACE, 2)?;
    reports("failed")?;
    cluster.apply(&[migration("m2", "Failed")])?;
    delete_pod(&cluster, "failed")?;
    cluster.until_pods(NAMESPACE, 1)?;
    until_kept_for(&cluster, "target")?;
    reports("target")?;

    // The machine keeps its address while it is stopped, and frees it when it is deleted.
    delete_pod(&cluster, "target")?;
    cluster.until_pods(NAMESPACE, 0)?;
    until_entries(&cluster, POOL, "a hold", |entries| {
        entries.len() == 1 && entries.values().all(|(pod, _)| pod.is_empty())
    })?;
    for plural in ["virtualmachineinstances", "virtualmachines"] {
        let plural = format!("{plural}.{GROUP}");
        cluster.done(&["delete", &plural, "-n", NAMESPACE, "vm1"], "")?;
    }
    cluster.soon("the address is not free", || {
        Ok(entries(&cluster, POOL)?.is_empty().then_some(()))
    })?;
    cluster.is_content()
}
