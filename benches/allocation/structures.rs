//! The compared structures: allocating and releasing numbers.

use std::collections::HashSet;

use nadmit::{allocation::FreeNumbers, network::NumberRange};
use rangemap::RangeInclusiveSet;

pub(crate) trait Numbers {
    /// Returns a structure with all numbers from first to last free.
    fn make(first: u128, last: u128) -> Self;
    fn allocate_lowest(&mut self) -> Option<u128>;
    fn take(&mut self, number: u128) -> bool;
    fn give_back(&mut self, number: u128) -> bool;
}

impl Numbers for FreeNumbers {
    fn make(first: u128, last: u128) -> Self {
        Self::new(NumberRange::new(first, last), [])
    }

    fn allocate_lowest(&mut self) -> Option<u128> {
        FreeNumbers::allocate_lowest(self)
    }

    fn take(&mut self, number: u128) -> bool {
        FreeNumbers::allocate(self, number)
    }

    fn give_back(&mut self, number: u128) -> bool {
        FreeNumbers::release(self, number)
    }
}

/// The used numbers; the lowest free one is searched for from the bottom.
pub(crate) struct NaiveSet {
    first: u128,
    last: u128,
    taken: HashSet<u128>,
}

impl Numbers for NaiveSet {
    fn make(first: u128, last: u128) -> Self {
        let taken = HashSet::new();
        Self { first, last, taken }
    }

    fn allocate_lowest(&mut self) -> Option<u128> {
        let free = (self.first..=self.last).find(|n| !self.taken.contains(n))?;
        self.taken.insert(free);
        Some(free)
    }

    fn take(&mut self, number: u128) -> bool {
        self.taken.insert(number)
    }

    fn give_back(&mut self, number: u128) -> bool {
        self.taken.remove(&number)
    }
}

/// The free ranges.
pub(crate) struct FreeRanges(RangeInclusiveSet<u128>);

impl Numbers for FreeRanges {
    fn make(first: u128, last: u128) -> Self {
        let mut free = RangeInclusiveSet::new();
        free.insert(first..=last);
        Self(free)
    }

    fn allocate_lowest(&mut self) -> Option<u128> {
        let lowest = *self.0.first()?.start();
        self.0.remove(lowest..=lowest);
        Some(lowest)
    }

    fn take(&mut self, number: u128) -> bool {
        let is_free = self.0.contains(&number);
        self.0.remove(number..=number);
        is_free
    }

    fn give_back(&mut self, number: u128) -> bool {
        let was_taken = !self.0.contains(&number);
        self.0.insert(number..=number);
        was_taken
    }
}
