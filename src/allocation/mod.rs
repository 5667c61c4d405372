//! The allocation core: which address is whose.
//!
//! Pure and synchronous. What is recorded lives in a ledger; this room keeps the index of it, says
//! which records an attachment needs, and what the reconciler should mend.

mod address;
mod block;
mod free;
mod holder;
mod identity;
pub mod index;
mod keeping;
mod layout;
mod macs;
mod pool;
mod range;
pub mod reconcile;
mod record;
mod refusal;
mod reservation;
pub mod selector;
mod slice;
mod space;
pub mod spec;
mod words;

pub use self::{
    address::{Address, Family, NoAddress},
    free::FreeNumbers,
    holder::{Holder, PodRef},
    identity::{Controller, RequesterIdentity},
    index::{Index, SharedIndex},
    layout::Layout,
    macs::Macs,
    pool::{Pool, PoolFault, Retention, WorkloadRetention},
    range::{AddressRange, NotGiven},
    record::{Allocation, FORMER_NODES, NetworkRef, Stored, Timestamp, Version, Write},
    refusal::{Exhausted, OutsideSlice, Refusal, SlicesFull},
    reservation::{Reservation, ReservationHolder},
    slice::{Misfit, Slice, SlicingConfig},
    space::Space,
    words::{UnknownKey, Words},
};
