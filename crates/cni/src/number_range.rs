//! Ranges of consecutive numbers: the arithmetic behind IP ranges, MAC ranges and sets of free numbers.
//!
//! The crates `ipnet` and `iprange` compute with subnets, and `rangemap` and `range-set-blaze` keep
//! sets. Here a range has any bounds, and is only cut by the few exclusions of a configuration.

/// A range of consecutive numbers with its first and last number. It is empty if `first` is greater than
/// `last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NumberRange {
    /// The first number.
    pub first: u128,
    /// The last number.
    pub last: u128,
}

impl NumberRange {
    /// Creates the range from `first` to `last`.
    pub const fn new(first: u128, last: u128) -> Self {
        Self { first, last }
    }

    /// Creates a range of one number.
    pub const fn single(number: u128) -> Self {
        Self::new(number, number)
    }

    /// Returns true if the range contains no number.
    pub fn is_empty(self) -> bool {
        self.first > self.last
    }

    /// Returns the number of numbers; one less for the range of all numbers.
    pub fn count(self) -> u128 {
        let length = self.last.checked_sub(self.first);
        length.map_or(0, |length| length.saturating_add(1))
    }

    /// Returns true if the range contains the number.
    pub fn contains(self, number: u128) -> bool {
        self.first <= number && number <= self.last
    }

    /// Returns the numbers that are in both ranges; the result may be empty.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self::new(self.first.max(other.first), self.last.min(other.last))
    }

    /// Returns the parts of the range that are in none of the exclusions, in ascending order. Exclusions
    /// may overlap each other and extend beyond the range.
    pub fn subtract(self, exclusions: impl IntoIterator<Item = Self>) -> Vec<Self> {
        let inside = exclusions
            .into_iter()
            .map(|excluded| self.intersection(excluded));
        let mut inside: Vec<Self> = inside.filter(|range| !range.is_empty()).collect();
        inside.sort_unstable();
        let mut left = Vec::new();
        // The first number that is not processed yet; `None` after the last number of the range.
        let mut next = (!self.is_empty()).then_some(self.first);
        for excluded in inside {
            let Some(first) = next.filter(|next| *next <= excluded.last) else {
                continue;
            };
            if first < excluded.first {
                left.push(Self::new(first, excluded.first - 1));
            }
            next = (excluded.last < self.last).then(|| excluded.last + 1);
        }
        left.extend(next.map(|first| Self::new(first, self.last)));
        left
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_reach_both_ends_of_the_numbers() {
        let all = NumberRange::new(0, u128::MAX);
        assert_eq!(all.count(), u128::MAX);
        assert_eq!(all.subtract([]), [all]);
        assert_eq!(all.subtract([all, all]), []);
        assert_eq!(
            all.subtract([NumberRange::single(u128::MAX), NumberRange::single(0)]),
            [NumberRange::new(1, u128::MAX - 1)]
        );
        let empty = NumberRange::new(5, 4);
        assert_eq!((empty.count(), empty.is_empty()), (0, true));
        assert_eq!(empty.subtract([]), []);
        assert_eq!(all.subtract([empty]), [all]);
    }

    proptest! {
        /// `subtract` agrees with a `BTreeSet` of the same numbers, and its parts neither overlap nor
        /// touch.
        #[test]
        fn subtract_agrees_with_a_set(
            first in 0..40u128,
            length in 0..40u128,
            exclusions in prop::collection::vec((0..80u128, 0..12u128), 0..8),
            base in prop_oneof![Just(0), Just(u128::MAX - 100)],
        ) {
            let at = |from: u128, length: u128| NumberRange::new(base + from, base + from + length);
            let range = at(first, length);
            let exclusions: Vec<_> = exclusions.into_iter().map(|(from, n)| at(from, n)).collect();
            let parts = range.subtract(exclusions.iter().copied());
            let numbers = (range.first..=range.last)
                .filter(|number| !exclusions.iter().any(|excluded| excluded.contains(*number)));
            let expected: BTreeSet<u128> = numbers.collect();
            let found: Vec<u128> = parts.iter().flat_map(|part| part.first..=part.last).collect();
            prop_assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
            for (part, next) in parts.iter().zip(parts.iter().skip(1)) {
                prop_assert!(part.last + 1 < next.first);
            }
        }
    }
}
