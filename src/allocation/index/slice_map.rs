//! A range that is cut: whose each slice is, and which are nobody's.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::allocation::{Address, FreeNumbers, Pool, SlicingConfig};

/// The cells of one range. A cell is where a slice is, or may be; its place is counted from the
/// first address of the subnet.
#[derive(Debug)]
pub(super) struct SliceMap {
    base: u128,
    host_bits: u32,
    /// The places of those that have something to give, and are not taken. A cell may be taken and
    /// have no owner: it is being claimed, or something else has its name.
    unclaimed: FreeNumbers,
    owners: BTreeMap<u128, Arc<str>>,
    nodes: BTreeMap<Arc<str>, BTreeSet<u128>>,
}

impl SliceMap {
    /// The cells of a pool's ranges, in their order; of a pool that is not cut, none.
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
        let place = |number: u128| number.saturating_sub(base) >> host_bits;
        // A slice in which nothing is ever given is not there to be claimed.
        let mut empty = Vec::new();
        let mut next = 0;
        for (from, to) in free.allocatable() {
            let (first, last) = (place(*from), place(*to));
            if next < first {
                empty.push((next, first - 1));
            }
            next = next.max(last + 1);
        }
        let unclaimed = match next.checked_sub(1) {
            Some(last) => FreeNumbers::new(0, last, empty),
            None => FreeNumbers::new(1, 0, []),
        };
        Self {
            base,
            host_bits,
            unclaimed,
            owners: BTreeMap::new(),
            nodes: BTreeMap::new(),
        }
    }

    /// The place of the cell around a number of the range.
    pub(super) fn place(&self, number: u128) -> u128 {
        number.saturating_sub(self.base) >> self.host_bits
    }

    /// The first and the last number of a cell.
    pub(super) fn bounds(&self, place: u128) -> (u128, u128) {
        let first = self.base + (place << self.host_bits);
        (first, first | ((1 << self.host_bits) - 1))
    }

    /// Whether the cell begins with this number.
    pub(super) fn begins_with(&self, number: u128) -> bool {
        self.bounds(self.place(number)).0 == number
    }

    /// What a cell is from now on.
    pub(super) fn set(&mut self, place: u128, taken: bool, owner: Option<&Arc<str>>) {
        if let Some(before) = self.owners.remove(&place)
            && let Some(cells) = self.nodes.get_mut(&before)
        {
            cells.remove(&place);
            if cells.is_empty() {
                self.nodes.remove(&before);
            }
        }
        if taken {
            self.unclaimed.allocate(place);
        } else {
            self.unclaimed.release(place);
        }
        if let Some(node) = owner {
            self.owners.insert(place, Arc::clone(node));
            let cells = self.nodes.entry(Arc::clone(node)).or_default();
            cells.insert(place);
        }
    }

    /// Whose a cell is.
    pub(super) fn owner(&self, place: u128) -> Option<&Arc<str>> {
        self.owners.get(&place)
    }

    /// Whether a cell may be claimed.
    pub(super) fn is_unclaimed(&self, place: u128) -> bool {
        self.unclaimed.is_free(place)
    }

    /// The bounds of a node's slices, in order.
    pub(super) fn of_node(&self, node: &str) -> impl Iterator<Item = (u128, u128)> {
        let cells = self.nodes.get(node).into_iter().flatten();
        cells.map(|place| self.bounds(*place))
    }

    /// The lowest number that is free in a node's slices.
    pub(super) fn lowest_of(&self, node: &str, free: &FreeNumbers) -> Option<u128> {
        let mut slices = self.of_node(node);
        slices.find_map(|(first, last)| free.lowest_within(first, last))
    }

    /// The lowest cell that may be claimed and has something free. It looks at a cell only where
    /// cells that are taken and cells that are full alternate.
    pub(super) fn lowest_unclaimed(&self, free: &FreeNumbers) -> Option<u128> {
        let mut from = 0;
        loop {
            let place = self.unclaimed.lowest_within(from, u128::MAX)?;
            let number = free.lowest_within(self.bounds(place).0, u128::MAX)?;
            from = self.place(number);
            if from == place {
                return Some(place);
            }
        }
    }

    /// How many slices there are, and how many of them are taken.
    pub(super) fn count(&self) -> (u128, u128) {
        let all = self.unclaimed.capacity();
        (all, all.saturating_sub(self.unclaimed.free()))
    }

    /// How many numbers are free and in no node's slice.
    pub(super) fn free_outside(&self, free: &FreeNumbers) -> u128 {
        let owned = self.owners.keys().map(|place| self.bounds(*place));
        owned.fold(free.free(), |left, (first, last)| {
            left.saturating_sub(free.free_within(first, last))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Addresses 256 to 319 in cells of 16, of which some are never given.
    fn cells() -> (SliceMap, FreeNumbers) {
        let free = FreeNumbers::new(257, 318, [(272, 287), (300, 301)]);
        let slicing = SlicingConfig {
            host_bits: 4,
            strict: false,
        };
        (SliceMap::new(256, slicing, &free), free)
    }

    #[test]
    fn a_slice_in_which_nothing_is_given_is_not_there() {
        let (mut cells, mut free) = cells();
        assert_eq!(cells.count(), (3, 0));
        assert!(!cells.is_unclaimed(1) && !cells.is_unclaimed(4));
        let node = "a".into();
        let mut claimed = Vec::new();
        while let Some(place) = cells.lowest_unclaimed(&free) {
            cells.set(place, true, Some(&node));
            claimed.push(cells.bounds(place));
        }
        assert_eq!(claimed, [(256, 271), (288, 303), (304, 319)]);
        assert_eq!(cells.of_node("a").collect::<Vec<_>>(), claimed);
        assert_eq!((cells.count(), cells.free_outside(&free)), ((3, 3), 0));
        while let Some(number) = cells.lowest_of("a", &free) {
            assert!(free.allocate(number));
        }
        assert_eq!(free.free(), 0);
    }

    #[test]
    fn a_full_slice_is_passed_over_and_claimed_when_it_is_not() {
        let (mut cells, mut free) = cells();
        for number in 256..=271 {
            free.allocate(number);
        }
        assert_eq!(cells.lowest_unclaimed(&free), Some(2));
        free.release(260);
        assert_eq!(cells.lowest_unclaimed(&free), Some(0));
        cells.set(0, true, None);
        assert_eq!(
            (cells.owner(0), cells.lowest_unclaimed(&free)),
            (None, Some(2))
        );
        cells.set(0, false, None);
        assert_eq!(cells.lowest_unclaimed(&free), Some(0));
        assert_eq!(cells.free_outside(&free), free.free());
    }
}
