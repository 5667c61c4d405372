//! The records of Whereabouts: `IPPool`, `OverlappingRangeIPReservation` and `NodeSlicePool`.
//!
//! Pure: objects come in as JSON values, and are read into typed records. Neither kind has its
//! `network_name` in a field; [`pool_space`] and [`reservation_addresses`] derive it from names and the
//! configurations of networks.

mod custody;
mod entry_changes;
mod names;
mod pod_use;
mod read;
mod records;
mod reservation_change;
mod serve;
mod window;

pub use self::{
    custody::{FINALIZER, Keeper, MARK, kept_id},
    entry_changes::{EntryChange, PoolChanges, PutKind},
    names::{
        PoolSpace, SpaceAddress, WhereaboutsNetwork, ip_pool_name, may_be_slice, pool_space,
        pool_space_among, reservation_addresses, reservation_name,
    },
    pod_use::PodUse,
    read::{EntryError, PoolProblem, RangeError},
    records::{IpPool, NodeSlice, NodeSlicePool, OverlappingReservation, PodName, PoolEntry},
    reservation_change::{ReservationChange, reservation_change},
    serve::{DesiredEntry, DesiredUse, IpPoolRef, PodInterface, ServedAddress, Taken},
    window::assigned_ranges,
};
