//! The kinds that are read from a cluster, and the fields that are used.

use kube::api::ListParams;
use nadmit_api::watch::name_selector;
use nadmit_cni::ipam::SLICE_CONTROLLER;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::ClusterQuery;

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
    "whereabouts.cni.cncf.io/v1alpha1",
    "nodeslicepools",
    &[],
);
/// Pools with nadmit's conditions.
const POOLS_WITH_STATUS: ClusterKind = custom(
    "AddressPool",
    "nadmit.io/v1alpha1",
    "addresspools",
    &["spec", "status.conditions"],
);
const ALLOCATIONS: ClusterKind = custom(
    "AddressAllocation",
    "nadmit.io/v1alpha1",
    "addressallocations",
    &[],
);
const CONFIG_MAPS: ClusterKind = built_in("ConfigMap", "v1", "configmaps", &["data"]);
pub(crate) const DEPLOYMENTS: ClusterKind = workload("Deployment", "apps/v1", "deployments");
const WORKLOADS: [ClusterKind; 7] = [
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

/// The `ConfigMap` with the settings of Whereabouts's reconciler.
const RECONCILER_SETTINGS: &str = "whereabouts-config";
/// The `ConfigMap` with nadmit's settings.
const NADMIT_SETTINGS: &str = "nadmit-config";

/// The roles that grant permission for the lists.
const CHECK_ROLE: &str = "the ClusterRole nadmit-check of deploy/examples/check-cluster.yaml";
const OPERATE_ROLE: &str = "the ClusterRole nadmit-operate of docs/how-to/operate-addresses.md";

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

#[derive(Debug, PartialEq, Eq)]
pub(super) struct ListRequest {
    pub kind: ClusterKind,
    /// The namespace; `None` for all.
    pub namespace: Option<String>,
    /// If set, only the object with this name, to which a role can be limited.
    pub name: Option<String>,
    /// The consequence, for messages, if the list may not be read; `None` if it is not optional.
    pub if_forbidden: Option<String>,
    /// The role that grants permission for the list.
    pub role: &'static str,
}

impl ListRequest {
    /// Returns the parameters of its first page of at most `limit` objects.
    pub(super) fn params(&self, limit: u32) -> ListParams {
        ListParams {
            field_selector: self.name.as_deref().map(name_selector),
            ..ListParams::default().limit(limit)
        }
    }
}

/// Returns the lists to request for a query.
pub(super) fn list_requests(query: &ClusterQuery) -> Vec<ListRequest> {
    match query {
        ClusterQuery::Environment => environment(),
        ClusterQuery::Everything { namespace } => everything(namespace),
        ClusterQuery::Settings { namespace } => vec![ListRequest {
            namespace: Some(namespace.clone()),
            name: Some(NADMIT_SETTINGS.to_owned()),
            if_forbidden: Some(format!(
                "the settings in ConfigMap {namespace}/{NADMIT_SETTINGS} are not known, so the defaults apply"
            )),
            ..required(CONFIG_MAPS)
        }],
        ClusterQuery::Addresses { pools, pods } => addresses(*pools, pods),
    }
}

/// Returns the lists against which all objects are checked.
fn common_requests() -> Vec<ListRequest> {
    vec![
        required(NAMESPACES),
        required(NETWORKS),
        required(POOLS),
        required(RESERVATIONS),
        required(SLICE_POOLS),
        ListRequest {
            if_forbidden: Some(
                "the networks of OpenShift's network operator are not known".to_owned(),
            ),
            ..required(OPERATORS)
        },
    ]
}

fn environment() -> Vec<ListRequest> {
    let mut requests = common_requests();
    requests.push(controller());
    requests.push(ListRequest {
        if_forbidden: Some("the addresses of running pods are not known".to_owned()),
        ..required(PODS)
    });
    requests
}

fn everything(namespace: &Option<String>) -> Vec<ListRequest> {
    let mut requests = common_requests();
    requests.push(required(PODS));
    // The controller may run in another namespace than the checked one.
    if namespace.is_some() {
        requests.push(controller());
    }
    requests.push(ListRequest {
        name: Some(RECONCILER_SETTINGS.to_owned()),
        ..checked(CONFIG_MAPS, namespace)
    });
    let others = WORKLOADS.into_iter().chain([VIRTUAL_MACHINES]);
    requests.extend(others.map(|kind| checked(kind, namespace)));
    requests
}

/// Returns the lists for questions about addresses. All are optional; the caller reports what is
/// missing.
fn addresses(pools: bool, pods: &[(String, String)]) -> Vec<ListRequest> {
    let mut requests = vec![operate_request(NETWORKS, "the networks are not known")];
    if pools {
        requests.push(operate_request(
            POOLS_WITH_STATUS,
            "the pools are not known",
        ));
        requests.push(operate_request(
            RESERVATIONS,
            "the reservations are not known",
        ));
    }
    requests.extend(pods.iter().map(|(namespace, name)| ListRequest {
        namespace: Some(namespace.clone()),
        name: Some(name.clone()),
        ..operate_request(PODS, "nadmit cannot tell whether pods exist")
    }));
    requests
}

/// Returns the list of allocations, which are read elsewhere.
pub(super) fn allocation_request() -> ListRequest {
    ListRequest {
        role: OPERATE_ROLE,
        ..required(ALLOCATIONS)
    }
}

fn operate_request(kind: ClusterKind, if_forbidden: &str) -> ListRequest {
    ListRequest {
        if_forbidden: Some(if_forbidden.to_owned()),
        role: OPERATE_ROLE,
        ..required(kind)
    }
}

fn required(kind: ClusterKind) -> ListRequest {
    ListRequest {
        kind,
        namespace: None,
        name: None,
        if_forbidden: None,
        role: CHECK_ROLE,
    }
}

/// Returns the list with Whereabouts's controller, without which its node slices are meaningless.
fn controller() -> ListRequest {
    ListRequest {
        name: Some(SLICE_CONTROLLER.to_owned()),
        ..required(DEPLOYMENTS)
    }
}

/// Returns the optional list of a kind against which no other objects are checked, in `namespace`
/// only.
fn checked(kind: ClusterKind, namespace: &Option<String>) -> ListRequest {
    ListRequest {
        namespace: namespace.clone(),
        if_forbidden: Some(format!("{} are not checked", kind.resource)),
        ..required(kind)
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

    #[test]
    fn a_namespace_limits_the_checked_objects_only() {
        let query = ClusterQuery::Everything {
            namespace: Some("db".to_owned()),
        };
        let requests = list_requests(&query);
        let everywhere: Vec<&str> = requests
            .iter()
            .filter(|request| request.namespace.is_none())
            .map(|request| request.kind.resource)
            .collect();
        assert_eq!(
            everywhere,
            [
                "namespaces",
                "network-attachment-definitions",
                "addresspools",
                "addressreservations",
                "nodeslicepools",
                "networks",
                "pods",
                "deployments",
            ]
        );
    }
}
