//! The kinds of nadmit.io/v1alpha1, as the API server stores them, and how it is [called](call).
//!
//! Their schemas are made from the types here; `nadmit crds` prints them, and `deploy/crds` keeps
//! them. What a schema can say is only what always holds: which keys there are, of which sort, and
//! what never may change. What addresses mean is checked by the webhook, with the rules on pools and
//! reservations. The words themselves are those of [`crate::allocation::spec`], and are turned into
//! them by what they look like in JSON, so that object and review cannot be read differently.

// KubeSchema writes each struct a second time, inside of a function that nobody reaches.
#![allow(unreachable_pub)]
// Columns and rules are many, and each has a name, a type, a message of its own.
#![allow(clippy::duplicated_attributes)]

mod allocation;
pub mod call;
mod crds;
pub mod labels;
mod pool;
mod pool_use;
mod reservation;
mod slice;

use serde::{Serialize, de::DeserializeOwned};

pub use self::{
    allocation::{
        AddressAllocation, AddressAllocationSpec, HolderSpec, ObjectName, ReplicaSpec, UnnamedSpec,
        UsedBy,
    },
    crds::{crds, yaml},
    pool::{
        AddressPool, AddressPoolSpec, AddressPoolStatus, LabelCondition, MacSource,
        NamespaceSelector, PoolRangeSpec, SliceUse, WorkloadRetentionPolicy,
    },
    pool_use::{PoolColumns, RangeUse, abbreviated},
    reservation::{
        AddressReservation, AddressReservationSpec, AddressReservationStatus, ReservationHolder,
    },
    slice::{AddressSlice, AddressSliceSpec, SliceError},
};

/// The same JSON as another type.
fn through_json<T: DeserializeOwned>(value: &impl Serialize) -> serde_json::Result<T> {
    serde_json::from_value(serde_json::to_value(value)?)
}
