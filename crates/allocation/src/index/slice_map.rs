//! The slices of one range: their owners, and the unclaimed ones.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{Address, FreeNumbers, Pool, SlicingConfig};
use nadmit_cni::NumberRange;

/// The slots of a sliced range. A slot is a position at which a slice exists or may be claimed; slots
/// are numbered from the first address of the subnet.
#[derive(Debug)]
pub(super) struct SliceMap {
    base: u128,
    host_bits: u32,
    /// Slots with allocatable addresses that are not taken. A slot can be taken without an owner: while
    /// it is being claimed, or if a slice of another size has its name.
    unclaimed: FreeNumbers,
    owners: BTreeMap<u128, Arc<str>>,
    nodes: BTreeMap<Arc<str>, BTreeSet<u128>>,
}

impl SliceMap {
    /// Creates the maps of a pool's ranges, in their order; none if the pool is not sliced.
    pub(super) fn of(pool: &Pool, ranges: &[FreeNumbers]) -> Vec<Self> {
        let Some(slicing) = pool.slicing else {
            return Vec::new();
        };
        let base = |at: usize| {
            let range = pool.ranges.get(at)?;
            Some(Address::Ip(range.subnet.range().first()).number())
        };
        let ranges = ranges.iter().enumerate();
        ranges
            .map(|(at, free)| Self::new(base(at).unwrap_or_default(), slicing, free))
            .collect()
    }

    fn new(base: u128, slicing: SlicingConfig, free: &FreeNumbers) -> Self {
        let host_bits = u32::from(slicing.host_bits);
        let slot = |number: u128| number.saturating_sub(base) >> host_bits;
        // Slots without allocatable addresses cannot be claimed.
        let mut empty = Vec::new();
        let mut next = 0;
        for run in free.allocatable() {
            let (first, last) = (slot(run.first), slot(run.last));
            if next < first {
                empty.push(NumberRange::new(next, first - 1));
            }
            next = next.max(last + 1);
        }
        let unclaimed = match next.checked_sub(1) {
            Some(last) => FreeNumbers::new(NumberRange::new(0, last), empty),
            None => FreeNumbers::new(NumberRange::new(1, 0), []),
        };
        Self {
            base,
            host_bits,
            unclaimed,
            owners: BTreeMap::new(),
            nodes: BTreeMap::new(),
        }
    }

    /// Returns the slot that contains a number of the range.
    pub(super) fn slot(&self, number: u128) -> u128 {
        number.saturating_sub(self.base) >> self.host_bits
    }

    /// Returns the numbers of a slot.
    pub(super) fn numbers(&self, slot: u128) -> NumberRange {
        let first = self.base + (slot << self.host_bits);
        NumberRange::new(first, first | ((1 << self.host_bits) - 1))
    }

    /// Returns true if a slot begins with this number.
    pub(super) fn is_slot_start(&self, number: u128) -> bool {
        self.numbers(self.slot(number)).first == number
    }

    /// Sets the state of a slot.
    pub(super) fn set(&mut self, slot: u128, taken: bool, owner: Option<&Arc<str>>) {
        if let Some(before) = self.owners.remove(&slot)
            && let Some(slots) = self.nodes.get_mut(&before)
        {
            slots.remove(&slot);
            if slots.is_empty() {
                self.nodes.remove(&before);
            }
        }
        if taken {
            self.unclaimed.allocate(slot);
        } else {
            self.unclaimed.release(slot);
        }
        if let Some(node) = owner {
            self.owners.insert(slot, Arc::clone(node));
            let slots = self.nodes.entry(Arc::clone(node)).or_default();
            slots.insert(slot);
        }
    }

    /// Returns the node that owns a slot.
    pub(super) fn owner(&self, slot: u128) -> Option<&Arc<str>> {
        self.owners.get(&slot)
    }

    /// Returns true if a slot can be claimed.
    pub(super) fn is_unclaimed(&self, slot: u128) -> bool {
        self.unclaimed.is_free(slot)
    }

    /// Returns the numbers of each of a node's slices, in ascending order.
    pub(super) fn of_node(&self, node: &str) -> impl Iterator<Item = NumberRange> {
        let slots = self.nodes.get(node).into_iter().flatten();
        slots.map(|slot| self.numbers(*slot))
    }

    /// Returns the lowest free number in a node's slices.
    pub(super) fn lowest_of(&self, node: &str, free: &FreeNumbers) -> Option<u128> {
        let mut slices = self.of_node(node);
        slices.find_map(|slice| free.lowest_within(slice))
    }

    /// Returns the lowest slot that can be claimed and has a free address. The loop iterates only while
    /// taken and full slots alternate.
    pub(super) fn lowest_unclaimed(&self, free: &FreeNumbers) -> Option<u128> {
        let mut from = 0;
        loop {
            let slot = self
                .unclaimed
                .lowest_within(NumberRange::new(from, u128::MAX))?;
            let from_slot = NumberRange::new(self.numbers(slot).first, u128::MAX);
            let number = free.lowest_within(from_slot)?;
            from = self.slot(number);
            if from == slot {
                return Some(slot);
            }
        }
    }

    /// Returns the number of slots and how many of them are taken.
    pub(super) fn count(&self) -> (u128, u128) {
        let all = self.unclaimed.capacity();
        (all, all.saturating_sub(self.unclaimed.free()))
    }

    /// Counts the free numbers that are in no node's slice.
    pub(super) fn free_outside(&self, free: &FreeNumbers) -> u128 {
        let owned = self.owners.keys().map(|slot| self.numbers(*slot));
        owned.fold(free.free(), |left, slice| {
            left.saturating_sub(free.free_within(slice))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Addresses 256 to 319 in slots of 16, some of them excluded.
    fn sample() -> (SliceMap, FreeNumbers) {
        let free = FreeNumbers::new(
            NumberRange::new(257, 318),
            [NumberRange::new(272, 287), NumberRange::new(300, 301)],
        );
        let slicing = SlicingConfig {
            host_bits: 4,
            strict: false,
        };
        (SliceMap::new(256, slicing, &free), free)
    }

    #[test]
    fn slots_without_allocatable_addresses_do_not_exist() {
        let (mut map, mut free) = sample();
        assert_eq!(map.count(), (3, 0));
        assert!(!map.is_unclaimed(1) && !map.is_unclaimed(4));
        let node = "a".into();
        let mut claimed = Vec::new();
        while let Some(slot) = map.lowest_unclaimed(&free) {
            map.set(slot, true, Some(&node));
            claimed.push(map.numbers(slot));
        }
        let slots = [(256, 271), (288, 303), (304, 319)];
        assert_eq!(
            claimed,
            slots.map(|(first, last)| NumberRange::new(first, last))
        );
        assert_eq!(map.of_node("a").collect::<Vec<_>>(), claimed);
        assert_eq!((map.count(), map.free_outside(&free)), ((3, 3), 0));
        while let Some(number) = map.lowest_of("a", &free) {
            assert!(free.allocate(number));
        }
        assert_eq!(free.free(), 0);
    }

    #[test]
    fn full_slots_are_skipped_until_an_address_is_free() {
        let (mut map, mut free) = sample();
        for number in 256..=271 {
            free.allocate(number);
        }
        assert_eq!(map.lowest_unclaimed(&free), Some(2));
        free.release(260);
        assert_eq!(map.lowest_unclaimed(&free), Some(0));
        map.set(0, true, None);
        assert_eq!((map.owner(0), map.lowest_unclaimed(&free)), (None, Some(2)));
        map.set(0, false, None);
        assert_eq!(map.lowest_unclaimed(&free), Some(0));
        assert_eq!(map.free_outside(&free), free.free());
    }
}
