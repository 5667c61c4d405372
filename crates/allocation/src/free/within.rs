//! Counts of allocatable and free numbers in a part of a range.

use nadmit_cni::NumberRange;

use super::{BITS, FreeNumbers, number, position};

impl FreeNumbers {
    /// Returns the ranges of all allocatable numbers in ascending order.
    pub fn allocatable(&self) -> &[NumberRange] {
        &self.allocatable
    }

    /// Counts the allocatable numbers in a range.
    pub(crate) fn capacity_within(&self, range: NumberRange) -> u128 {
        let inside = self.allocatable.iter().map(|run| run.intersection(range));
        inside.fold(0, |sum: u128, run| sum.saturating_add(run.count()))
    }

    /// Counts the free numbers in a range.
    pub(crate) fn free_within(&self, range: NumberRange) -> u128 {
        if range.is_empty() {
            return 0;
        }
        let (first_block, start) = position(range.first);
        let (last_block, end) = position(range.last);
        let before = self.free_blocks.range(..=first_block).next_back();
        let inside = first_block.checked_add(1);
        let inside = inside.map(|from| self.free_blocks.range(from..));
        let runs = before.into_iter().chain(inside.into_iter().flatten());
        let runs = runs.take_while(|(from, _)| **from <= last_block);
        let whole = runs.fold(0, |sum: u128, (from, to)| {
            let run = NumberRange::new(number(*from, 0), number(*to, BITS - 1));
            sum.saturating_add(run.intersection(range).count())
        });
        let mixed = self.partial_blocks.range(first_block..=last_block);
        mixed.fold(whole, |sum: u128, (block, bits)| {
            let start = if *block == first_block { start } else { 0 };
            let end = if *block == last_block { end } else { BITS - 1 };
            sum.saturating_add(bits.count(start, end) as u128)
        })
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
            let exclusions = exclusions.into_iter().map(|(from, length)| NumberRange::new(from, from + length));
            let mut numbers = FreeNumbers::new(NumberRange::new(3, 1990), exclusions);
            for number in taken {
                numbers.allocate(number);
            }
            for (first, length) in parts {
                let range = NumberRange::new(first, first + length);
                let count = |what: &dyn Fn(u128) -> bool| (first..=range.last).filter(|n| what(*n)).count();
                let capacity = count(&|n| numbers.is_allocatable(n)) as u128;
                prop_assert_eq!(numbers.capacity_within(range), capacity);
                let free = count(&|n| numbers.is_free(n)) as u128;
                prop_assert_eq!(numbers.free_within(range), free);
            }
        }
    }

    #[test]
    fn counts_of_all_numbers_saturate() {
        let whole = NumberRange::new(0, u128::MAX);
        let all = FreeNumbers::new(whole, []);
        assert_eq!(all.free_within(whole), u128::MAX);
        assert_eq!(all.capacity_within(NumberRange::new(5, 4)), 0);
        assert_eq!(all.free_within(NumberRange::single(u128::MAX)), 1);
    }
}
