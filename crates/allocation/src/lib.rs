//! Address allocation: pools, reservations, holders and the index of the ledger.
//!
//! Pure and synchronous: no I/O, no clock, no randomness. Records live in a ledger; this module keeps
//! an index of them, plans the records that an attachment needs, and reconciles records with the
//! cluster.

mod address;
mod block;
mod error;
mod free;
mod holder;
mod identity;
pub mod index;
mod macs;
mod network_settings;
mod node_slices;
mod parsed_spec;
mod pool;
mod pool_config;
mod range;
pub mod reconcile;
mod record;
mod reservation;
mod retention;
pub mod selector;
mod slice;
mod space;
pub mod spec;
mod spec_error;

pub use self::{
    address::{Address, Family, ParseAddressError},
    error::{
        AllocationError, Exhausted, NoNodeSlice, OutsideSlice, SliceLimit, SlicesFull, WithoutSlice,
    },
    free::FreeNumbers,
    holder::{ForeignPod, Holder, PodRef},
    identity::{Controller, RequesterIdentity},
    index::{Index, SharedIndex},
    macs::Macs,
    node_slices::NodeSlices,
    parsed_spec::{ParsedSpec, UnknownKey},
    pool::{Pool, PoolOrigin, Retention, WorkloadRetention},
    pool_config::PoolConfig,
    range::{AddressRange, ExclusionReason},
    record::{Allocation, MAX_FORMER_NODES, NetworkRef, Stored, Timestamp, Version, Write},
    reservation::{DesignatedHolder, Reservation},
    slice::{Slice, SliceMismatch, SlicingConfig},
    space::Space,
    spec_error::SpecError,
};
