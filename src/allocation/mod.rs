//! The allocation core: which address is whose.
//!
//! Pure and synchronous. What is recorded lives in a ledger; this room keeps the index of it, says
//! which records an attachment needs, and what the reconciler should mend.

mod address;
mod holder;
mod record;
mod space;

pub use self::{
    address::{Address, Family, NoAddress},
    holder::{Holder, PodRef},
    record::{Allocation, NetworkRef, Stored, Timestamp, Version, Write},
    space::Space,
};
