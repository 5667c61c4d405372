//! Read-only queries for operators; none of them is on the path of a request.

use std::sync::Arc;

use super::{Index, SpaceState, Usage, entries::IndexEntry};
use crate::{Address, Allocation, Family, FreeNumbers, Holder, Pool, Reservation, Space, Version};
use nadmit_cni::NumberRange;

/// An allocation with its version; `None` while a write is pending.
pub type IndexedAllocation<'i> = (&'i Allocation, Option<Version>);

impl Index {
    /// Returns all allocations, in arbitrary order.
    pub fn allocations(&self) -> impl Iterator<Item = IndexedAllocation<'_>> {
        let states = self.spaces.values();
        states
            .flat_map(|state| state.entries.values())
            .map(with_version)
    }

    /// Returns the allocations of an address, or of a MAC (recorded by itself or with its address), at
    /// most one for each space.
    pub fn find_in_all_spaces(&self, address: Address) -> Vec<IndexedAllocation<'_>> {
        let mut found: Vec<IndexedAllocation<'_>> = self
            .spaces
            .values()
            .filter_map(|state| {
                state
                    .entries
                    .get(&state.recorded_address(address))
                    .map(with_version)
            })
            .collect();
        found.sort_by(|a, b| a.0.space.cmp(&b.0.space));
        found
    }

    /// Returns the allocations of a space from `first` to `last`, in ascending order.
    pub fn allocations_between(
        &self,
        space: &Space,
        first: Address,
        last: Address,
    ) -> Vec<&Allocation> {
        let state = self.spaces.get(space);
        let entries = state.into_iter().flat_map(|state| &state.entries);
        let mut found: Vec<&Allocation> = entries
            .filter(|(address, _)| is_within(**address, first, last))
            .map(|(_, entry)| entry.allocation())
            .collect();
        found.sort_by_key(|allocation| allocation.address);
        found
    }

    /// Returns the reserved addresses from `first` to `last` that have no record yet, in ascending
    /// order.
    pub fn reserved_between(
        &self,
        space: &Space,
        first: Address,
        last: Address,
    ) -> Vec<(Address, &Arc<Reservation>)> {
        let Some(state) = self.spaces.get(space) else {
            return Vec::new();
        };
        let mut found: Vec<(Address, &Arc<Reservation>)> = state
            .reserved
            .iter()
            .filter(|(address, _)| is_within(**address, first, last))
            .filter(|(address, _)| !state.entries.contains_key(*address))
            .filter_map(|(address, at)| {
                Some((*address, &self.pool_config.reservations.get(*at)?.0))
            })
            .collect();
        found.sort_by_key(|(address, _)| *address);
        found
    }

    /// Returns the usage of each range of a pool, or of the MACs of a pool without ranges. Addresses
    /// count as used whichever pool of the space allocated them.
    pub fn range_usages(&self, pool: &str) -> Vec<Usage> {
        let Some(state) = self.pools.get(pool) else {
            return Vec::new();
        };
        let ranges = state.ranges.iter().enumerate();
        let mut usages: Vec<Usage> = ranges
            .map(|(at, numbers)| {
                let inside = |address: Address| address.ip().and_then(|ip| state.pool.range_of(ip));
                let reserved =
                    self.unclaimed_reserved(&state.pool, |address| inside(address) == Some(at));
                usage(numbers, reserved)
            })
            .collect();
        if let Some(macs) = state.macs.as_ref().filter(|_| usages.is_empty()) {
            let is_mac = |address: Address| address.family() == Family::Mac;
            usages.push(usage(macs, self.unclaimed_reserved(&state.pool, is_mac)));
        }
        usages
    }

    /// Counts the reserved addresses of a pool that their holders have not taken yet.
    fn unclaimed_reserved(&self, pool: &Pool, counts: impl Fn(Address) -> bool) -> u64 {
        let Some(state) = self.spaces.get(&pool.space) else {
            return 0;
        };
        let is_unclaimed = |address: &&Address| match state.entries.get(*address) {
            None => true,
            Some(entry) => matches!(entry.allocation().holder, Holder::Reservation { .. }),
        };
        let reserved = state.reserved.keys().filter(|address| counts(**address));
        reserved.filter(is_unclaimed).count() as u64
    }

    /// Returns the free ranges of a pool's MACs that are not derived from addresses.
    pub fn free_mac_ranges(&self, pool: &str) -> Vec<NumberRange> {
        let macs = self.pools.get(pool).and_then(|state| state.macs.as_ref());
        macs.map(FreeNumbers::free_ranges)
            .map(Iterator::collect)
            .unwrap_or_default()
    }
}

impl SpaceState {
    /// Returns the address whose record covers this one: for a derived MAC the address that it is
    /// recorded with, otherwise the address itself.
    pub(super) fn recorded_address(&self, address: Address) -> Address {
        match address {
            Address::Mac(mac) if !self.entries.contains_key(&address) => {
                self.derived_macs.get(&mac).copied().unwrap_or(address)
            }
            _ => address,
        }
    }
}

fn usage(numbers: &FreeNumbers, reserved: u64) -> Usage {
    let taken = numbers.capacity().saturating_sub(numbers.free());
    Usage {
        capacity: numbers.capacity(),
        allocated: u64::try_from(taken)
            .unwrap_or(u64::MAX)
            .saturating_sub(reserved),
        reserved,
        free: numbers.free(),
    }
}

fn with_version(entry: &IndexEntry) -> IndexedAllocation<'_> {
    (entry.allocation(), entry.version())
}

fn is_within(address: Address, first: Address, last: Address) -> bool {
    address.family() == first.family() && (first..=last).contains(&address)
}
