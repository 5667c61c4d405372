//! The part of the status of an installation that is about Whereabouts: what nadmit observes of it.

use kube::Client;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::{
    object,
    replicas::{ReplicaCounters, with_timeout},
};
use crate::catalog::WhereaboutsMode;

/// The records of Whereabouts that nadmit observes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WhereaboutsStatus {
    /// Number of IPPools that the replicas know; absent if no replica could be asked.
    pub ip_pools: Option<u64>,
    /// Number of addresses with an entry in one of them.
    pub addresses: Option<u64>,
    /// False if the CRD of IPPools has no `ifname`, as before Whereabouts v0.8; absent if the CRD could not
    /// be read.
    pub has_interfaces: Option<bool>,
    /// Treatment of its networks in the settings, where these could be read.
    #[serde(serialize_with = "as_name")]
    pub mode: Option<WhereaboutsMode>,
    /// Kinds whose watch fails in a replica, as `ippools.whereabouts.cni.cncf.io`.
    pub unwatched: Vec<String>,
}

/// The CRD of IPPools, as far as it could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IpPoolCrd {
    Absent,
    /// It may not be read, or the API server did not respond.
    Unknown,
    Present {
        has_interfaces: bool,
    },
}

impl WhereaboutsStatus {
    /// Returns the status from the metrics of the replicas, the CRD and the mode in the settings; `None` if
    /// the cluster does not have Whereabouts. All replicas know the same in the end.
    pub(super) fn of<'r>(
        replicas: impl Iterator<Item = &'r ReplicaCounters>,
        crd: IpPoolCrd,
        mode: Option<WhereaboutsMode>,
    ) -> Option<Self> {
        let mut status = Self {
            mode,
            ..Self::default()
        };
        for counters in replicas {
            status.ip_pools = status.ip_pools.max(Some(counters.ip_pools));
            status.addresses = status.addresses.max(Some(counters.ip_pool_entries));
            status.unwatched.extend(counters.unwatched.iter().cloned());
        }
        status.unwatched.sort_unstable();
        status.unwatched.dedup();
        match crd {
            IpPoolCrd::Absent => return None,
            IpPoolCrd::Unknown if status.is_empty() => return None,
            IpPoolCrd::Unknown => {}
            IpPoolCrd::Present { has_interfaces } => status.has_interfaces = Some(has_interfaces),
        }
        Some(status)
    }

    /// Returns true if no replica knows anything of Whereabouts.
    fn is_empty(&self) -> bool {
        self.ip_pools.unwrap_or_default() == 0 && self.unwatched.is_empty()
    }
}

impl IpPoolCrd {
    /// Reads whether entries of IPPools have an interface: the schema has `ifname`, or keeps what it does not
    /// know.
    pub(super) async fn read(client: &Client) -> Self {
        const CRD: &str = "ippools.whereabouts.cni.cncf.io";
        let api = object::api_of(
            client,
            "apiextensions.k8s.io/v1",
            "CustomResourceDefinition",
            None,
        );
        match with_timeout("read the CRD of IPPools", object::get(&api, CRD)).await {
            Ok(None) => Self::Absent,
            Ok(Some(found)) => {
                let versions = found.data["spec"]["versions"].as_array();
                let mut versions = versions.into_iter().flatten();
                Self::Present {
                    has_interfaces: versions.any(keeps_interfaces),
                }
            }
            Err(_) => Self::Unknown,
        }
    }
}

/// Returns true if the schema of a version of the CRD keeps `ifname` of an entry.
fn keeps_interfaces(version: &Value) -> bool {
    const PATH: [&str; 4] = [
        "/properties/spec",
        "/properties/allocations",
        "/additionalProperties",
        "/properties/ifname",
    ];
    let Some(root) = version.pointer("/schema/openAPIV3Schema") else {
        return false;
    };
    let mut schema = root;
    for step in PATH {
        if schema["x-kubernetes-preserve-unknown-fields"] == true {
            return true;
        }
        match schema.pointer(step) {
            Some(found) => schema = found,
            None => return false,
        }
    }
    true
}

/// Serializes a mode as its name in the settings.
fn as_name<S: Serializer>(
    mode: &Option<WhereaboutsMode>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    mode.map(WhereaboutsMode::name).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_status_is_that_of_the_replicas() {
        let counters = |ip_pools, unwatched: &[&str]| ReplicaCounters {
            ip_pools,
            ip_pool_entries: ip_pools * 3,
            unwatched: unwatched.iter().map(|one| (*one).to_owned()).collect(),
            ..ReplicaCounters::default()
        };
        let both = [counters(2, &[]), counters(1, &["ippools"])];
        let mode = Some(WhereaboutsMode::Serve);
        let of = |crd| WhereaboutsStatus::of(both.iter(), crd, mode);
        let expected = WhereaboutsStatus {
            mode,
            ip_pools: Some(2),
            addresses: Some(6),
            has_interfaces: None,
            unwatched: vec!["ippools".to_owned()],
        };
        assert_eq!(of(IpPoolCrd::Unknown), Some(expected));
        assert_eq!(of(IpPoolCrd::Absent), None);
        let none = [ReplicaCounters::default()];
        assert_eq!(
            WhereaboutsStatus::of(none.iter(), IpPoolCrd::Unknown, mode),
            None
        );
        let crd = IpPoolCrd::Present {
            has_interfaces: false,
        };
        let old = WhereaboutsStatus::of(none.iter(), crd, mode);
        assert_eq!(old.and_then(|found| found.has_interfaces), Some(false));
    }

    #[test]
    fn a_schema_keeps_interfaces_if_it_has_them_or_keeps_everything() {
        let entry = |properties: Value| {
            let allocations = json!({"additionalProperties": {"properties": properties}});
            json!({"properties": {"spec": {"properties": {"allocations": allocations}}}})
        };
        let keeps = json!({"x-kubernetes-preserve-unknown-fields": true});
        let cases = [
            (entry(json!({"id": {}, "podref": {}, "ifname": {}})), true),
            (entry(json!({"id": {}, "podref": {}})), false),
            (keeps.clone(), true),
            (json!({"properties": {"spec": keeps}}), true),
            (json!({"properties": {"status": keeps}}), false),
            (json!({}), false),
        ];
        for (schema, expected) in cases {
            let version = json!({"schema": {"openAPIV3Schema": schema}});
            assert_eq!(keeps_interfaces(&version), expected, "{version}");
        }
        assert!(!keeps_interfaces(&json!({})));
    }
}
