//! Views for operators: usage of pools, holders of addresses, and whether a record may be released.
//!
//! The module is pure: it turns index and catalog into views. A view is a serializable value, so
//! the command line shows the same whether it queries a running server or reads the ledger file
//! itself.
//!
//! Without a catalog (no manifests were given), the views are derived from the records alone.

mod allocations;
mod ip_pool_map;
mod ip_pools;
mod map;
mod pod;
mod pools;
mod recorded;
mod release;
mod whois;

pub use self::{
    allocations::{AllocationRow, Filter, collect, pod_of, to_rows},
    ip_pool_map::ip_pool_map,
    ip_pools::ip_pools,
    map::{AddressRun, AddressState, PoolMap, RangeMap, map},
    pod::{AddressLine, AttachmentView, PodView, describe_pod},
    pools::{PoolKind, PoolRow, RangeRow, SlicesRow, pools, range_names},
    recorded::{AddressRow, RecordedRow, recorded, remove_allocated},
    release::{ReleaseBlocked, check_releasable},
    whois::{PoolMembership, UnheldState, Whois, whois},
};
