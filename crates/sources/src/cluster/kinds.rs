//! The kinds that are read from a cluster, and the fields that are used.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Characters of names, which stay as they are in URLs.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');

/// A kind as the API serves it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ClusterKind {
    /// `kind`
    pub name: &'static str,
    pub api_version: &'static str,
    /// The resource name in URLs.
    pub resource: &'static str,
    /// The fields to read besides name and namespace; of annotations, only those that nadmit reads.
    pub fields: &'static [&'static str],
    /// True if the kind is part of Kubernetes, so that it always exists.
    pub built_in: bool,
}

pub(crate) const NETWORKS: ClusterKind = custom(
    "NetworkAttachmentDefinition",
    "k8s.cni.cncf.io/v1",
    "network-attachment-definitions",
    &["metadata.annotations", "spec.config"],
);
pub(crate) const NAMESPACES: ClusterKind = built_in(
    "Namespace",
    "v1",
    "namespaces",
    &["metadata.labels", "metadata.deletionTimestamp"],
);
pub(crate) const PODS: ClusterKind = built_in(
    "Pod",
    "v1",
    "pods",
    &[
        "metadata.annotations",
        "metadata.generateName",
        "metadata.ownerReferences",
        "metadata.uid",
        "spec.hostNetwork",
        "spec.nodeName",
        "status.phase",
    ],
);
pub(crate) const POOLS: ClusterKind = custom(
    "AddressPool",
    "nadmit.io/v1alpha1",
    "addresspools",
    &["spec"],
);
pub(crate) const RESERVATIONS: ClusterKind = custom(
    "AddressReservation",
    "nadmit.io/v1alpha1",
    "addressreservations",
    &["spec"],
);
pub(crate) const OPERATORS: ClusterKind = custom(
    "Network",
    "operator.openshift.io/v1",
    "networks",
    &["spec.additionalNetworks"],
);
pub(crate) const SLICE_POOLS: ClusterKind = custom(
    "NodeSlicePool",
    WHEREABOUTS,
    "nodeslicepools",
    &["spec", "status"],
);
pub(crate) const IP_POOLS: ClusterKind = custom(
    "IPPool",
    WHEREABOUTS,
    "ippools",
    &["metadata.resourceVersion", "spec"],
);
pub(crate) const OVERLAPPING_RESERVATIONS: ClusterKind = custom(
    "OverlappingRangeIPReservation",
    WHEREABOUTS,
    "overlappingrangeipreservations",
    &["metadata.deletionTimestamp", "metadata.finalizers", "spec"],
);
/// Pools with nadmit's conditions.
pub(super) const POOLS_WITH_STATUS: ClusterKind = custom(
    "AddressPool",
    "nadmit.io/v1alpha1",
    "addresspools",
    &["spec", "status.conditions"],
);
pub(super) const ALLOCATIONS: ClusterKind = custom(
    "AddressAllocation",
    "nadmit.io/v1alpha1",
    "addressallocations",
    &[],
);
pub(super) const CONFIG_MAPS: ClusterKind = built_in("ConfigMap", "v1", "configmaps", &["data"]);
pub(crate) const DEPLOYMENTS: ClusterKind = workload("Deployment", "apps/v1", "deployments");
pub(super) const WORKLOADS: [ClusterKind; 7] = [
    DEPLOYMENTS,
    workload("ReplicaSet", "apps/v1", "replicasets"),
    workload("StatefulSet", "apps/v1", "statefulsets"),
    workload("DaemonSet", "apps/v1", "daemonsets"),
    workload("Job", "batch/v1", "jobs"),
    built_in("CronJob", "batch/v1", "cronjobs", CRON_JOB),
    workload("ReplicationController", "v1", "replicationcontrollers"),
];
pub(crate) const VIRTUAL_MACHINES: ClusterKind = custom(
    "VirtualMachine",
    "kubevirt.io/v1",
    "virtualmachines",
    &["spec.template.spec.networks"],
);

const WHEREABOUTS: &str = "whereabouts.cni.cncf.io/v1alpha1";

const WORKLOAD: &[&str] = &[
    "metadata.ownerReferences",
    "spec.replicas",
    "spec.parallelism",
    "spec.completions",
    "spec.strategy.type",
    "spec.template.metadata.annotations",
    "spec.template.spec.hostNetwork",
];
const CRON_JOB: &[&str] = &[
    "spec.concurrencyPolicy",
    "spec.jobTemplate.spec.parallelism",
    "spec.jobTemplate.spec.completions",
    "spec.jobTemplate.spec.template.metadata.annotations",
    "spec.jobTemplate.spec.template.spec.hostNetwork",
];

pub(crate) const fn built_in(
    name: &'static str,
    api_version: &'static str,
    resource: &'static str,
    fields: &'static [&'static str],
) -> ClusterKind {
    ClusterKind {
        name,
        api_version,
        resource,
        fields,
        built_in: true,
    }
}

pub(crate) const fn custom(
    name: &'static str,
    api_version: &'static str,
    resource: &'static str,
    fields: &'static [&'static str],
) -> ClusterKind {
    ClusterKind {
        built_in: false,
        ..built_in(name, api_version, resource, fields)
    }
}

const fn workload(
    name: &'static str,
    api_version: &'static str,
    resource: &'static str,
) -> ClusterKind {
    built_in(name, api_version, resource, WORKLOAD)
}

impl ClusterKind {
    /// Returns its API group; empty for core kinds.
    pub(crate) fn group(&self) -> &'static str {
        self.api_version
            .split_once('/')
            .map_or("", |(group, _)| group)
    }

    /// Returns the path of its objects in a namespace; in all if `None`.
    pub(crate) fn url_path(&self, namespace: Option<&str>) -> String {
        let root = if self.group().is_empty() {
            "api"
        } else {
            "apis"
        };
        let namespace = namespace.map_or_else(String::new, |namespace| {
            format!("/namespaces/{}", utf8_percent_encode(namespace, PLAIN))
        });
        format!("/{root}/{}{namespace}/{}", self.api_version, self.resource)
    }

    /// Returns the resource with its group, as for RBAC and kubectl:
    /// `network-attachment-definitions.k8s.cni.cncf.io`.
    pub(crate) fn full_resource(&self) -> String {
        match self.api_version.split_once('/') {
            Some((group, _)) => format!("{}.{group}", self.resource),
            None => self.resource.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_the_group_and_the_namespace() {
        assert_eq!(PODS.url_path(None), "/api/v1/pods");
        assert_eq!(
            NETWORKS.url_path(Some("a/b")),
            "/apis/k8s.cni.cncf.io/v1/namespaces/a%2Fb/network-attachment-definitions"
        );
    }
}
