//! What operators ask of the index. All of it reads; nothing here is on the way of a request.

use std::sync::Arc;

use super::{Index, SpaceState, Usage, entries::IndexEntry};
use crate::allocation::{
    Address, Allocation, Family, FreeNumbers, Holder, Pool, Reservation, Space, Version,
};

/// An allocation as the index has it, with its version; none while a write of it is under way.
pub type IndexedAllocation<'i> = (&'i Allocation, Option<Version>);

impl Index {
    /// Every allocation, in no order.
    pub fn allocations(&self) -> impl Iterator<Item = IndexedAllocation<'_>> {
        let states = self.spaces.values();
        states.flat_map(|state| state.entries.values()).map(known)
    }

    /// The allocations of an address, or of a MAC by itself or with its address: one a space.
    pub fn find_in_all_spaces(&self, address: Address) -> Vec<IndexedAllocation<'_>> {
        let mut found: Vec<IndexedAllocation<'_>> = self
            .spaces
            .values()
            .filter_map(|state| state.entries.get(&state.carrier_of(address)).map(known))
            .collect();
        found.sort_by(|a, b| a.0.space.cmp(&b.0.space));
        found
    }

    /// The allocations of a space from `first` to `last`, in their order.
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

    /// What is set aside from `first` to `last` and recorded for nobody yet, in its order.
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
            .filter_map(|(address, at)| Some((*address, &self.layout.reservations.get(*at)?.0)))
            .collect();
        found.sort_by_key(|(address, _)| *address);
        found
    }

    /// How full each range of a pool is: an attachment needs an address of each. Of a pool without
    /// ranges it is its MACs. What is taken counts, by whichever pool of the space.
    pub fn range_usages(&self, pool: &str) -> Vec<Usage> {
        let Some(state) = self.pools.get(pool) else {
            return Vec::new();
        };
        let ranges = state.ranges.iter().enumerate();
        let mut usages: Vec<Usage> = ranges
            .map(|(at, numbers)| {
                let inside = |address: Address| address.ip().and_then(|ip| state.pool.range_of(ip));
                let reserved = self.waiting(&state.pool, |address| inside(address) == Some(at));
                usage(numbers, reserved)
            })
            .collect();
        if let Some(macs) = state.macs.as_ref().filter(|_| usages.is_empty()) {
            let is_mac = |address: Address| address.family() == Family::Mac;
            usages.push(usage(macs, self.waiting(&state.pool, is_mac)));
        }
        usages
    }

    /// How many addresses are set aside in a pool and taken by nobody.
    fn waiting(&self, pool: &Pool, counts: impl Fn(Address) -> bool) -> u64 {
        let Some(state) = self.spaces.get(&pool.space) else {
            return 0;
        };
        let waits = |address: &&Address| match state.entries.get(*address) {
            None => true,
            Some(entry) => matches!(entry.allocation().holder, Holder::Reservation { .. }),
        };
        let reserved = state.reserved.keys().filter(|address| counts(**address));
        reserved.filter(waits).count() as u64
    }

    /// The free runs of a pool's MACs that follow from no address.
    pub fn free_mac_ranges(&self, pool: &str) -> Vec<(u128, u128)> {
        let macs = self.pools.get(pool).and_then(|state| state.macs.as_ref());
        macs.map(FreeNumbers::free_ranges)
            .map(Iterator::collect)
            .unwrap_or_default()
    }
}

impl SpaceState {
    /// The address by which a MAC is taken, or the address itself, which it is for a MAC that has a
    /// record of its own.
    pub(super) fn carrier_of(&self, address: Address) -> Address {
        match address {
            Address::Mac(mac) if !self.entries.contains_key(&address) => {
                self.following.get(&mac).copied().unwrap_or(address)
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

fn known(entry: &IndexEntry) -> IndexedAllocation<'_> {
    (entry.allocation(), entry.version())
}

fn is_within(address: Address, first: Address, last: Address) -> bool {
    address.family() == first.family() && (first..=last).contains(&address)
}
