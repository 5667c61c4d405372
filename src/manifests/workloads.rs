//! What makes pods: the workloads of Kubernetes, and KubeVirt's virtual machines.
//!
//! Of a workload its template's annotations are read, and what it says of how many pods it makes.

use crate::{document::Node, network::near_miss};

use super::{
    Located, Manifest, PodName, ScaleManifest, VirtualMachineManifest, WorkloadManifest,
    kinds::{Texts, host_network, namespace_of, pod_name, texts},
    reading::Reading,
};

/// Where a workload keeps the template of its pods.
const TEMPLATE: &str = "spec.template.";
/// Where a `CronJob` does.
const JOB_TEMPLATE: &str = "spec.jobTemplate.spec.template.";

pub(super) fn deployment(reading: &mut Reading, node: &Node<'_>) -> Option<Manifest> {
    workload(reading, node, "Deployment")
}

pub(super) fn replica_set(reading: &mut Reading, node: &Node<'_>) -> Option<Manifest> {
    workload(reading, node, "ReplicaSet")
}

pub(super) fn stateful_set(reading: &mut Reading, node: &Node<'_>) -> Option<Manifest> {
    workload(reading, node, "StatefulSet")
}

pub(super) fn daemon_set(reading: &mut Reading, node: &Node<'_>) -> Option<Manifest> {
    workload(reading, node, "DaemonSet")
}

pub(super) fn job(reading: &mut Reading, node: &Node<'_>) -> Option<Manifest> {
    workload(reading, node, "Job")
}

pub(super) fn cron_job(reading: &mut Reading, node: &Node<'_>) -> Option<Manifest> {
    workload(reading, node, "CronJob")
}

pub(super) fn replication_controller(reading: &mut Reading, node: &Node<'_>) -> Option<Manifest> {
    workload(reading, node, "ReplicationController")
}

fn workload(reading: &mut Reading, node: &Node<'_>, kind: &'static str) -> Option<Manifest> {
    let (namespace, name) = identity(reading, node);
    let own_annotations = own_annotations(reading, node);
    let spec = reading.object_in(node, "spec");
    let path = match kind {
        "CronJob" => JOB_TEMPLATE,
        _ => TEMPLATE,
    };
    let holder = match kind {
        "CronJob" => spec
            .and_then(|spec| reading.object_in(spec, "spec.jobTemplate"))
            .and_then(|job| reading.object_in(job, "spec.jobTemplate.spec")),
        _ => spec,
    };
    let template = holder.and_then(|holder| reading.object_in(holder, path.trim_end_matches('.')));
    let metadata = template.and_then(|t| reading.object_in(t, &format!("{path}metadata")));
    let annotations = texts(reading, metadata, &format!("{path}metadata.annotations"));
    let host_network = template.is_some_and(|template| host_network(reading, template, path));
    Some(Manifest::Workload(WorkloadManifest {
        kind,
        namespace,
        name: name?,
        scale: scale(spec, holder),
        host_network,
        annotations,
        own_annotations,
    }))
}

/// What is of another kind than it has to be, counts as not said: the API server checks it.
fn scale(spec: Option<&Node<'_>>, holder: Option<&Node<'_>>) -> ScaleManifest {
    let number = |node: Option<&Node<'_>>, name: &str| node?.get(name)?.integer();
    let word = |node: Option<&Node<'_>>, name: &str| Some(node?.get(name)?.string()?.into());
    ScaleManifest {
        replicas: number(spec, "replicas"),
        parallelism: number(holder, "parallelism"),
        completions: number(holder, "completions"),
        strategy: word(spec.and_then(|spec| spec.get("strategy")), "type"),
        concurrency: word(spec, "concurrencyPolicy"),
    }
}

/// Reads a `VirtualMachine`: the networks that it has by Multus.
pub(super) fn virtual_machine(reading: &mut Reading, node: &Node<'_>) -> Option<Manifest> {
    let (namespace, name) = identity(reading, node);
    let own_annotations = own_annotations(reading, node);
    let spec = reading.object_in(node, "spec");
    let template = spec.and_then(|spec| reading.object_in(spec, "spec.template"));
    let inner = template.and_then(|template| reading.object_in(template, "spec.template.spec"));
    let listed = inner.and_then(|inner| inner.get("networks")?.elements());
    let mut networks = Vec::new();
    for (index, network) in listed.unwrap_or_default().iter().enumerate() {
        let path = format!("spec.template.spec.networks[{index}].multus");
        let Some(multus) = reading.object_in(network, &path) else {
            continue;
        };
        let name = reading.text_in(multus, &format!("{path}.networkName"));
        if let (Some(text), Some(node)) = (name, multus.get("networkName")) {
            let place = node.place;
            let value = text.into();
            networks.push((index, Located { value, place }));
        }
    }
    Some(Manifest::VirtualMachine(VirtualMachineManifest {
        namespace,
        name: name?,
        networks,
        own_annotations,
    }))
}

/// Of an object's own annotations those that were meant for its pods.
fn own_annotations(reading: &mut Reading, node: &Node<'_>) -> Texts {
    let metadata = node.get("metadata");
    let mut own = texts(reading, metadata, "metadata.annotations");
    own.retain(|(key, _)| near_miss::is_for_pods(key));
    own
}

fn identity(reading: &mut Reading, node: &Node<'_>) -> (Box<str>, Option<Box<str>>) {
    let metadata = reading.object_in(node, "metadata");
    let name = pod_name(reading, node, metadata).map(|name| match name {
        PodName::Given(name) | PodName::Generated(name) => name,
    });
    (namespace_of(reading, metadata), name)
}
