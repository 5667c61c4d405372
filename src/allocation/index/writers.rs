//! One ledger and several indexes: what one of them has to know of the others.

use std::collections::HashSet;

use super::Index;
use crate::allocation::Version;

/// How many versions of its own an index remembers. What is forgotten costs a write.
const REMEMBERED: usize = 65_536;
/// How many plans are in flight before this index leaves the lowest addresses to another.
const CROWD: usize = 8;

/// Who writes to the ledger.
#[derive(Debug, Default)]
pub(super) struct Writers {
    /// Whether others do, too.
    several: bool,
    /// Whether another takes the lowest addresses when many are asked for at once.
    steps_aside: bool,
    /// The versions that this index was told of by who writes for it.
    own: HashSet<Version>,
}

impl Index {
    /// From now on others write to the ledger, too. A record that another has just written may be
    /// taken back by it, if the rest of its plan fails: so it is written anew before it is relied on.
    pub fn share_ledger(&mut self) {
        self.writers.several = true;
    }

    /// Whether to step aside: when many ask at once, two indexes that both take the lowest free
    /// address take the same. One that steps aside begins in the middle of a range then.
    pub fn step_aside(&mut self, aside: bool) {
        self.writers.steps_aside = aside;
    }

    /// Where to look for a free address first, of a range from `first` to `last`.
    pub(super) fn beginning(&self, first: u128, last: u128) -> Option<u128> {
        let aside = self.writers.steps_aside && self.tickets.len() >= CROWD;
        aside.then(|| first + (last - first) / 2)
    }

    /// Who writes for this index has written this.
    pub(super) fn remember_own(&mut self, version: Version) {
        if !self.writers.several {
            return;
        }
        if self.writers.own.len() >= REMEMBERED {
            self.writers.own.clear();
        }
        self.writers.own.insert(version);
    }

    /// Whether a record may be relied on as it is, however young.
    pub(super) fn is_own(&self, version: Version) -> bool {
        !self.writers.several || self.writers.own.contains(&version)
    }
}
