//! A fixed-size bit set: one bit for each number of a block.

/// The size of a block, in numbers.
pub(super) const BITS: usize = WORDS * 64;
const WORDS: usize = 8;

/// A set of numbers of one block, as offsets from its start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct BitBlock([u64; WORDS]);

fn bit_of(at: usize) -> (usize, u64) {
    (at / 64, 1 << (at % 64))
}

impl BitBlock {
    /// The block with every number set.
    pub(super) const FULL: Self = Self([u64::MAX; WORDS]);

    /// Returns true if this number is set.
    pub(super) fn has(&self, at: usize) -> bool {
        let (word, bit) = bit_of(at);
        self.0[word] & bit != 0
    }

    /// Sets a number. Returns false if it was set already.
    pub(super) fn set(&mut self, at: usize) -> bool {
        let (word, bit) = bit_of(at);
        let new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        new
    }

    /// Clears a number. Returns false if it was not set.
    pub(super) fn clear(&mut self, at: usize) -> bool {
        let (word, bit) = bit_of(at);
        let there = self.0[word] & bit != 0;
        self.0[word] &= !bit;
        there
    }

    /// Sets all numbers from `first` to `last`.
    pub(super) fn set_all(&mut self, first: usize, last: usize) {
        for at in first..=last {
            self.set(at);
        }
    }

    /// Returns the lowest number that is set, from `start` on.
    pub(super) fn lowest(&self, start: usize) -> Option<usize> {
        let first = start / 64;
        let mut mask = u64::MAX << (start % 64);
        for (word, bits) in self.0.iter().enumerate().skip(first) {
            let left = bits & mask;
            if left != 0 {
                return Some(word * 64 + left.trailing_zeros() as usize);
            }
            mask = u64::MAX;
        }
        None
    }

    /// Counts the numbers that are set from `first` to `last`.
    pub(super) fn count(&self, first: usize, last: usize) -> usize {
        (first..=last).filter(|at| self.has(*at)).count()
    }

    /// Returns true if no number is set.
    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// Returns true if every number is set.
    pub(super) fn is_full(&self) -> bool {
        self.0.iter().all(|word| *word == u64::MAX)
    }

    /// Returns the runs of consecutive numbers as (first, last), in ascending order.
    pub(super) fn runs(&self) -> impl Iterator<Item = (usize, usize)> {
        let mut next = 0;
        std::iter::from_fn(move || {
            let first = self.lowest(next)?;
            let end = (first..BITS).find(|at| !self.has(*at)).unwrap_or(BITS);
            next = end;
            Some((first, end - 1))
        })
    }
}
