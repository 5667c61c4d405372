//! What operators ask: how full the pools are, who holds what, and what may be released.
//!
//! Pure: index and catalog in, views out. A view is a value that goes over a socket and back, so that
//! the command line shows the same whether it asks a running server or reads the file itself.
//!
//! Without a catalog (nobody named the manifests) the views say what the records tell.

mod allocations;
mod map;
mod pod;
mod pools;
mod release;
mod whois;

pub use self::{
    allocations::{AllocationRow, Filter, collect, pod_of, to_rows},
    map::{AddressRun, AddressState, PoolMap, RangeMap, map},
    pod::{AddressLine, AttachmentView, PodView, describe_pod},
    pools::{PoolRow, RangeRow, SlicesRow, pools, range_names},
    release::{ReleaseBlocked, check_releasable},
    whois::{PoolMembership, UnheldState, Whois, whois},
};
