//! The addresses that Whereabouts's records hold, entries and reservations alike.

use std::{collections::BTreeMap, net::IpAddr};

use nadmit_allocation::Space;
use nadmit_whereabouts::{
    IpPool, OverlappingReservation, PodName, SpaceAddress, reservation_addresses,
};

use super::pool_use::PoolUses;

/// An address that a record of Whereabouts holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldAddress<'c> {
    pub space: Space,
    pub address: IpAddr,
    /// The pod; `None` for a record that only keeps the address from others.
    pub pod: Option<&'c PodName>,
    /// The interface; empty in records of Whereabouts before 0.8.
    pub interface: &'c str,
}

/// The pod and interface of a record.
#[derive(Debug, Clone, Copy)]
struct Recorded<'c> {
    pod: Option<&'c PodName>,
    interface: &'c str,
}

/// Returns the addresses of these records, once each, ordered by address space and address. Of several
/// records of an address an entry comes before a reservation, and one with a pod before one without.
pub(super) fn held<'c>(
    pools: impl Iterator<Item = (&'c str, &'c IpPool)>,
    reservations: impl Iterator<Item = &'c OverlappingReservation>,
    uses: &PoolUses,
) -> Vec<HeldAddress<'c>> {
    let mut all: BTreeMap<(Space, IpAddr), Recorded<'c>> = BTreeMap::new();
    for (key, pool) in pools {
        let Some(used) = uses.get(key) else { continue };
        for entry in &pool.entries {
            let record = Recorded {
                pod: entry.pod.as_ref(),
                interface: &entry.interface,
            };
            let known = all.entry((used.space.clone(), entry.address));
            let known = known.or_insert(record);
            if known.pod.is_none() {
                *known = record;
            }
        }
    }
    let mut reserved = BTreeMap::new();
    for reservation in reservations {
        let meanings = meanings(&reservation.name, uses);
        if meanings.iter().any(|one| all.contains_key(one)) {
            continue;
        }
        let record = Recorded {
            pod: reservation.pod.as_ref(),
            interface: &reservation.interface,
        };
        reserved.extend(meanings.into_iter().map(|one| (one, record)));
    }
    all.extend(reserved);
    let held = |((space, address), record): ((Space, IpAddr), Recorded<'c>)| HeldAddress {
        space,
        address,
        pod: record.pod,
        interface: record.interface,
    };
    all.into_iter().map(held).collect()
}

/// Returns the addresses that the name of a reservation can mean: one nearly always. Of several, those
/// in a range of their address space count, if there are any.
pub(super) fn meanings(name: &str, uses: &PoolUses) -> Vec<(Space, IpAddr)> {
    let dashes = name.match_indices('-');
    let prefixes = dashes.filter_map(|(at, _)| name.get(..at));
    let known: Vec<&str> = std::iter::once("")
        .chain(prefixes)
        .filter(|space| uses.ranges(space).is_some())
        .collect();
    let all = reservation_addresses(name, &known);
    let in_range = |one: &SpaceAddress<'_>| {
        let mut ranges = uses.ranges(one.space).into_iter().flatten();
        ranges.any(|range| range.contains(one.address))
    };
    let decided = all.len() > 1 && all.iter().any(in_range);
    let counted = all.into_iter().filter(|one| !decided || in_range(one));
    counted
        .map(|one| (Space::new(one.space), one.address))
        .collect()
}
