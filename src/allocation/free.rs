//! The free numbers of a window: which is the lowest, and taking and giving back.

use std::collections::BTreeMap;

/// The free numbers between two bounds, as the gaps between those taken.
///
/// One structure for IPv4, IPv6 and MACs, which all are numbers. An empty /64 is one entry; taking
/// the lowest, taking a given one and giving one back are O(log n) in the number of gaps. What must
/// never be given (excludes, gateways, the ends of a subnet) is carved out when it is made, and
/// [`Self::give_back`] knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreeNumbers {
    /// First to last of each gap; they neither touch nor overlap.
    gaps: BTreeMap<u128, u128>,
    /// What may be given at all: as the gaps were at the beginning, sorted.
    givable: Box<[(u128, u128)]>,
    free: u128,
    capacity: u128,
}

impl FreeNumbers {
    /// All numbers from `first` to `last` but those of `holes`, which may overlap each other and
    /// reach out of the window. With `first` above `last` there are none.
    pub fn new(first: u128, last: u128, holes: impl IntoIterator<Item = (u128, u128)>) -> Self {
        let mut holes: Vec<(u128, u128)> = holes.into_iter().collect();
        holes.sort_unstable();
        let mut givable = Vec::new();
        // The first number not dealt with yet; `None` behind the very last.
        let mut next = (first <= last).then_some(first);
        for (from, to) in holes {
            let Some(start) = next.filter(|start| from <= last && *start <= to) else {
                continue;
            };
            if start < from {
                givable.push((start, from - 1));
            }
            next = to.checked_add(1).filter(|next| *next <= last);
            if next.is_none() {
                break;
            }
        }
        if let Some(start) = next {
            givable.push((start, last));
        }
        let capacity = givable.iter().fold(0, |sum: u128, (from, to)| {
            sum.saturating_add((to - from).saturating_add(1))
        });
        Self {
            gaps: givable.iter().copied().collect(),
            givable: givable.into(),
            free: capacity,
            capacity,
        }
    }

    /// How many numbers there are to give in all; of 2^128, one less.
    pub fn capacity(&self) -> u128 {
        self.capacity
    }

    /// How many of them are free.
    pub fn free(&self) -> u128 {
        self.free
    }

    /// The lowest free number.
    pub fn lowest(&self) -> Option<u128> {
        self.gaps.first_key_value().map(|(first, _)| *first)
    }

    /// The lowest free number from `first` to `last`.
    pub fn lowest_within(&self, first: u128, last: u128) -> Option<u128> {
        if self.is_free(first) && first <= last {
            return Some(first);
        }
        let (next, _) = self.gaps.range(first..).next()?;
        (*next <= last).then_some(*next)
    }

    /// Whether the number may be given, and is not taken.
    pub fn is_free(&self, number: u128) -> bool {
        self.gap_of(number).is_some()
    }

    /// Whether the number may be given at all, taken or not.
    pub fn is_givable(&self, number: u128) -> bool {
        let behind = self.givable.partition_point(|(from, _)| *from <= number);
        let before = behind.checked_sub(1).and_then(|at| self.givable.get(at));
        before.is_some_and(|(_, to)| number <= *to)
    }

    /// Takes the lowest free number.
    pub fn take_lowest(&mut self) -> Option<u128> {
        let (first, last) = self.gaps.pop_first()?;
        if first < last {
            self.gaps.insert(first + 1, last);
        }
        self.free = self.free.saturating_sub(1);
        Some(first)
    }

    /// Takes this number. `false` if it is not free.
    pub fn take(&mut self, number: u128) -> bool {
        let Some((first, last)) = self.gap_of(number) else {
            return false;
        };
        if number > first {
            self.gaps.insert(first, number - 1);
        } else {
            self.gaps.remove(&first);
        }
        if number < last {
            self.gaps.insert(number + 1, last);
        }
        self.free = self.free.saturating_sub(1);
        true
    }

    /// Gives a number back. `false` if it was free, or may never be given: then nothing changes.
    pub fn give_back(&mut self, number: u128) -> bool {
        if !self.is_givable(number) {
            return false;
        }
        let before = self.gaps.range(..=number).next_back();
        let before = before.map(|(first, last)| (*first, *last));
        if before.is_some_and(|(_, last)| number <= last) {
            return false;
        }
        let after = number.checked_add(1);
        let joined = after.and_then(|after| self.gaps.remove(&after));
        let end = joined.unwrap_or(number);
        match before.filter(|(_, last)| Some(*last) == number.checked_sub(1)) {
            Some((first, _)) => self.gaps.insert(first, end),
            None => self.gaps.insert(number, end),
        };
        self.free = self.free.saturating_add(1);
        true
    }

    /// The runs of free numbers, first to last, in order.
    pub fn gaps(&self) -> impl Iterator<Item = (u128, u128)> {
        self.gaps.iter().map(|(first, last)| (*first, *last))
    }

    fn gap_of(&self, number: u128) -> Option<(u128, u128)> {
        let (first, last) = self.gaps.range(..=number).next_back()?;
        (number <= *last).then_some((*first, *last))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn holes_are_carved_out_whatever_their_order() {
        let free = FreeNumbers::new(10, 20, [(12, 13), (0, 10), (13, 15), (20, 30), (40, 50)]);
        assert_eq!(free.gaps().collect::<Vec<_>>(), [(11, 11), (16, 19)]);
        assert_eq!((free.capacity(), free.free()), (5, 5));
        assert!(!free.is_givable(12) && free.is_givable(16));
        let none = FreeNumbers::new(10, 20, [(0, u128::MAX)]);
        assert_eq!((none.capacity(), none.lowest()), (0, None));
        let all = FreeNumbers::new(0, u128::MAX, []);
        assert_eq!((all.capacity(), all.lowest()), (u128::MAX, Some(0)));
        assert_eq!(FreeNumbers::new(5, 4, []).lowest(), None);
    }

    #[test]
    fn the_last_number_of_all_can_be_taken_and_given_back() {
        let mut free = FreeNumbers::new(u128::MAX - 1, u128::MAX, []);
        assert!(free.take(u128::MAX) && !free.take(u128::MAX));
        assert_eq!(free.take_lowest(), Some(u128::MAX - 1));
        assert_eq!(free.take_lowest(), None);
        assert!(free.give_back(u128::MAX) && !free.give_back(u128::MAX));
        assert!(free.give_back(u128::MAX - 1));
        assert_eq!(
            free.gaps().collect::<Vec<_>>(),
            [(u128::MAX - 1, u128::MAX)]
        );
    }

    #[derive(Debug, Clone)]
    enum Step {
        Lowest,
        Take(u128),
        GiveBack(u128),
        Within(u128, u128),
    }

    fn step() -> impl Strategy<Value = Step> {
        // Narrow, so that collisions are common.
        prop_oneof![
            Just(Step::Lowest),
            (0..40u128).prop_map(Step::Take),
            (0..40u128).prop_map(Step::GiveBack),
            (0..40u128, 0..40u128).prop_map(|(a, b)| Step::Within(a, b)),
        ]
    }

    proptest! {
        /// It is a set: every answer is that of a sorted set of numbers with the holes left out.
        #[test]
        fn it_behaves_as_a_plain_set(
            holes in prop::collection::vec((0..40u128, 0..6u128), 0..5),
            steps in prop::collection::vec(step(), 0..120),
        ) {
            let holes: Vec<(u128, u128)> = holes.into_iter().map(|(a, n)| (a, a + n)).collect();
            let givable: BTreeSet<u128> = (3..=35)
                .filter(|n| !holes.iter().any(|(from, to)| (from..=to).contains(&n)))
                .collect();
            let mut naive = givable.clone();
            let mut free = FreeNumbers::new(3, 35, holes);
            for step in steps {
                match step {
                    Step::Lowest => prop_assert_eq!(free.take_lowest(), naive.pop_first()),
                    Step::Take(n) => prop_assert_eq!(free.take(n), naive.remove(&n)),
                    Step::GiveBack(n) => {
                        prop_assert_eq!(free.give_back(n), givable.contains(&n) && naive.insert(n));
                    }
                    Step::Within(a, b) => {
                        let lowest = (a <= b).then(|| naive.range(a..=b).next().copied()).flatten();
                        prop_assert_eq!(free.lowest_within(a, b), lowest);
                    }
                }
                prop_assert_eq!(free.free(), naive.len() as u128);
                prop_assert_eq!(free.lowest(), naive.first().copied());
                let mut behind = None;
                for (first, last) in free.gaps() {
                    prop_assert!(first <= last && behind.is_none_or(|end| end + 1 < first));
                    behind = Some(last);
                }
            }
        }
    }
}
