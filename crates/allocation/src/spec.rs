//! The unvalidated specs of pools and reservations.
//!
//! [`Pool::new`](super::Pool::new) and [`Reservation::new`](super::Reservation::new) validate them. The
//! same structures are read from the API server, from reviews and from folders of manifests.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The `spec` of an `AddressPool`. Ranges use the fields and syntax of Whereabouts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PoolSpec {
    /// The ranges; each attachment gets one address from each.
    pub ranges: Vec<RangeSpec>,
    /// The MACs of the pool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub macs: Option<MacsSpec>,
    /// The address space; empty for the unnamed one.
    pub network_name: String,
    /// The size of a node's slice in the first range, such as `/28`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_slice_size: Option<String>,
    /// True if nodes never get addresses from outside of their slices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strict_slices: Option<bool>,
    /// `Pod` or `Workload`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention: Option<String>,
    /// The events that release a workload's addresses, like the PVC retention policy of a
    /// `StatefulSet`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload_retention: Option<WorkloadRetentionSpec>,
    /// The time an address is withheld from other holders after its release, such as `30s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<String>,
    /// The time an address on an unresponsive node is kept, such as `10m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost_node_quarantine: Option<String>,
    /// The maximum number of addresses that one namespace may hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_per_namespace: Option<i64>,
    /// The selector of namespaces whose pods may use the pool: absent for none, `{}` for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<SelectorSpec>,
    /// The addresses that a virtual machine keeps: `MAC` or `MACAndIPs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtual_machines: Option<String>,
    /// The networks whose own pools get the settings of this one, which then has no addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub whereabouts: Option<NetworksSpec>,
}

/// The networks that define pools by themselves, by ranges in the syntax of Whereabouts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NetworksSpec {
    /// The networks, as `namespace/name`.
    pub networks: Vec<String>,
}

/// One range of a pool.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RangeSpec {
    /// The CIDR, or `first-last/prefix`.
    pub range: String,
    /// The first address to allocate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range_start: Option<String>,
    /// The last address to allocate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range_end: Option<String>,
    /// CIDRs and addresses that are never allocated.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// The gateway, which is never allocated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
}

/// The MACs of a pool: a prefix, or the first and the last MAC.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MacsSpec {
    /// The first bytes, such as `02:5e:00`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// The first MAC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// The last MAC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
}

/// The retention of a workload's addresses, by event: `Retain` or `Release`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkloadRetentionSpec {
    /// The policy for a set that is scaled below the replica's ordinal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when_scaled: Option<String>,
    /// The policy for a deleted set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when_deleted: Option<String>,
}

/// A label selector (apimachinery, `metav1.LabelSelector`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SelectorSpec {
    /// Labels that must have these values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
    /// Further conditions, all of which must hold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<ExpressionSpec>,
}

/// One condition on a label.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExpressionSpec {
    /// The label.
    pub key: String,
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
    pub operator: String,
    /// The values of `In` and `NotIn`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// The `spec` of an `AddressReservation`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReservationSpec {
    /// The network: a name in the reservation's namespace, or `namespace/name`.
    pub network: String,
    /// The holder that the addresses are reserved for.
    pub holder: ReservationHolderSpec,
    /// The interface; absent for any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// The IP addresses, with or without prefix length.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ips: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
}

/// The holder of a reservation: exactly one of a pod, a replica or a virtual machine.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReservationHolderSpec {
    /// The name of a pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// The name of a `StatefulSet`; `ordinal` selects the replica.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stateful_set: Option<String>,
    /// The ordinal of the replica.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ordinal: Option<i64>,
    /// The name of a virtual machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtual_machine: Option<String>,
}
