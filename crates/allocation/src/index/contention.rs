//! Coordination of several replicas, each with its own index, that write to one ledger.

use std::collections::HashSet;

use super::{Index, entries::IndexEntry};
use crate::{Allocation, Version, Write};

/// The maximum number of remembered local writes. A forgotten one costs an additional write.
const MAX_LOCAL_WRITES: usize = 65_536;
/// The number of pending plans from which a yielding index avoids the lowest addresses.
const CONTENTION_THRESHOLD: usize = 8;

/// The writers of the ledger.
#[derive(Debug, Default)]
pub(super) struct Contention {
    /// True if other replicas write to the ledger as well.
    ledger_shared: bool,
    /// True if this index leaves the lowest addresses to another replica under contention.
    yields_lowest: bool,
    /// The versions of records written through this index.
    locally_written: HashSet<Version>,
}

impl Index {
    /// Declares that other replicas write to the ledger too. A replica may revert a record that it has
    /// just written if the rest of its plan fails, so such a record is rewritten before a plan relies
    /// on it.
    pub fn share_ledger(&mut self) {
        self.contention.ledger_shared = true;
    }

    /// Sets whether this index yields the lowest addresses. Under contention, two indexes that both
    /// take the lowest free address collide; a yielding index starts in the middle of a range instead.
    pub fn yield_lowest(&mut self, yields: bool) {
        self.contention.yields_lowest = yields;
    }

    /// Returns the number from which to search a range first, or `None` to start at the lowest.
    pub(super) fn start_offset(&self, first: u128, last: u128) -> Option<u128> {
        let yields =
            self.contention.yields_lowest && self.pending_plans.len() >= CONTENTION_THRESHOLD;
        yields.then(|| first + (last - first) / 2)
    }

    pub(super) fn remember_local_write(&mut self, version: Version) {
        if !self.contention.ledger_shared {
            return;
        }
        if self.contention.locally_written.len() >= MAX_LOCAL_WRITES {
            self.contention.locally_written.clear();
        }
        self.contention.locally_written.insert(version);
    }

    /// Returns true if a planned write only renews the timestamps of a record, to take it over from
    /// another replica that may still be working on it.
    pub fn only_refreshes(&self, write: &Write) -> bool {
        let Write::Update(desired, _) = write else {
            return false;
        };
        let entry = self.entry(&desired.space, desired.address);
        let recorded = entry.and_then(IndexEntry::recorded);
        recorded.is_some_and(|stored| {
            let old = &stored.allocation;
            let refreshed = Allocation {
                since: desired.since,
                taken: desired.taken,
                ..old.clone()
            };
            refreshed == *desired
        })
    }

    /// Returns true if a record was written by this index, so that a plan can rely on it immediately.
    pub(super) fn is_locally_written(&self, version: Version) -> bool {
        !self.contention.ledger_shared || self.contention.locally_written.contains(&version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Stored, Timestamp,
        index::{AllocationPlan, tests::*},
    };

    fn shared() -> Index {
        let mut index = index(&[storage("")], &[]);
        index.share_ledger();
        index
    }

    /// Plans one record and returns it with the plan.
    fn first(index: &mut Index) -> (AllocationPlan, Allocation) {
        let planned = index.plan(&requester("a"), &[request(&[])], NOW);
        let planned = planned.unwrap_or_else(|e| panic!("{e:?}"));
        let [Write::Create(allocation)] = &planned.writes[..] else {
            panic!("{:?}", planned.writes);
        };
        let allocation = allocation.clone();
        (planned, allocation)
    }

    fn planned(index: &mut Index) -> Vec<Write> {
        let planned = index.plan(&requester("a"), &[request(&[])], NOW);
        let planned = planned.unwrap_or_else(|e| panic!("{e:?}"));
        index.abort(planned.id);
        planned.writes
    }

    #[test]
    fn local_writes_are_not_repeated_after_early_events() {
        let mut index = shared();
        let (first, allocation) = first(&mut index);
        index.apply(Stored {
            allocation,
            version: Version(1),
        });
        index.commit(first.id, &[Version(1)]);
        assert_eq!(planned(&mut index), []);
    }

    #[test]
    fn recent_writes_of_another_replica_are_renewed() {
        let mut index = shared();
        let (first, allocation) = first(&mut index);
        assert!(!index.only_refreshes(&first.writes[0]));
        let allocation = Allocation {
            since: Timestamp(NOW.0 - 1),
            ..allocation
        };
        index.abort(first.id);
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
