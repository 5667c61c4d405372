//! The kinds of nadmit.io/v1alpha1 as the API server stores them, [calls](call) to it, and its
//! [lists and watches](watch).
//!
//! The schemas are generated from the types here; `nadmit crds` prints them, and `deploy/crds`
//! contains them. A schema expresses only what always holds: the keys, their types, and
//! immutability. The webhook checks the meaning of addresses, with the rules on pools and
//! reservations. Specs are converted to
//! [`nadmit_allocation::spec`] by way of JSON, so that objects and reviews are always read alike.

// KubeSchema repeats each struct inside a function that is unreachable.
#![allow(unreachable_pub)]
// Each of the many columns and rules has its own name, type and message.
#![allow(clippy::duplicated_attributes)]

mod allocation;
pub mod call;
mod crds;
pub mod labels;
mod pool;
mod pool_use;
mod reservation;
mod schema;
mod slice;
pub mod watch;

use serde::{Serialize, de::DeserializeOwned};

pub use self::{
    allocation::{
        AddressAllocation, AddressAllocationSpec, HolderSpec, ObjectName, ReplicaSpec, UnnamedSpec,
        UsedBy,
    },
    crds::{crds, yaml},
    pool::{
        AddressPool, AddressPoolSpec, AddressPoolStatus, ConfiguredNetworks, LabelCondition,
        MacSource, NamespaceSelector, PoolRangeSpec, SliceUse, WorkloadRetentionPolicy,
    },
    pool_use::{PoolColumns, RangeUse, abbreviated},
    reservation::{
        AddressReservation, AddressReservationSpec, AddressReservationStatus, ReservationHolderSpec,
    },
    slice::{AddressSlice, AddressSliceSpec, SliceError},
};

/// Converts a value to another type with the same JSON.
fn through_json<T: DeserializeOwned>(value: &impl Serialize) -> serde_json::Result<T> {
    serde_json::from_value(serde_json::to_value(value)?)
}
