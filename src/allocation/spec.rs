//! Pools and reservations as their kinds write them: words, not yet checked.
//!
//! [`Pool::new`](super::Pool::new) and [`Reservation::new`](super::Reservation::new) make sense of
//! them. The same words come from the API, from a review and from a folder.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The `spec` of an `AddressPool`. Ranges are in Whereabouts's words and syntax.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PoolSpec {
    /// One address of each range goes to each attachment.
    pub ranges: Vec<RangeSpec>,
    /// Where MACs come from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub macs: Option<MacsSpec>,
    /// The address space; the unnamed one if empty.
    pub network_name: String,
    /// The size of a node's slice in the first range: `/28`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_slice_size: Option<String>,
    /// Whether nodes are given nothing outside of their slices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strict_slices: Option<bool>,
    /// `Pod` or `Workload`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention: Option<String>,
    /// When a workload's addresses go, as a `StatefulSet`'s volumes do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload_retention: Option<WorkloadRetentionSpec>,
    /// How long an address is kept from other holders after its release: `30s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<String>,
    /// How long an address on a node that does not answer is kept: `10m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost_node_quarantine: Option<String>,
    /// The most addresses that one namespace may hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_per_namespace: Option<i64>,
    /// Which namespaces' pods may draw from it: absent none, `{}` all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<SelectorSpec>,
    /// What a virtual machine keeps: `MAC` or `MACAndIPs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtual_machines: Option<String>,
}

/// One range of a pool.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RangeSpec {
    /// CIDR, or `first-last/prefix`.
    pub range: String,
    /// The first address to give.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range_start: Option<String>,
    /// The last address to give.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range_end: Option<String>,
    /// CIDRs and addresses never to give.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// An address never to give.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
}

/// Where MACs come from: a prefix, or first and last.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MacsSpec {
    /// The first bytes: `02:5e:00`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// The first MAC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// The last MAC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
}

/// When a workload's addresses go: `Retain` or `Release`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkloadRetentionSpec {
    /// When the set is scaled below the replica.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when_scaled: Option<String>,
    /// When the set is deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when_deleted: Option<String>,
}

/// A label selector (apimachinery, `metav1.LabelSelector`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SelectorSpec {
    /// Labels with these values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
    /// Further conditions; all must hold.
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
    /// The network, in the reservation's namespace or as `namespace/name`.
    pub network: String,
    /// For whom.
    pub holder: ReservedForSpec,
    /// The interface; any if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// The addresses, with or without prefix.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ips: Vec<String>,
    /// The MAC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
}

/// For whom an address is reserved: one of a pod, a replica, a virtual machine.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReservedForSpec {
    /// A pod's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// A `StatefulSet`'s name; `ordinal` says which replica.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stateful_set: Option<String>,
    /// The replica's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ordinal: Option<i64>,
    /// A virtual machine's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtual_machine: Option<String>,
}
