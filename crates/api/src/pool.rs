//! `AddressPool`: ranges to allocate from.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{PoolColumns, RangeUse};
use nadmit_allocation::spec::PoolSpec;

/// An AddressPool has the addresses and MACs that nadmit assigns to pods on secondary networks. A network
/// names its pool in the annotation nadmit.io/address-pool.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "nadmit.io",
    version = "v1alpha1",
    kind = "AddressPool",
    plural = "addresspools",
    shortname = "apool",
    category = "nadmit",
    status = "AddressPoolStatus",
    derive = "PartialEq",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    // kubectl shows only the first element of a list, so these are strings with all ranges.
    printcolumn(name = "Ranges", type_ = "string", json_path = ".status.columns.ranges"),
    printcolumn(
        name = "Allocated",
        type_ = "string",
        json_path = ".status.columns.allocated"
    ),
    printcolumn(
        name = "Reserved",
        type_ = "string",
        json_path = ".status.columns.reserved"
    ),
    printcolumn(name = "Free", type_ = "string", json_path = ".status.columns.free"),
    printcolumn(
        name = "Capacity",
        type_ = "string",
        json_path = ".status.columns.capacity",
        priority = 1
    ),
    printcolumn(
        name = "Space",
        type_ = "string",
        json_path = ".spec.networkName",
        priority = 1
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.whereabouts) || (has(self.ranges) && size(self.ranges) > 0) || has(self.macs)").message("the pool assigns nothing; write at least one range, or macs"),
    validation = Rule::new("!has(self.whereabouts) || !((has(self.ranges) && size(self.ranges) > 0) || has(self.macs) || (has(self.networkName) && self.networkName != '') || has(self.nodeSliceSize) || has(self.strictSlices) || has(self.namespaceSelector))").message("with whereabouts, ranges, macs, networkName, nodeSliceSize, strictSlices and namespaceSelector have no meaning; remove them, or remove whereabouts"),
    validation = Rule::new("!has(self.nodeSliceSize) || (has(self.ranges) && size(self.ranges) > 0)").message("nodeSliceSize needs a pool with a range"),
    validation = Rule::new("!has(self.nodeSliceSize) || !has(self.retention) || self.retention != 'Workload'").message("an address of a node's slice cannot follow its workload to another node; write Pod, or leave out nodeSliceSize"),
    validation = Rule::new("!has(self.strictSlices) || !self.strictSlices || has(self.nodeSliceSize)").message("strictSlices has no meaning without nodeSliceSize")
)]
pub struct AddressPoolSpec {
    /// The ranges. Each network entry gets one address of each: two families are dual-stack.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub ranges: Vec<PoolRangeSpec>,
    /// The source of MACs. If absent, nadmit assigns no MACs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub macs: Option<MacSource>,
    /// The address space, in which each address is assigned only once, by whichever pool. Pools without
    /// a name share the unnamed address space.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub network_name: String,
    /// The prefix length of the slice of the first range that each node uses, such as /28. Slices of
    /// the other ranges have as many addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^/?[0-9]{1,3}$"))]
    pub node_slice_size: Option<String>,
    /// If true, a pod gets only addresses of its node's slices. If false, a node whose slices are full
    /// borrows addresses from those of other nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strict_slices: Option<bool>,
    /// The lifetime of addresses. Pod: as long as the pod exists. Workload: as long as the StatefulSet's
    /// replica or the virtual machine exists. The default is Workload; with nodeSliceSize it is Pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["Pod", "Workload"]))]
    pub retention: Option<String>,
    /// The events that end the retention of a workload's addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_retention: Option<WorkloadRetentionPolicy>,
    /// The time in which no other holder gets a released address, such as 30s (the default).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^([0-9]+[hms])+$"))]
    pub quarantine: Option<String>,
    /// The time for which an address is kept while its node does not answer, such as 10m (the default).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^([0-9]+[hms])+$"))]
    pub lost_node_quarantine: Option<String>,
    /// The maximum number of addresses that one namespace may hold or reserve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_per_namespace: Option<i64>,
    /// The namespaces whose pods may use the pool: none if absent, all if empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<NamespaceSelector>,
    /// The addresses that a KubeVirt virtual machine keeps: MAC (the default) or MACAndIPs (the default
    /// with whereabouts).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["MAC", "MACAndIPs"]))]
    pub virtual_machines: Option<String>,
    /// The networks whose own pools get the settings of this one: served networks of Whereabouts, and
    /// inline pools. The pool itself then assigns nothing, and has no ranges.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whereabouts: Option<ConfiguredNetworks>,
}

/// The networks whose own pools get the settings of an AddressPool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfiguredNetworks {
    /// The networks, each as namespace/name. Networks with equal definitions share one pool, so one of
    /// them is enough.
    #[schemars(
        length(min = 1, max = 64),
        inner(length(max = 507), regex(pattern = r"^[^/]+/[^/]+$"))
    )]
    pub networks: Vec<String>,
}

/// One range of a pool, in the syntax of Whereabouts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PoolRangeSpec {
    /// A CIDR, or first-last/prefix. The first and the last address of the subnet are never assigned.
    pub range: String,
    /// The first address that is assigned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range_start: Option<String>,
    /// The last address that is assigned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range_end: Option<String>,
    /// CIDRs and addresses that are never assigned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// An address that is never assigned. It creates no route: write routes into the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
}

/// The source of MACs: a prefix, to which the address's offset in the first range is added, or first
/// and last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.prefix) ? !has(self.start) && !has(self.end) : has(self.start) && has(self.end)").message("write either a prefix, or start and end"))]
pub struct MacSource {
    /// One to five bytes, such as 02:5e:00.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){0,4}$"))]
    pub prefix: Option<String>,
    /// The first MAC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// The last MAC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
}

/// The events that end the retention of a workload's addresses, as
/// persistentVolumeClaimRetentionPolicy does for its volumes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadRetentionPolicy {
    /// The action if the set is scaled below the replica: Retain (the default) or Release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["Retain", "Release"]))]
    pub when_scaled: Option<String>,
    /// The action if the set is deleted: Retain or Release (the default).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["Retain", "Release"]))]
    pub when_deleted: Option<String>,
}

/// Labels of namespaces. All conditions must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceSelector {
    /// Labels with these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
    /// Further conditions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<LabelCondition>,
}

/// A condition on a label.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LabelCondition {
    /// The label.
    pub key: String,
    /// In, NotIn, Exists or DoesNotExist.
    #[schemars(extend("enum" = ["In", "NotIn", "Exists", "DoesNotExist"]))]
    pub operator: String,
    /// The values of In and NotIn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// The usage of a pool. A network entry needs an address of each range, so the numbers are those of the
/// range with the fewest free addresses. Numbers that are too large for JSON are strings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AddressPoolStatus {
    /// Ready: the addresses in use are adopted, and the pool assigns addresses; or its settings are those
    /// of the pools of all networks that it names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::conditions")]
    pub conditions: Vec<Condition>,
    /// The number of addresses that can be assigned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<String>,
    /// The number of held addresses, without reservations that no pod has taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub allocated: Option<i64>,
    /// The number of reserved addresses that no pod has taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub reserved: Option<i64>,
    /// The number of free addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free: Option<String>,
    /// Each range, in the order of the spec.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ranges: Vec<RangeUse>,
    /// The texts of kubectl's columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<PoolColumns>,
    /// The slices of nodes, if the pool has slices.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slices: Vec<SliceUse>,
}

/// The usage of a node's slice.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SliceUse {
    /// The node.
    pub node: String,
    /// The slice, in CIDR notation.
    pub range: String,
    /// The number of held addresses of the slice.
    #[schemars(range(min = 0))]
    pub allocated: i64,
    /// The number of free addresses.
    pub free: String,
}

impl AddressPoolSpec {
    /// Returns the spec as the allocation core reads it, for [`nadmit_allocation::Pool::new`].
    ///
    /// # Errors
    /// Never, as long as both types have the same fields; a test ensures that.
    pub fn to_spec(&self) -> serde_json::Result<PoolSpec> {
        super::through_json(self)
    }

    /// Returns the API type of a spec.
    ///
    /// # Errors
    /// Never, as long as both types have the same fields; a test ensures that.
    pub fn from_spec(spec: &PoolSpec) -> serde_json::Result<Self> {
        super::through_json(spec)
    }
}
