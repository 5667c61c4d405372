//! The kinds that are read from a cluster, and what of them is kept.

use crate::network::ipam::SLICE_CONTROLLER;

use super::ClusterQuery;

/// A kind as the API serves it.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::sources) struct ClusterKind {
    /// `kind`
    pub name: &'static str,
    /// `apiVersion`
    pub api_version: &'static str,
    /// Its name in paths.
    pub resource: &'static str,
    /// The fields that are kept beside name and namespace; of annotations those that nadmit reads.
    pub kept: &'static [&'static str],
    /// Whether it comes with the cluster itself, so that it cannot be missing.
    pub built_in: bool,
}

pub(in crate::sources) const NETWORKS: ClusterKind = custom(
    "NetworkAttachmentDefinition",
    "k8s.cni.cncf.io/v1",
    "network-attachment-definitions",
    &["metadata.annotations", "spec.config"],
);
pub(in crate::sources) const NAMESPACES: ClusterKind = built_in(
    "Namespace",
    "v1",
    "namespaces",
    &["metadata.labels", "metadata.deletionTimestamp"],
);
pub(in crate::sources) const PODS: ClusterKind = built_in(
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
pub(in crate::sources) const POOLS: ClusterKind = custom(
    "AddressPool",
    "nadmit.io/v1alpha1",
    "addresspools",
    &["spec"],
);
pub(in crate::sources) const RESERVATIONS: ClusterKind = custom(
    "AddressReservation",
    "nadmit.io/v1alpha1",
    "addressreservations",
    &["spec"],
);
pub(in crate::sources) const OPERATORS: ClusterKind = custom(
    "Network",
    "operator.openshift.io/v1",
    "networks",
    &["spec.additionalNetworks"],
);
pub(in crate::sources) const SLICE_POOLS: ClusterKind = custom(
    "NodeSlicePool",
    "whereabouts.cni.cncf.io/v1alpha1",
    "nodeslicepools",
    &[],
);
/// A pool with what nadmit says of it.
const JUDGED_POOLS: ClusterKind = custom(
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
pub(in crate::sources) const DEPLOYMENTS: ClusterKind =
    workload("Deployment", "apps/v1", "deployments");
const WORKLOADS: [ClusterKind; 7] = [
    DEPLOYMENTS,
    workload("ReplicaSet", "apps/v1", "replicasets"),
    workload("StatefulSet", "apps/v1", "statefulsets"),
    workload("DaemonSet", "apps/v1", "daemonsets"),
    workload("Job", "batch/v1", "jobs"),
    built_in("CronJob", "batch/v1", "cronjobs", CRON_JOB),
    workload("ReplicationController", "v1", "replicationcontrollers"),
];
pub(in crate::sources) const MACHINES: ClusterKind = custom(
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

/// The settings of Whereabouts's reconciler.
const RECONCILER_SETTINGS: &str = "whereabouts-config";
/// nadmit's own.
const SETTINGS: &str = "nadmit-config";

/// The roles that let who asks list what is asked for.
const CHECKS: &str = "the ClusterRole nadmit-check of deploy/examples/check-cluster.yaml";
const OPERATES: &str = "the ClusterRole nadmit-operate of docs/operating-addresses.md";

pub(in crate::sources) const fn built_in(
    name: &'static str,
    api_version: &'static str,
    resource: &'static str,
    kept: &'static [&'static str],
) -> ClusterKind {
    ClusterKind {
        name,
        api_version,
        resource,
        kept,
        built_in: true,
    }
}

pub(in crate::sources) const fn custom(
    name: &'static str,
    api_version: &'static str,
    resource: &'static str,
    kept: &'static [&'static str],
) -> ClusterKind {
    ClusterKind {
        built_in: false,
        ..built_in(name, api_version, resource, kept)
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
    /// Its API group; the core kinds have none.
    pub(in crate::sources) fn group(&self) -> &'static str {
        self.api_version
            .split_once('/')
            .map_or("", |(group, _)| group)
    }

    /// The resource as RBAC and kubectl name it: `network-attachment-definitions.k8s.cni.cncf.io`.
    pub(in crate::sources) fn full_resource(&self) -> String {
        match self.api_version.split_once('/') {
            Some((group, _)) => format!("{}.{group}", self.resource),
            None => self.resource.to_owned(),
        }
    }
}

/// One list to ask for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Listing {
    pub kind: ClusterKind,
    /// Of this namespace, or of all.
    pub namespace: Option<String>,
    /// Of the objects with this name only. A role can be limited to that name.
    pub name: Option<String>,
    /// What is left out if it may not be read; `None` where too much would rest on it.
    pub without: Option<String>,
    /// The role that lets who asks list it.
    pub role: &'static str,
}

/// The lists to ask for.
pub(super) fn listings(sought: &ClusterQuery) -> Vec<Listing> {
    match sought {
        ClusterQuery::Environment => surroundings(),
        ClusterQuery::Everything { namespace } => everything(namespace),
        ClusterQuery::Settings { namespace } => vec![Listing {
            namespace: Some(namespace.clone()),
            name: Some(SETTINGS.to_owned()),
            without: Some(format!(
                "the settings in ConfigMap {namespace}/{SETTINGS} are not known, and the defaults count"
            )),
            ..needed(CONFIG_MAPS)
        }],
        ClusterQuery::Addresses { pools, pods } => addresses(*pools, pods),
    }
}

/// What everything is judged against.
fn known() -> Vec<Listing> {
    vec![
        needed(NAMESPACES),
        needed(NETWORKS),
        needed(POOLS),
        needed(RESERVATIONS),
        needed(SLICE_POOLS),
        Listing {
            without: Some(
                "what OpenShift's network operator makes and runs is not known".to_owned(),
            ),
            ..needed(OPERATORS)
        },
    ]
}

fn surroundings() -> Vec<Listing> {
    let mut listings = known();
    listings.push(controller());
    listings.push(Listing {
        without: Some("addresses that running pods hold are not known".to_owned()),
        ..needed(PODS)
    });
    listings
}

fn everything(namespace: &Option<String>) -> Vec<Listing> {
    let mut listings = known();
    listings.push(needed(PODS));
    // It may live in another namespace than the one that is judged.
    if namespace.is_some() {
        listings.push(controller());
    }
    listings.push(Listing {
        name: Some(RECONCILER_SETTINGS.to_owned()),
        ..judged(CONFIG_MAPS, namespace)
    });
    let others = WORKLOADS.into_iter().chain([MACHINES]);
    listings.extend(others.map(|kind| judged(kind, namespace)));
    listings
}

/// What addresses are asked about: each list can be done without, and who asks says with what.
fn addresses(pools: bool, pods: &[(String, String)]) -> Vec<Listing> {
    let mut listings = vec![operated(NETWORKS, "what networks say is not known")];
    if pools {
        listings.push(operated(JUDGED_POOLS, "what pools can give is not known"));
        listings.push(operated(RESERVATIONS, "what is set aside is not known"));
    }
    listings.extend(pods.iter().map(|(namespace, name)| Listing {
        namespace: Some(namespace.clone()),
        name: Some(name.clone()),
        ..operated(PODS, "whether pods are there is not known")
    }));
    listings
}

/// The records, which are read elsewhere.
pub(super) fn allocations() -> Listing {
    Listing {
        role: OPERATES,
        ..needed(ALLOCATIONS)
    }
}

fn operated(kind: ClusterKind, without: &str) -> Listing {
    Listing {
        without: Some(without.to_owned()),
        role: OPERATES,
        ..needed(kind)
    }
}

fn needed(kind: ClusterKind) -> Listing {
    Listing {
        kind,
        namespace: None,
        name: None,
        without: None,
        role: CHECKS,
    }
}

/// Whereabouts's slices mean nothing without the controller that makes them.
fn controller() -> Listing {
    Listing {
        name: Some(SLICE_CONTROLLER.to_owned()),
        ..needed(DEPLOYMENTS)
    }
}

/// What nothing else is judged against need not be known elsewhere, nor at all.
fn judged(kind: ClusterKind, namespace: &Option<String>) -> Listing {
    Listing {
        namespace: namespace.clone(),
        without: Some(format!("{} are not judged", kind.resource)),
        ..needed(kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_limits_what_is_judged_and_not_what_is_known() {
        let sought = ClusterQuery::Everything {
            namespace: Some("db".to_owned()),
        };
        let listings = listings(&sought);
        let everywhere: Vec<&str> = listings
            .iter()
            .filter(|listing| listing.namespace.is_none())
            .map(|listing| listing.kind.resource)
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
