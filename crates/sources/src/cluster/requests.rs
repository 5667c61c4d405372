//! The lists that a query requests.

use kube::api::ListParams;
use nadmit_api::watch::name_selector;
use nadmit_cni::ipam::SLICE_CONTROLLER;

use super::{
    ClusterQuery, WhereaboutsKinds, audit_kinds,
    kinds::{
        ALLOCATIONS, CONFIG_MAPS, ClusterKind, DEPLOYMENTS, IP_POOLS, NAMESPACES, NETWORKS,
        OPERATORS, OVERLAPPING_RESERVATIONS, PODS, POOLS, POOLS_WITH_STATUS, RESERVATIONS,
        SLICE_POOLS, VIRTUAL_MACHINES, WORKLOADS,
    },
};

/// The `ConfigMap` with the settings of Whereabouts's reconciler.
const RECONCILER_SETTINGS: &str = "whereabouts-config";
/// The `ConfigMap` with nadmit's settings.
const NADMIT_SETTINGS: &str = "nadmit-config";

/// The roles that grant permission for the lists.
const CHECK_ROLE: &str = "the ClusterRole nadmit-check of deploy/examples/check-cluster.yaml";
const OPERATE_ROLE: &str = "the ClusterRole nadmit-operate of docs/how-to/operate-addresses.md";
const AUDIT_ROLE: &str = "the ClusterRole nadmit-audit of deploy/examples/audit-cluster.yaml";

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
    /// True if objects that are unrelated to networks, or have ended, are read, too.
    pub every_object: bool,
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
        ClusterQuery::Addresses {
            pools,
            whereabouts,
            pods,
        } => {
            let mut requests = addresses(*pools, pods);
            requests.extend(whereabouts_requests(*whereabouts));
            requests
        }
        ClusterQuery::Records => records(),
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

/// Returns the lists of Whereabouts's records.
fn whereabouts_requests(kinds: WhereaboutsKinds) -> impl Iterator<Item = ListRequest> {
    let all = match kinds {
        WhereaboutsKinds::None => vec![],
        WhereaboutsKinds::Pools => vec![IP_POOLS],
        WhereaboutsKinds::All => vec![IP_POOLS, OVERLAPPING_RESERVATIONS],
    };
    let request = |kind| operate_request(kind, "the addresses of Whereabouts are not known");
    all.into_iter().map(request)
}

/// Returns the lists of an audit. All are optional; the caller reports what is missing.
fn records() -> Vec<ListRequest> {
    let request = |kind: ClusterKind| ListRequest {
        if_forbidden: Some(format!(
            "findings that need the {} of the cluster are left out",
            kind.resource
        )),
        role: AUDIT_ROLE,
        every_object: true,
        ..required(kind)
    };
    audit_kinds::ALL.into_iter().map(request).collect()
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
        every_object: false,
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
