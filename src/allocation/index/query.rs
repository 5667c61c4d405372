//! What operators ask of the index. All of it reads; nothing here is on the way of a request.

use std::sync::Arc;

use super::{Index, SpaceState, entries::Entry};
use crate::allocation::{Address, Allocation, FreeNumbers, Reservation, Space, Version};

/// An allocation as the index has it, with its version; none while a write of it is under way.
pub type Known<'i> = (&'i Allocation, Option<Version>);

impl Index {
    /// Every allocation, in no order.
    pub fn known(&self) -> impl Iterator<Item = Known<'_>> {
        let states = self.spaces.values();
        states.flat_map(|state| state.entries.values()).map(known)
    }

    /// The allocations of an address, or of a MAC by itself or with its address: one a space.
    pub fn everywhere(&self, address: Address) -> Vec<Known<'_>> {
        let mut found: Vec<Known<'_>> = self
            .spaces
            .values()
            .filter_map(|state| state.entries.get(&state.carrier_of(address)).map(known))
            .collect();
        found.sort_by(|a, b| a.0.space.cmp(&b.0.space));
        found
    }

    /// The allocations of a space from `first` to `last`, in their order.
    pub fn within(&self, space: &Space, first: Address, last: Address) -> Vec<&Allocation> {
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
    pub fn set_aside(
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

    /// The free runs of a pool's MACs that follow from no address.
    pub fn mac_gaps(&self, pool: &str) -> Vec<(u128, u128)> {
        let macs = self.pools.get(pool).and_then(|state| state.macs.as_ref());
        macs.map(FreeNumbers::gaps)
            .map(Iterator::collect)
            .unwrap_or_default()
    }
}

impl SpaceState {
    /// The address by which a MAC is taken, or the address itself.
    fn carrier_of(&self, address: Address) -> Address {
        match address {
            Address::Mac(mac) => self.following.get(&mac).copied().unwrap_or(address),
            Address::Ip(_) => address,
        }
    }
}

fn known(entry: &Entry) -> Known<'_> {
    (entry.allocation(), entry.version())
}

fn is_within(address: Address, first: Address, last: Address) -> bool {
    address.family() == first.family() && (first..=last).contains(&address)
}
