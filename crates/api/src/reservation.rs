//! `AddressReservation`: addresses set aside beforehand for a named holder.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use nadmit_allocation::spec::ReservationSpec;

/// An AddressReservation reserves addresses of a network's pool, a MAC, or both for one pod,
/// StatefulSet replica or virtual machine of its namespace.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "nadmit.io",
    version = "v1alpha1",
    kind = "AddressReservation",
    plural = "addressreservations",
    shortname = "ares",
    category = "nadmit",
    namespaced,
    status = "AddressReservationStatus",
    derive = "PartialEq",
    printcolumn(name = "Network", type_ = "string", json_path = ".spec.network"),
    printcolumn(name = "IPs", type_ = "string", json_path = ".spec.ips"),
    printcolumn(name = "MAC", type_ = "string", json_path = ".spec.mac"),
    printcolumn(
        name = "Reserved",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Reserved\")].status"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(has(self.ips) && size(self.ips) > 0) || has(self.mac)").message("nothing is reserved; write ips, mac, or both"))]
pub struct AddressReservationSpec {
    /// The network: a name in the reservation's namespace, or namespace/name.
    #[schemars(length(min = 1, max = 507))]
    pub network: String,
    /// The holder.
    pub holder: ReservationHolderSpec,
    /// The interface in the pod; any if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 15))]
    pub interface: Option<String>,
    /// The addresses. Their prefix length is that of the pool, even if another one is written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub ips: Vec<String>,
    /// The MAC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
}

/// The holder of reserved addresses: a pod, a replica of a StatefulSet, or a virtual machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("(has(self.pod) ? 1 : 0) + (has(self.statefulSet) ? 1 : 0) + (has(self.virtualMachine) ? 1 : 0) == 1").message("write exactly one of pod, statefulSet (with ordinal) and virtualMachine"),
    validation = Rule::new("has(self.statefulSet) == has(self.ordinal)").message("statefulSet and ordinal go together")
)]
pub struct ReservationHolderSpec {
    /// The name of a pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub pod: Option<String>,
    /// The name of a StatefulSet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub stateful_set: Option<String>,
    /// The replica's ordinal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub ordinal: Option<i64>,
    /// The name of a KubeVirt VirtualMachine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub virtual_machine: Option<String>,
}

/// The status of the reservation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AddressReservationStatus {
    /// Reserved: the addresses are held for the holder.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::conditions")]
    pub conditions: Vec<Condition>,
}

impl AddressReservationSpec {
    /// Returns the spec as the allocation core reads it, for
    /// [`nadmit_allocation::Reservation::new`].
    ///
    /// # Errors
    /// Never, as long as both types have the same fields; a test ensures that.
    pub fn to_spec(&self) -> serde_json::Result<ReservationSpec> {
        super::through_json(self)
    }

    /// Returns the API type of a spec.
    ///
    /// # Errors
    /// Never, as long as both types have the same fields; a test ensures that.
    pub fn from_spec(spec: &ReservationSpec) -> serde_json::Result<Self> {
        super::through_json(spec)
    }
}
