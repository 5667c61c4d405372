//! One ledger and several indexes: what one of them has to know of the others.

use std::collections::HashSet;

use super::{Index, entries::IndexEntry};
use crate::allocation::{Allocation, Version, Write};

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
        let aside = self.writers.steps_aside && self.pending_plans.len() >= CROWD;
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

    /// Whether a planned write changes nothing of a record but how old it is, so as to take it from
    /// another that may be at work on it.
    pub fn only_refreshes(&self, write: &Write) -> bool {
        let Write::Update(wanted, _) = write else {
            return false;
        };
        let entry = self.entry(&wanted.space, wanted.address);
        let recorded = entry.and_then(IndexEntry::recorded);
        recorded.is_some_and(|stored| {
            let old = &stored.allocation;
            let refreshed = Allocation {
                since: wanted.since,
                taken: wanted.taken,
                ..old.clone()
            };
            refreshed == *wanted
        })
    }

    /// Whether a record may be relied on as it is, however young.
    pub(super) fn is_own(&self, version: Version) -> bool {
        !self.writers.several || self.writers.own.contains(&version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allocation::{
        Stored,
        index::{AllocationPlan, tests::*},
    };

    fn shared() -> Index {
        let mut index = index(&[storage("")], &[]);
        index.share_ledger();
        index
    }

    /// A plan that creates one record.
    fn first(index: &mut Index) -> (AllocationPlan, Allocation) {
        let planned = index.plan(&asker("a"), &[ask(&[])], NOW);
        let planned = planned.unwrap_or_else(|e| panic!("{e:?}"));
        let [Write::Create(allocation)] = &planned.writes[..] else {
            panic!("{:?}", planned.writes);
        };
        let allocation = allocation.clone();
        (planned, allocation)
    }

    fn planned(index: &mut Index) -> Vec<Write> {
        let planned = index.plan(&asker("a"), &[ask(&[])], NOW);
        let planned = planned.unwrap_or_else(|e| panic!("{e:?}"));
        index.abort(planned.ticket);
        planned.writes
    }

    #[test]
    fn what_it_wrote_itself_is_not_written_again_though_the_ledger_told_of_it_first() {
        let mut index = shared();
        let (first, allocation) = first(&mut index);
        index.apply(Stored {
            allocation,
            version: Version(1),
        });
        index.commit(first.ticket, &[Version(1)]);
        assert_eq!(planned(&mut index), []);
    }

    #[test]
    fn what_another_has_just_written_is_only_refreshed() {
        let mut index = shared();
        let (first, allocation) = first(&mut index);
        assert!(!index.only_refreshes(&first.writes[0]));
        let allocation = Allocation {
            since: NOW.plus(-1),
            ..allocation
        };
        index.abort(first.ticket);
        let version = Version(1);
        index.apply(Stored {
            allocation: allocation.clone(),
            version,
        });
        let again = planned(&mut index);
        assert!(matches!(&again[..], [write] if index.only_refreshes(write)));
        let elsewhere = Allocation {
            interface: "net7".into(),
            ..allocation
        };
        assert!(!index.only_refreshes(&Write::Update(elsewhere, version)));
    }
}
