//! Counts of allocatable and free numbers in a part of a range.

use super::{BITS, FreeNumbers, number, position};

impl FreeNumbers {
    /// Returns the ranges of all allocatable numbers as (first, last), in ascending order.
    pub fn allocatable(&self) -> &[(u128, u128)] {
        &self.allocatable
    }

    /// Counts the allocatable numbers from `first` to `last`.
    pub fn capacity_within(&self, first: u128, last: u128) -> u128 {
        let runs = self.allocatable.iter().copied();
        runs.fold(0, |sum: u128, run| {
            sum.saturating_add(overlap(run, (first, last)))
        })
    }

    /// Counts the free numbers from `first` to `last`.
    pub fn free_within(&self, first: u128, last: u128) -> u128 {
        if first > last {
            return 0;
        }
        let ((first_block, start), (last_block, end)) = (position(first), position(last));
        let before = self.free_blocks.range(..=first_block).next_back();
        let inside = first_block.checked_add(1);
        let inside = inside.map(|from| self.free_blocks.range(from..));
        let runs = before.into_iter().chain(inside.into_iter().flatten());
        let runs = runs.take_while(|(from, _)| **from <= last_block);
        let whole = runs.fold(0, |sum: u128, (from, to)| {
            let run = (number(*from, 0), number(*to, BITS - 1));
            sum.saturating_add(overlap(run, (first, last)))
        });
        let mixed = self.partial_blocks.range(first_block..=last_block);
        mixed.fold(whole, |sum: u128, (block, bits)| {
            let start = if *block == first_block { start } else { 0 };
            let end = if *block == last_block { end } else { BITS - 1 };
            sum.saturating_add(bits.count(start, end) as u128)
        })
    }
}

/// Returns the size of the intersection of two ranges.
fn overlap(one: (u128, u128), other: (u128, u128)) -> u128 {
    let (first, last) = (one.0.max(other.0), one.1.min(other.1));
    match last.checked_sub(first) {
        Some(length) => length.saturating_add(1),
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn counts_equal_naive_counts(
            exclusions in prop::collection::vec((0..2000u128, 0..40u128), 0..8),
            taken in prop::collection::vec(0..2000u128, 0..60),
            parts in prop::collection::vec((0..2100u128, 0..1200u128), 1..8),
        ) {
            let exclusions = exclusions.into_iter().map(|(from, length)| (from, from + length));
            let mut numbers = FreeNumbers::new(3, 1990, exclusions);
            for number in taken {
                numbers.allocate(number);
            }
            for (first, length) in parts {
                let last = first + length;
                let count = |what: &dyn Fn(u128) -> bool| (first..=last).filter(|n| what(*n)).count();
                let capacity = count(&|n| numbers.is_allocatable(n)) as u128;
                prop_assert_eq!(numbers.capacity_within(first, last), capacity);
                let free = count(&|n| numbers.is_free(n)) as u128;
                prop_assert_eq!(numbers.free_within(first, last), free);
            }
        }
    }

    #[test]
    fn counts_of_all_numbers_saturate() {
        let all = FreeNumbers::new(0, u128::MAX, []);
        assert_eq!(all.free_within(0, u128::MAX), u128::MAX);
        assert_eq!(all.capacity_within(5, 4), 0);
        assert_eq!(all.free_within(u128::MAX, u128::MAX), 1);
    }
}
