//! A block of neighbouring numbers, a bit each.

/// How many numbers a block has.
pub(super) const BITS: usize = WORDS * 64;
const WORDS: usize = 8;

/// Some of the numbers of a block.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct BitBlock([u64; WORDS]);

fn place(at: usize) -> (usize, u64) {
    (at / 64, 1 << (at % 64))
}

impl BitBlock {
    /// All of them.
    pub(super) const FULL: Self = Self([u64::MAX; WORDS]);

    /// Whether it has this one.
    pub(super) fn has(&self, at: usize) -> bool {
        let (word, bit) = place(at);
        self.0[word] & bit != 0
    }

    /// Puts one in; `false` if it was there.
    pub(super) fn set(&mut self, at: usize) -> bool {
        let (word, bit) = place(at);
        let new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        new
    }

    /// Takes one out; `false` if it was not there.
    pub(super) fn clear(&mut self, at: usize) -> bool {
        let (word, bit) = place(at);
        let there = self.0[word] & bit != 0;
        self.0[word] &= !bit;
        there
    }

    /// Puts in all from `first` to `last`.
    pub(super) fn set_all(&mut self, first: usize, last: usize) {
        for at in first..=last {
            self.set(at);
        }
    }

    /// The lowest from `start` on.
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

    /// How many it has from `first` to `last`.
    pub(super) fn count(&self, first: usize, last: usize) -> usize {
        (first..=last).filter(|at| self.has(*at)).count()
    }

    /// Whether it has none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// Whether it has all.
    pub(super) fn is_full(&self) -> bool {
        self.0.iter().all(|word| *word == u64::MAX)
    }

    /// The runs of neighbours, first to last, in order.
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
