//! `AddressSlice`: the part of a pool that one node draws from.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

/// An AddressSlice is the part of a pool that one node draws from. nadmit writes it, named by pool and
/// first address: whoever has created it owns it.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "nadmit.io",
    version = "v1alpha1",
    kind = "AddressSlice",
    plural = "addressslices",
    category = "nadmit",
    derive = "PartialEq",
    printcolumn(name = "Pool", type_ = "string", json_path = ".spec.pool"),
    printcolumn(name = "Node", type_ = "string", json_path = ".spec.node"),
    printcolumn(name = "Range", type_ = "string", json_path = ".spec.range"),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.pool == oldSelf.pool").message("pool is immutable"),
    validation = Rule::new("self.range == oldSelf.range").message("range is immutable")
)]
pub struct AddressSliceSpec {
    /// The pool.
    #[schemars(length(min = 1, max = 253))]
    pub pool: String,
    /// The node.
    #[schemars(length(min = 1, max = 253))]
    pub node: String,
    /// The addresses, in CIDR notation.
    #[schemars(length(min = 1, max = 64))]
    pub range: String,
}
