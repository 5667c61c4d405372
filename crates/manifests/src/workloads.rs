//! Objects that create pods: the workloads of Kubernetes, and KubeVirt's virtual machines.
//!
//! The annotations of a workload's template are read, and the fields that determine the number of
//! pods.

use nadmit_cni::document::DocumentNode;
use nadmit_cni::near_miss;

use super::{
    Located, Manifest, PodName, ScaleManifest, VirtualMachineManifest, WorkloadManifest,
    objects::{LocatedEntries, host_network, namespace_of, pod_name, texts},
    reader::ManifestReader,
};

/// The path of the pod template in a workload.
const TEMPLATE: &str = "spec.template.";
/// The path of the pod template in a `CronJob`.
const JOB_TEMPLATE: &str = "spec.jobTemplate.spec.template.";

pub(super) fn deployment(reader: &mut ManifestReader, node: &DocumentNode<'_>) -> Option<Manifest> {
    workload(reader, node, "Deployment")
}

pub(super) fn replica_set(
    reader: &mut ManifestReader,
    node: &DocumentNode<'_>,
) -> Option<Manifest> {
    workload(reader, node, "ReplicaSet")
}

pub(super) fn stateful_set(
    reader: &mut ManifestReader,
    node: &DocumentNode<'_>,
) -> Option<Manifest> {
    workload(reader, node, "StatefulSet")
}

pub(super) fn daemon_set(reader: &mut ManifestReader, node: &DocumentNode<'_>) -> Option<Manifest> {
    workload(reader, node, "DaemonSet")
}

pub(super) fn job(reader: &mut ManifestReader, node: &DocumentNode<'_>) -> Option<Manifest> {
    workload(reader, node, "Job")
}

pub(super) fn cron_job(reader: &mut ManifestReader, node: &DocumentNode<'_>) -> Option<Manifest> {
    workload(reader, node, "CronJob")
}

pub(super) fn replication_controller(
    reader: &mut ManifestReader,
    node: &DocumentNode<'_>,
) -> Option<Manifest> {
    workload(reader, node, "ReplicationController")
}

fn workload(
    reader: &mut ManifestReader,
    node: &DocumentNode<'_>,
    kind: &'static str,
) -> Option<Manifest> {
    let (namespace, name) = identity(reader, node);
    let own_annotations = own_annotations(reader, node);
    let spec = reader.object_in(node, "spec");
    let path = match kind {
        "CronJob" => JOB_TEMPLATE,
        _ => TEMPLATE,
    };
    let holder = match kind {
        "CronJob" => spec
            .and_then(|spec| reader.object_in(spec, "spec.jobTemplate"))
            .and_then(|job| reader.object_in(job, "spec.jobTemplate.spec")),
        _ => spec,
    };
    let template = holder.and_then(|holder| reader.object_in(holder, path.trim_end_matches('.')));
    let metadata = template.and_then(|t| reader.object_in(t, &format!("{path}metadata")));
    let annotations = texts(reader, metadata, &format!("{path}metadata.annotations"));
    let host_network = template.is_some_and(|template| host_network(reader, template, path));
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

/// Values of the wrong type are ignored: the API server rejects them.
fn scale(spec: Option<&DocumentNode<'_>>, holder: Option<&DocumentNode<'_>>) -> ScaleManifest {
    let number = |node: Option<&DocumentNode<'_>>, name: &str| node?.get(name)?.integer();
    let text =
        |node: Option<&DocumentNode<'_>>, name: &str| Some(node?.get(name)?.string()?.into());
    ScaleManifest {
        replicas: number(spec, "replicas"),
        parallelism: number(holder, "parallelism"),
        completions: number(holder, "completions"),
        strategy: text(spec.and_then(|spec| spec.get("strategy")), "type"),
        concurrency: text(spec, "concurrencyPolicy"),
    }
}

/// Reads a `VirtualMachine` and its Multus networks.
pub(super) fn virtual_machine(
    reader: &mut ManifestReader,
    node: &DocumentNode<'_>,
) -> Option<Manifest> {
    let (namespace, name) = identity(reader, node);
    let own_annotations = own_annotations(reader, node);
    let spec = reader.object_in(node, "spec");
    let template = spec.and_then(|spec| reader.object_in(spec, "spec.template"));
    let inner = template.and_then(|template| reader.object_in(template, "spec.template.spec"));
    let listed = inner.and_then(|inner| inner.get("networks")?.elements());
    let mut networks = Vec::new();
    for (index, network) in listed.unwrap_or_default().iter().enumerate() {
        let path = format!("spec.template.spec.networks[{index}].multus");
        let Some(multus) = reader.object_in(network, &path) else {
            continue;
        };
        let name = reader.text_in(multus, &format!("{path}.networkName"));
        if let (Some(text), Some(node)) = (name, multus.get("networkName")) {
            let location = node.location;
            let value = text.into();
            networks.push((index, Located { value, location }));
        }
    }
    Some(Manifest::VirtualMachine(VirtualMachineManifest {
        namespace,
        name: name?,
        networks,
        own_annotations,
    }))
}

/// Returns the annotations of an object that were intended for its pods.
fn own_annotations(reader: &mut ManifestReader, node: &DocumentNode<'_>) -> LocatedEntries {
    let metadata = node.get("metadata");
    let mut own = texts(reader, metadata, "metadata.annotations");
    own.retain(|(key, _)| near_miss::is_for_pods(key));
    own
}

fn identity(reader: &mut ManifestReader, node: &DocumentNode<'_>) -> (Box<str>, Option<Box<str>>) {
    let metadata = reader.object_in(node, "metadata");
    let name = pod_name(reader, node, metadata).map(|name| match name {
        PodName::Explicit(name) | PodName::Generated(name) => name,
    });
    (namespace_of(reader, metadata), name)
}
