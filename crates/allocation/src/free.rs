//! A set of free numbers with fast access to the lowest one.
//!
//! `rangemap` and `range-set-blaze` keep such sets, too: as maps of ranges, in which a scattered number
//! costs tens of bytes in place of one bit, and allocating a given number splits a range
//! (docs/performance.md).

mod within;

use std::collections::{BTreeMap, btree_map::Entry};

use super::block::{BITS, BitBlock};
use nadmit_cni::NumberRange;

/// The free numbers of a range with exclusions.
///
/// One structure serves IPv4, IPv6 and MACs, all of which are numbers. Numbers are grouped in blocks of
/// 512: a run of completely free blocks is one map entry (so an empty /64 is one entry), a partially
/// free block is a bit set, and a fully allocated block is not stored. Allocating the lowest or a given
/// number and releasing one are O(log n) in the number of blocks and runs. Numbers that must never be
/// allocated (excludes, gateways, the ends of a subnet) are cut out on construction, and
/// [`Self::release`] rejects them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreeNumbers {
    /// Runs of completely free blocks, keyed by the first block, with the last block as value. They
    /// neither overlap nor touch.
    free_blocks: BTreeMap<u128, u128>,
    /// Partially free blocks: some of their numbers are free, others are not.
    partial_blocks: BTreeMap<u128, BitBlock>,
    /// Sorted ranges of all allocatable numbers, free or not.
    allocatable: Box<[NumberRange]>,
    free: u128,
    capacity: u128,
}

/// Returns the block that contains a number, and the number's offset in it.
fn position(number: u128) -> (u128, usize) {
    let size = BITS as u128;
    (number / size, (number % size) as usize)
}

/// Returns the number at an offset in a block.
fn number(block: u128, position: usize) -> u128 {
    block * BITS as u128 + position as u128
}

impl FreeNumbers {
    /// Creates the set of all numbers of the range, except the exclusions. Exclusions may overlap each
    /// other and extend beyond the range.
    pub fn new(range: NumberRange, exclusions: impl IntoIterator<Item = NumberRange>) -> Self {
        let allocatable = range.subtract(exclusions);
        let counts = allocatable.iter().map(|run| run.count());
        let capacity = counts.fold(0, u128::saturating_add);
        let mut numbers = Self {
            free_blocks: BTreeMap::new(),
            partial_blocks: BTreeMap::new(),
            free: capacity,
            capacity,
            allocatable: Box::default(),
        };
        for run in &allocatable {
            numbers.fill(*run);
        }
        numbers.allocatable = allocatable.into();
        numbers
    }

    /// Marks a run as free. Neither the run nor its direct neighbours may be free yet.
    fn fill(&mut self, run: NumberRange) {
        let ((first, start), (last, end)) = (position(run.first), position(run.last));
        // The first and the last block may be shared with other runs.
        let whole_from = if start == 0 { first } else { first + 1 };
        let whole_to = if end == BITS - 1 {
            Some(last)
        } else {
            last.checked_sub(1)
        };
        let mut part = |block: u128, start: usize, end: usize| {
            self.partial_blocks
                .entry(block)
                .or_default()
                .set_all(start, end);
        };
        if first == last && (start, end) != (0, BITS - 1) {
            return part(first, start, end);
        }
        if start != 0 {
            part(first, start, BITS - 1);
        }
        if end != BITS - 1 {
            part(last, 0, end);
        }
        if let Some(whole_to) = whole_to.filter(|to| whole_from <= *to) {
            self.free_blocks.insert(whole_from, whole_to);
        }
    }

    /// Returns the number of allocatable numbers, saturating at 2^128 - 1.
    pub fn capacity(&self) -> u128 {
        self.capacity
    }

    /// Returns how many of them are free.
    pub fn free(&self) -> u128 {
        self.free
    }

    /// Returns the lowest free number.
    pub fn lowest(&self) -> Option<u128> {
        let mixed = self.partial_blocks.first_key_value();
        let mixed = mixed.and_then(|(block, bits)| Some(number(*block, bits.lowest(0)?)));
        let whole = self.free_blocks.first_key_value();
        let whole = whole.map(|(block, _)| number(*block, 0));
        lower(mixed, whole)
    }

    /// Returns the lowest free number in a range.
    pub fn lowest_within(&self, range: NumberRange) -> Option<u128> {
        if range.is_empty() {
            return None;
        }
        let NumberRange { first, last } = range;
        let (block, start) = position(first);
        if run_of(&self.free_blocks, block).is_some() {
            return Some(first);
        }
        let bits = self.partial_blocks.get(&block);
        let here = bits.and_then(|bits| Some(number(block, bits.lowest(start)?)));
        let behind = || {
            let from = block.checked_add(1)?;
            let mixed = self.partial_blocks.range(from..).next();
            let mixed = mixed.and_then(|(block, bits)| Some(number(*block, bits.lowest(0)?)));
            let whole = self.free_blocks.range(from..).next();
            lower(mixed, whole.map(|(block, _)| number(*block, 0)))
        };
        here.or_else(behind).filter(|lowest| *lowest <= last)
    }

    /// Returns true if the number is allocatable and not allocated.
    pub fn is_free(&self, number: u128) -> bool {
        let (block, at) = position(number);
        match self.partial_blocks.get(&block) {
            Some(bits) => bits.has(at),
            None => run_of(&self.free_blocks, block).is_some(),
        }
    }

    /// Returns true if the number is allocatable, whether it is allocated or not.
    pub(crate) fn is_allocatable(&self, number: u128) -> bool {
        let behind = self.allocatable.partition_point(|run| run.first <= number);
        let before = behind
            .checked_sub(1)
            .and_then(|at| self.allocatable.get(at));
        before.is_some_and(|run| run.contains(number))
    }

    /// Allocates the lowest free number.
    pub fn allocate_lowest(&mut self) -> Option<u128> {
        let whole = self.free_blocks.first_key_value().map(|(block, _)| *block);
        // Fast path: the lowest number usually lies in a partially free block, found and changed in one
        // lookup.
        match self.partial_blocks.first_entry() {
            Some(mut mixed) if whole.is_none_or(|whole| *mixed.key() < whole) => {
                let (block, at) = (*mixed.key(), mixed.get().lowest(0)?);
                mixed.get_mut().clear(at);
                if mixed.get().is_empty() {
                    mixed.remove();
                }
                self.free = self.free.saturating_sub(1);
                Some(number(block, at))
            }
            _ => {
                let lowest = number(whole?, 0);
                self.allocate(lowest);
                Some(lowest)
            }
        }
    }

    /// Allocates this number. Returns false, and changes nothing, if it is not free.
    pub fn allocate(&mut self, number: u128) -> bool {
        let (block, at) = position(number);
        match self.partial_blocks.entry(block) {
            Entry::Occupied(mut mixed) => {
                if !mixed.get_mut().clear(at) {
                    return false;
                }
                if mixed.get().is_empty() {
                    mixed.remove();
                }
            }
            Entry::Vacant(vacant) => {
                let Some((first, last)) = run_of(&self.free_blocks, block) else {
                    return false;
                };
                split(&mut self.free_blocks, (first, last), block);
                vacant.insert(BitBlock::FULL).clear(at);
            }
        }
        self.free = self.free.saturating_sub(1);
        true
    }

    /// Releases a number. Returns false, and changes nothing, if it is free already or not allocatable.
    pub fn release(&mut self, number: u128) -> bool {
        if !self.is_allocatable(number) {
            return false;
        }
        let (block, at) = position(number);
        match self.partial_blocks.entry(block) {
            Entry::Occupied(mut mixed) => {
                if !mixed.get_mut().set(at) {
                    return false;
                }
                if mixed.get().is_full() {
                    mixed.remove();
                    join(&mut self.free_blocks, block);
                }
            }
            Entry::Vacant(vacant) => {
                if run_of(&self.free_blocks, block).is_some() {
                    return false;
                }
                vacant.insert(BitBlock::default()).set(at);
            }
        }
        self.free = self.free.saturating_add(1);
        true
    }

    /// Returns the ranges of free numbers in ascending order.
    pub fn free_ranges(&self) -> impl Iterator<Item = NumberRange> {
        let mut whole = self.free_blocks.iter().peekable();
        let mut mixed = self
            .partial_blocks
            .iter()
            .flat_map(|(block, bits)| {
                let run = |(from, to)| NumberRange::new(number(*block, from), number(*block, to));
                bits.runs().map(run)
            })
            .peekable();
        let pieces = std::iter::from_fn(move || {
            let next = whole.peek().map(|(first, _)| number(**first, 0));
            if mixed
                .peek()
                .is_some_and(|run| next.is_none_or(|next| run.first < next))
            {
                return mixed.next();
            }
            let (first, last) = whole.next()?;
            Some(NumberRange::new(number(*first, 0), number(*last, BITS - 1)))
        });
        let mut pieces = pieces.peekable();
        std::iter::from_fn(move || {
            let mut range = pieces.next()?;
            // Pieces of adjacent blocks are merged into one range.
            while let Some(next) =
                pieces.next_if(|next| range.last.checked_add(1) == Some(next.first))
            {
                range.last = next.last;
            }
            Some(range)
        })
    }
}

/// Adds a block that is completely free to the adjacent runs.
fn join(whole: &mut BTreeMap<u128, u128>, block: u128) {
    let end = block.checked_add(1).and_then(|next| whole.remove(&next));
    let end = end.unwrap_or(block);
    let before = whole.range_mut(..block).next_back();
    match before.filter(|(_, last)| last.checked_add(1) == Some(block)) {
        Some((_, last)) => *last = end,
        None => drop(whole.insert(block, end)),
    }
}

/// Removes a block from its run of free blocks, splitting the run if necessary.
fn split(whole: &mut BTreeMap<u128, u128>, (first, last): (u128, u128), block: u128) {
    if block > first {
        whole.insert(first, block - 1);
    } else {
        whole.remove(&first);
    }
    if block < last {
        whole.insert(block + 1, last);
    }
}

/// Returns the run of completely free blocks that contains a block.
fn run_of(whole: &BTreeMap<u128, u128>, block: u128) -> Option<(u128, u128)> {
    let (first, last) = whole.range(..=block).next_back()?;
    (block <= *last).then_some((*first, *last))
}

fn lower(one: Option<u128>, other: Option<u128>) -> Option<u128> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn free_numbers(
        first: u128,
        last: u128,
        exclusions: impl IntoIterator<Item = (u128, u128)>,
    ) -> FreeNumbers {
        let exclusions = exclusions.into_iter();
        let exclusions = exclusions.map(|(first, last)| NumberRange::new(first, last));
        FreeNumbers::new(NumberRange::new(first, last), exclusions)
    }

    fn free_ranges(numbers: &FreeNumbers) -> Vec<(u128, u128)> {
        let ranges = numbers.free_ranges();
        ranges.map(|range| (range.first, range.last)).collect()
    }

    #[test]
    fn exclusions_apply_in_any_order() {
        let free = free_numbers(10, 20, [(12, 13), (0, 10), (13, 15), (20, 30), (40, 50)]);
        assert_eq!(free_ranges(&free), [(11, 11), (16, 19)]);
        assert_eq!((free.capacity(), free.free()), (5, 5));
        assert!(!free.is_allocatable(12) && free.is_allocatable(16));
        let none = free_numbers(10, 20, [(0, u128::MAX)]);
        assert_eq!((none.capacity(), none.lowest()), (0, None));
        let all = free_numbers(0, u128::MAX, []);
        assert_eq!((all.capacity(), all.lowest()), (u128::MAX, Some(0)));
        assert_eq!(free_numbers(5, 4, []).lowest(), None);
    }

    #[test]
    fn the_last_number_can_be_allocated_and_released() {
        let mut free = free_numbers(u128::MAX - 1, u128::MAX, []);
        assert!(free.allocate(u128::MAX) && !free.allocate(u128::MAX));
        assert_eq!(free.allocate_lowest(), Some(u128::MAX - 1));
        assert_eq!(free.allocate_lowest(), None);
        assert!(free.release(u128::MAX) && !free.release(u128::MAX));
        assert!(free.release(u128::MAX - 1));
        assert_eq!(free_ranges(&free), [(u128::MAX - 1, u128::MAX)]);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Lowest,
        Take(u128),
        GiveBack(u128),
        Within(u128, u128),
    }

    fn step() -> impl Strategy<Value = Step> {
        // A small domain makes collisions likely.
        prop_oneof![
            Just(Step::Lowest),
            (0..40u128).prop_map(Step::Take),
            (0..40u128).prop_map(Step::GiveBack),
            (0..40u128, 0..40u128).prop_map(|(a, b)| Step::Within(a, b)),
        ]
    }

    proptest! {
        /// `FreeNumbers` agrees with a `BTreeSet` of the same numbers on every operation.
        #[test]
        fn behaves_like_a_set(
            exclusions in prop::collection::vec((0..40u128, 0..6u128), 0..5),
            steps in prop::collection::vec(step(), 0..120),
        ) {
            // Within a block, across a block boundary, and at the end of the number space.
            for base in [0, BITS as u128 * 4 - 20, u128::MAX - 45] {
                check_against_set(base, 1, &exclusions, &steps)?;
            }
        }

        /// Agrees with a `BTreeSet` also when whole blocks fill up and become free again.
        #[test]
        fn whole_blocks_behave_like_a_set(
            exclusions in prop::collection::vec((0..40u128, 0..6u128), 0..3),
            steps in prop::collection::vec(step(), 0..30),
        ) {
            check_against_set(7, BITS as u128 / 5, &exclusions, &steps)?;
        }
    }

    /// Runs the steps on forty numbers at distance `apart`, starting at `base`.
    fn check_against_set(
        base: u128,
        apart: u128,
        exclusions: &[(u128, u128)],
        steps: &[Step],
    ) -> Result<(), TestCaseError> {
        let at = |position: u128| base + position * apart;
        let exclusions: Vec<(u128, u128)> = exclusions
            .iter()
            .map(|(a, n)| (at(*a), at(a + n)))
            .collect();
        let givable: BTreeSet<u128> = (at(3)..=at(35))
            .filter(|n| !exclusions.iter().any(|(from, to)| (from..=to).contains(&n)))
            .collect();
        let mut naive = givable.clone();
        let mut free = free_numbers(at(3), at(35), exclusions);
        let whole = free.clone();
        for step in steps {
            match *step {
                Step::Lowest => prop_assert_eq!(free.allocate_lowest(), naive.pop_first()),
                Step::Take(n) => prop_assert_eq!(free.allocate(at(n)), naive.remove(&at(n))),
                Step::GiveBack(n) => {
                    let back = givable.contains(&at(n)) && naive.insert(at(n));
                    prop_assert_eq!(free.release(at(n)), back);
                }
                Step::Within(a, b) => {
                    let lowest = (a <= b).then(|| naive.range(at(a)..=at(b)).next().copied());
                    prop_assert_eq!(
                        free.lowest_within(NumberRange::new(at(a), at(b))),
                        lowest.flatten()
                    );
                }
            }
            prop_assert_eq!(free.free(), naive.len() as u128);
            prop_assert_eq!(free.lowest(), naive.first().copied());
            prop_assert_eq!(free_ranges(&free), gaps(&naive));
        }
        for number in givable.difference(&naive) {
            prop_assert!(free.release(*number));
        }
        prop_assert_eq!(free, whole, "what is given back is as it was before");
        Ok(())
    }

    fn gaps(numbers: &BTreeSet<u128>) -> Vec<(u128, u128)> {
        let mut gaps: Vec<(u128, u128)> = Vec::new();
        for &number in numbers {
            match gaps.last_mut() {
                Some((_, last)) if *last + 1 == number => *last = number,
                _ => gaps.push((number, number)),
            }
        }
        gaps
    }
}
