//! `AddressAllocation`: one address, or one MAC, taken.

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::Error as _};
use serde_json::Value;

use nadmit_allocation::{Allocation, MAX_FORMER_NODES, Timestamp};

/// An AddressAllocation is one held address, or one held MAC that is not derived from an address. nadmit
/// writes it. Its name consists of address space and address: two objects cannot have one name, so no
/// address is assigned twice.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "nadmit.io",
    version = "v1alpha1",
    kind = "AddressAllocation",
    plural = "addressallocations",
    shortname = "aalloc",
    category = "nadmit",
    derive = "PartialEq",
    selectable = ".spec.pool",
    printcolumn(name = "Address", type_ = "string", json_path = ".spec.address"),
    printcolumn(name = "Pool", type_ = "string", json_path = ".spec.pool"),
    printcolumn(
        name = "Namespace",
        type_ = "string",
        json_path = ".spec.holder.*.namespace"
    ),
    printcolumn(name = "Pod", type_ = "string", json_path = ".spec.pod.name"),
    printcolumn(name = "Network", type_ = "string", json_path = ".spec.network.name"),
    printcolumn(
        name = "Interface",
        type_ = "string",
        json_path = ".spec.interface",
        priority = 1
    ),
    printcolumn(name = "MAC", type_ = "string", json_path = ".spec.mac", priority = 1),
    printcolumn(name = "Since", type_ = "date", json_path = ".spec.since")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.address == oldSelf.address").message("address is immutable"),
    validation = Rule::new("(has(self.networkName) ? self.networkName : '') == (has(oldSelf.networkName) ? oldSelf.networkName : '')").message("networkName is immutable")
)]
// Written as a whole by one writer: tracking the owner of each field is not worth it.
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct AddressAllocationSpec {
    /// The address: IPv4, IPv6 or a MAC.
    #[schemars(length(min = 1, max = 64))]
    pub address: String,
    /// The address space; the unnamed one if absent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub network_name: String,
    /// The pool that assigned the address.
    #[schemars(length(min = 1, max = 253))]
    pub pool: String,
    /// The network on which it is used.
    pub network: ObjectName,
    /// The interface in the pod; any if absent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub interface: String,
    /// The holder: exactly one of its kinds.
    pub holder: HolderSpec,
    /// The pod that uses it now, or used it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<UsedBy>,
    /// The nodes of earlier pods of the holder. While one of these nodes does not answer, containers of
    /// that pod may still run there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_FORMER_NODES), inner(length(max = 253)))]
    pub former_nodes: Vec<String>,
    /// The MAC of the interface, if it is derived from the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// The reservation that the address was taken from. After its release it is reserved again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reservation: Option<ObjectName>,
    /// The time of the allocation, or of the last change of holder or pod.
    #[schemars(schema_with = "crate::schema::date_time")]
    pub since: Time,
    /// The time of the allocation, if a later pod of the holder has taken the address over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::date_time")]
    pub taken: Option<Time>,
}

/// The holder of an allocation: exactly one of these.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
// Cheaper than a rule that counts them: this is checked at every allocation.
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub struct HolderSpec {
    /// A pod, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<ObjectName>,
    /// A pod whose name is not generated yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unnamed: Option<UnnamedSpec>,
    /// A StatefulSet's replica.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replica: Option<ReplicaSpec>,
    /// A KubeVirt virtual machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<ObjectName>,
    /// An AddressReservation that no pod has taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reservation: Option<ObjectName>,
    /// A network whose own configuration contains the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<ObjectName>,
}

/// An object of a namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ObjectName {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

/// A pod whose name is not generated yet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnnamedSpec {
    /// The namespace.
    pub namespace: String,
    /// The prefix from which the name will be generated.
    pub generate_name: String,
    /// The random token in its annotation.
    pub token: String,
}

/// A StatefulSet's replica.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplicaSpec {
    /// The set's namespace.
    pub namespace: String,
    /// The set's name.
    pub stateful_set: String,
    /// The replica's number.
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub ordinal: i64,
}

/// The pod that uses an allocation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UsedBy {
    /// The name.
    pub name: String,
    /// The UID, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// The node of the pod, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
}

impl AddressAllocation {
    /// Returns the object of an allocation, under the name that acts as its lock.
    ///
    /// # Errors
    /// If a time is out of range.
    pub fn of(allocation: &Allocation) -> serde_json::Result<Self> {
        let spec = AddressAllocationSpec::of(allocation)?;
        Ok(Self::new(&allocation.record_name(), spec))
    }
}

impl AddressAllocationSpec {
    /// Returns the stored form of an allocation.
    ///
    /// # Errors
    /// If a time is out of range.
    pub fn of(allocation: &Allocation) -> serde_json::Result<Self> {
        let time = |moment: Timestamp| -> serde_json::Result<Value> {
            let time = jiff::Timestamp::from_second(moment.0);
            serde_json::to_value(Time(time.map_err(serde_json::Error::custom)?))
        };
        let mut value = serde_json::to_value(allocation)?;
        value["since"] = time(allocation.since)?;
        if let Some(taken) = allocation.taken {
            value["taken"] = time(taken)?;
        }
        serde_json::from_value(value)
    }

    /// Returns the stored allocation.
    ///
    /// # Errors
    /// If another writer stored an invalid one: no valid address, no holder, or two.
    pub fn allocation(&self) -> serde_json::Result<Allocation> {
        let mut value = serde_json::to_value(self)?;
        value["since"] = serde_json::to_value(Timestamp(self.since.0.as_second()))?;
        if let Some(taken) = &self.taken {
            value["taken"] = serde_json::to_value(Timestamp(taken.0.as_second()))?;
        }
        serde_json::from_value(value)
    }
}
