//! All randomness of a scenario, derived from its seed.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Random numbers from a seed. Clones share the sequence.
#[derive(Clone)]
pub(crate) struct Rng(Arc<Mutex<u64>>);

impl Rng {
    pub(crate) fn of(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(mixed(seed))))
    }

    /// Returns an independent sequence, so that draws from one do not affect the other. Advances
    /// this one.
    pub(crate) fn fork(&self) -> Self {
        Self::of(self.next())
    }

    /// Returns an independent sequence without advancing this one.
    pub(crate) fn derive(&self) -> Self {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Self::of(!*state)
    }

    /// Returns the next number (SplitMix64).
    pub(crate) fn next(&self) -> u64 {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(*state)
    }

    /// Returns a number below `end`; zero if `end` is zero.
    pub(crate) fn below(&self, end: u64) -> u64 {
        self.next().checked_rem(end).unwrap_or(0)
    }

    /// Returns an index into a list of this length.
    pub(crate) fn index(&self, count: usize) -> usize {
        usize::try_from(self.below(count as u64)).unwrap_or(0)
    }

    pub(crate) fn percent(&self, chance: u64) -> bool {
        self.below(100) < chance
    }

    pub(crate) fn between(&self, first: u64, last: u64) -> u64 {
        first + self.below(last - first + 1)
    }

    pub(crate) fn millis(&self, first: u64, last: u64) -> Duration {
        Duration::from_millis(self.between(first, last))
    }

    pub(crate) fn pick<'t, T>(&self, of: &'t [T]) -> Option<&'t T> {
        of.get(self.index(of.len()))
    }
}

fn mixed(state: u64) -> u64 {
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}
