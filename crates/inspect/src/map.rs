//! A pool as a map: each address of its ranges belongs to exactly one run, in order.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::pools::{PoolRow, pool};
use nadmit_allocation::{
    Address, AddressRange, Allocation, ExclusionReason, Family, Holder, Index, NetworkRef, Pool,
};
use nadmit_catalog::Catalog;
use nadmit_cni::NumberRange;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PoolMap {
    /// Summary of the pool.
    pub pool: PoolRow,
    /// Ranges; for a pool that is not configured, those that its records imply.
    pub ranges: Vec<RangeMap>,
}

/// The map of one range.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RangeMap {
    /// Subnet, or the bounds of the MACs.
    pub range: String,
    /// Runs in order, without gaps if the range is configured.
    pub runs: Vec<AddressRun>,
}

/// Consecutive addresses in the same state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AddressRun {
    pub first: Address,
    /// Last address, inclusive.
    pub last: Address,
    /// State of the addresses.
    #[serde(rename = "what")]
    pub state: AddressState,
}

/// State of an address in its pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AddressState {
    /// Available for allocation.
    Free,
    /// Never allocated, with the reason.
    Never(String),
    /// Reserved by a reservation and not taken.
    Reserved(NetworkRef),
    /// Recorded by Whereabouts.
    Recorded {
        /// The pod of the record; `None` if it only keeps the address from others.
        holder: Option<Holder>,
        /// Interface of the attachment; empty in records of Whereabouts before 0.8.
        interface: Arc<str>,
    },
    /// Allocated.
    Held {
        /// Holder of the address.
        holder: Holder,
        /// Network of the attachment.
        network: NetworkRef,
        /// Interface of the attachment.
        interface: Arc<str>,
    },
}

/// Returns the map of an `AddressPool`; `None` if neither the catalog nor a record names it. `serving` is
/// true inside a running server, which allocates from the pools.
pub fn map(name: &str, index: &Index, catalog: Option<&Catalog>, serving: bool) -> Option<PoolMap> {
    let row = pool(name, index, catalog, serving)?;
    let configured = catalog.and_then(|catalog| catalog.pool(name).valid());
    let ranges = match configured {
        Some(pool) => configured_ranges(pool, index),
        None => recorded_ranges(name, index),
    };
    Some(PoolMap { pool: row, ranges })
}

impl AddressRun {
    /// Returns the number of addresses. It saturates at `u128::MAX`, one less than all of IPv6.
    pub fn count(&self) -> u128 {
        let length = self.last.number().saturating_sub(self.first.number());
        length.saturating_add(1)
    }
}

fn configured_ranges(pool: &Pool, index: &Index) -> Vec<RangeMap> {
    let ranges = pool.ranges.iter().enumerate();
    let mut maps: Vec<RangeMap> = ranges
        .map(|(at, range)| {
            let whole = range.subnet.range();
            let bounds = (whole.first().into(), whole.last().into());
            let free_ranges = index.free_ranges(&pool.name, at);
            RangeMap {
                range: range.subnet.to_string(),
                runs: runs(pool, index, bounds, free_ranges, &|first, last, out| {
                    push_unassignable(range, first, last, out);
                }),
            }
        })
        .collect();
    maps.extend(macs(pool, index));
    maps
}

/// Returns the map of the MACs if the pool has no IP ranges or if a MAC is allocated on its own.
fn macs(pool: &Pool, index: &Index) -> Option<RangeMap> {
    let (first, last) = pool.macs.as_ref()?.bounds()?;
    let bounds = (first.into(), last.into());
    let held = !index
        .allocations_between(&pool.space, bounds.0, bounds.1)
        .is_empty();
    let free_ranges = index.free_mac_ranges(&pool.name);
    (held || pool.ranges.is_empty()).then(|| RangeMap {
        range: format!("MACs {first} to {last}"),
        runs: runs(pool, index, bounds, free_ranges, &|first, last, out| {
            let reason = "comes with an address, or is multicast".to_owned();
            push(out, first, last, AddressState::Never(reason));
        }),
    })
}

/// Adds the runs between those that are free, held and reserved.
pub(super) type GapFiller<'f> = &'f dyn Fn(Address, Address, &mut Vec<AddressRun>);

fn runs(
    pool: &Pool,
    index: &Index,
    (first, last): (Address, Address),
    free_ranges: Vec<NumberRange>,
    fill_gap: GapFiller<'_>,
) -> Vec<AddressRun> {
    let family = first.family();
    let free = free_ranges.into_iter().map(|range| AddressRun {
        first: family.address(range.first),
        last: family.address(range.last),
        state: AddressState::Free,
    });
    let held = index
        .allocations_between(&pool.space, first, last)
        .into_iter()
        .map(run_of);
    let set_aside = index.reserved_between(&pool.space, first, last).into_iter();
    let reserved = set_aside.map(|(address, reservation)| AddressRun {
        first: address,
        last: address,
        state: AddressState::Reserved(reservation.key()),
    });
    fill(
        (first, last),
        free.chain(held).chain(reserved).collect(),
        fill_gap,
    )
}

/// Sorts the runs, and fills the gaps between `first`, the runs, and `last`.
pub(super) fn fill(
    (first, last): (Address, Address),
    mut known: Vec<AddressRun>,
    fill_gap: GapFiller<'_>,
) -> Vec<AddressRun> {
    let family = first.family();
    known.sort_by_key(|run| run.first);
    let mut all = Vec::with_capacity(known.len());
    let mut next = Some(first.number());
    for run in known {
        if let Some(from) = next.filter(|from| *from < run.first.number()) {
            let before = family.address(run.first.number() - 1);
            fill_gap(family.address(from), before, &mut all);
        }
        next = run.last.number().checked_add(1);
        all.push(run);
    }
    if let Some(from) = next.filter(|from| *from <= last.number()) {
        fill_gap(family.address(from), last, &mut all);
    }
    all
}

/// Returns the run of an allocation.
pub(super) fn run_of(one: &Allocation) -> AddressRun {
    let state = match &one.holder {
        Holder::Reservation { namespace, name } => AddressState::Reserved(NetworkRef {
            namespace: Arc::clone(namespace),
            name: Arc::clone(name),
        }),
        holder => AddressState::Held {
            holder: holder.clone(),
            network: one.network.clone(),
            interface: Arc::clone(&one.interface),
        },
    };
    AddressRun {
        first: one.address,
        last: one.address,
        state,
    }
}

/// Adds the unassignable addresses from `first` to `last`, split where the reason may change.
fn push_unassignable(
    range: &AddressRange,
    first: Address,
    last: Address,
    out: &mut Vec<AddressRun>,
) {
    let family = first.family();
    let (from, to) = (first.number(), last.number());
    let windows = range.subnet.hosts().into_iter().chain([range.window]);
    let windows = windows.chain(range.excludes.iter().copied());
    let mut cuts: Vec<u128> = windows
        .map(|window| (window.first(), window.last()))
        .chain(range.gateway.map(|gateway| (gateway, gateway)))
        .map(|(a, b)| (Address::Ip(a), Address::Ip(b)))
        .filter(|(a, _)| a.family() == family)
        .flat_map(|(a, b)| [Some(a.number()), b.number().checked_add(1)])
        .flatten()
        .filter(|cut| *cut > from && *cut <= to)
        .collect();
    cuts.sort_unstable();
    cuts.dedup();
    let mut begin = from;
    for end in cuts.iter().map(|cut| cut - 1).chain([to]) {
        let reason = reason(range, family, begin);
        push(
            out,
            family.address(begin),
            family.address(end),
            AddressState::Never(reason),
        );
        begin = end.saturating_add(1);
    }
}

fn reason(range: &AddressRange, family: Family, number: u128) -> String {
    let refused = family
        .address(number)
        .ip()
        .and_then(|ip| range.exclusion(ip));
    refused.map_or("not given", describe_reason).to_owned()
}

/// Describes in a few words why an address is never allocated.
pub(super) fn describe_reason(reason: ExclusionReason) -> &'static str {
    match reason {
        ExclusionReason::Outside => "outside of the range",
        ExclusionReason::OutOfBounds => "outside of its bounds",
        ExclusionReason::Edge => "edge of the subnet",
        ExclusionReason::Excluded(_) => "excluded",
        ExclusionReason::Gateway => "the gateway",
    }
}

/// Adds a run, or extends the last one if it has the same state.
pub(super) fn push(out: &mut Vec<AddressRun>, first: Address, last: Address, state: AddressState) {
    match out.last_mut() {
        Some(before) if before.state == state => before.last = last,
        _ => out.push(AddressRun { first, last, state }),
    }
}

/// Returns the ranges that the records of an unconfigured pool imply.
fn recorded_ranges(name: &str, index: &Index) -> Vec<RangeMap> {
    let mut all: Vec<&Allocation> = index
        .allocations()
        .map(|(one, _)| one)
        .filter(|one| &*one.pool == name)
        .collect();
    all.sort_by_key(|one| one.address);
    let families = [
        (Family::V4, "IPv4"),
        (Family::V6, "IPv6"),
        (Family::Mac, "MACs"),
    ];
    let of = |family| all.iter().filter(move |one| one.address.family() == family);
    let maps = families.into_iter().map(|(family, range)| RangeMap {
        range: range.to_owned(),
        runs: of(family).map(|one| run_of(one)).collect(),
    });
    maps.filter(|map| !map.runs.is_empty()).collect()
}
