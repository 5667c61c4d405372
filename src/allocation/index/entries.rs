//! The entries of the index: what is held, and what is in flight.

use std::{collections::HashSet, sync::Arc};

use super::{HoldingKey, Index, PendingWrite, PlanId};
use crate::allocation::{Address, Allocation, Holder, Space, Stored, Version};

/// An address that is taken.
#[derive(Debug)]
pub(super) enum IndexEntry {
    /// As the ledger has it.
    Committed(Arc<Stored>),
    /// A write of it is under way.
    Pending(Box<PendingRecord>),
}

/// A record on its way to the ledger.
#[derive(Debug)]
pub(super) struct PendingRecord {
    ticket: PlanId,
    /// As it is to be.
    desired: Allocation,
    /// As the ledger has it, if it has one.
    recorded: Option<Arc<Stored>>,
}

impl IndexEntry {
    /// The record: as it is to be, if that is in flight.
    pub(super) fn allocation(&self) -> &Allocation {
        match self {
            Self::Committed(stored) => &stored.allocation,
            Self::Pending(flying) => &flying.desired,
        }
    }

    /// The version of the record, if nothing is in flight.
    pub(super) fn version(&self) -> Option<Version> {
        match self {
            Self::Committed(stored) => Some(stored.version),
            Self::Pending(_) => None,
        }
    }

    /// The plan whose write of it is under way.
    pub(super) fn plan(&self) -> Option<PlanId> {
        match self {
            Self::Committed(_) => None,
            Self::Pending(flying) => Some(flying.ticket),
        }
    }

    /// The record with its version, if nothing is in flight.
    pub(super) fn committed(&self) -> Option<&Arc<Stored>> {
        match self {
            Self::Committed(stored) => Some(stored),
            Self::Pending(_) => None,
        }
    }

    /// What the ledger has of it.
    pub(super) fn recorded(&self) -> Option<&Stored> {
        match self {
            Self::Committed(stored) => Some(stored),
            Self::Pending(flying) => flying.recorded.as_deref(),
        }
    }

    /// The record as a holder has it: what is in flight for another hides no record of its own.
    pub(super) fn of(&self, holder: &Holder) -> Option<&Allocation> {
        let recorded = self.recorded().map(|stored| &stored.allocation);
        let both = [Some(self.allocation()), recorded].into_iter().flatten();
        both.into_iter().find(|one| one.holder == *holder)
    }

    /// What the ledger has of it, if that is another interface's than what is in flight.
    fn superseded(&self) -> Option<&Allocation> {
        let Self::Pending(flying) = self else {
            return None;
        };
        let recorded = &flying.recorded.as_ref()?.allocation;
        (holding(recorded) != holding(&flying.desired)).then_some(recorded)
    }

    fn into_recorded(self) -> Option<Arc<Stored>> {
        match self {
            Self::Committed(stored) => Some(stored),
            Self::Pending(flying) => flying.recorded,
        }
    }
}

impl Index {
    /// What the ledger has under a name is now this.
    pub fn apply(&mut self, stored: Stored) {
        let space = stored.allocation.space.clone();
        let address = stored.allocation.address;
        let known = self.entry(&space, address).and_then(IndexEntry::recorded);
        if known.is_some_and(|known| known.version >= stored.version) {
            return;
        }
        let stored = Arc::new(stored);
        self.change(&space, address, |entry| match entry {
            // The same record is written: whoever wrote it will hear of that, too.
            Some(IndexEntry::Pending(flying)) if flying.desired != stored.allocation => {
                Some(IndexEntry::Pending(Box::new(PendingRecord {
                    recorded: Some(stored),
                    ..*flying
                })))
            }
            _ => Some(IndexEntry::Committed(stored)),
        });
    }

    /// The ledger has no record of this name any more; the last had this version.
    pub fn apply_delete(&mut self, space: &Space, address: Address, version: Version) {
        let known = self.entry(space, address).and_then(IndexEntry::recorded);
        if known.is_none_or(|known| known.version > version) {
            return;
        }
        self.change(space, address, |entry| match entry {
            Some(IndexEntry::Pending(flying)) => {
                Some(IndexEntry::Pending(Box::new(PendingRecord {
                    recorded: None,
                    ..*flying
                })))
            }
            _ => None,
        });
    }

    /// The ledger has exactly these records, as of this version, says who follows it from there on.
    pub fn replace(&mut self, all: Vec<Stored>, version: Version) {
        self.prune(&all, version);
        for stored in all {
            self.apply(stored);
        }
        self.observed_revision = version;
    }

    /// As of this version the ledger has no other records than these.
    pub(super) fn prune(&mut self, all: &[Stored], version: Version) {
        let listed: HashSet<(&Space, Address)> = all
            .iter()
            .map(|stored| (&stored.allocation.space, stored.allocation.address))
            .collect();
        let gone: Vec<(Space, Address)> = self
            .recorded()
            .map(|(allocation, _)| (&allocation.space, allocation.address))
            .filter(|key| !listed.contains(key))
            .map(|(space, address)| (space.clone(), address))
            .collect();
        for (space, address) in gone {
            self.apply_delete(&space, address, version);
        }
    }

    /// Puts a record in flight.
    pub(super) fn mark_pending(
        &mut self,
        wanted: Allocation,
        ticket: PlanId,
        marks: &mut Vec<PendingWrite>,
    ) {
        let (space, address) = (wanted.space.clone(), wanted.address);
        self.change(&space, address, |entry| {
            Some(IndexEntry::Pending(Box::new(PendingRecord {
                ticket,
                desired: wanted,
                recorded: entry.and_then(IndexEntry::into_recorded),
            })))
        });
        marks.push(PendingWrite { space, address });
    }

    /// A record is in flight no more: recorded under a version, or not at all.
    pub(super) fn resolve(
        &mut self,
        space: &Space,
        address: Address,
        ticket: PlanId,
        version: Option<Version>,
    ) {
        if self.entry(space, address).and_then(IndexEntry::plan) != Some(ticket) {
            return;
        }
        let past = version.is_some_and(|version| self.is_compacted(version));
        self.change(space, address, |entry| {
            let IndexEntry::Pending(flying) = entry? else {
                return None;
            };
            let PendingRecord {
                desired: wanted,
                recorded,
                ..
            } = *flying;
            let Some(version) = version else {
                return recorded.map(IndexEntry::Committed);
            };
            // It was told, and so was its end.
            if past && recorded.is_none() {
                return None;
            }
            let newer = recorded.filter(|known| known.version > version);
            let written = || {
                Arc::new(Stored {
                    allocation: wanted,
                    version,
                })
            };
            Some(IndexEntry::Committed(newer.unwrap_or_else(written)))
        });
    }

    pub(super) fn entry(&self, space: &Space, address: Address) -> Option<&IndexEntry> {
        self.spaces.get(space)?.entries.get(&address)
    }

    /// The one way in which an entry comes, changes and goes: everything that is derived from
    /// entries follows.
    fn change(
        &mut self,
        space: &Space,
        address: Address,
        make: impl FnOnce(Option<IndexEntry>) -> Option<IndexEntry>,
    ) {
        self.generation += 1;
        let old = self
            .spaces
            .get_mut(space)
            .and_then(|state| state.entries.remove(&address));
        if let Some(old) = &old {
            self.detach(old.allocation());
            old.superseded()
                .into_iter()
                .for_each(|one| self.let_go(one));
        }
        let was_taken = old.is_some();
        match make(old) {
            Some(entry) => {
                self.attach(entry.allocation());
                entry
                    .superseded()
                    .into_iter()
                    .for_each(|one| self.hold(one));
                if !was_taken {
                    self.occupy(space, address);
                }
                let state = self.spaces.entry(space.clone()).or_default();
                state.entries.insert(address, entry);
            }
            None if was_taken => self.vacate(space, address),
            None => {}
        }
    }

    /// Notes that a holder has an address.
    fn hold(&mut self, allocation: &Allocation) {
        let at = (allocation.space.clone(), allocation.address);
        self.holdings
            .entry(holding(allocation))
            .or_default()
            .push(at);
    }

    fn let_go(&mut self, allocation: &Allocation) {
        let key = holding(allocation);
        if let Some(held) = self.holdings.get_mut(&key) {
            held.retain(|(space, address)| {
                (space, *address) != (&allocation.space, allocation.address)
            });
            if held.is_empty() {
                self.holdings.remove(&key);
            }
        }
    }

    fn attach(&mut self, allocation: &Allocation) {
        self.hold(allocation);
        if let Some(pool) = self.pools.get_mut(&allocation.pool) {
            pool.count(allocation);
        }
        if let Some(mac) = allocation.mac {
            let state = self.spaces.entry(allocation.space.clone()).or_default();
            state.following.insert(mac, allocation.address);
        }
    }

    fn detach(&mut self, allocation: &Allocation) {
        self.let_go(allocation);
        if let Some(pool) = self.pools.get_mut(&allocation.pool) {
            pool.discount(allocation);
        }
        let state = self.spaces.get_mut(&allocation.space);
        if let (Some(state), Some(mac)) = (state, allocation.mac)
            && state.following.get(&mac) == Some(&allocation.address)
        {
            state.following.remove(&mac);
        }
    }

    /// Makes everything that follows from the layout anew.
    pub(super) fn rebuild(&mut self) {
        self.rebuild_pools();
        self.rebuild_slices();
        let taken: Vec<(Space, Address, Option<Arc<str>>)> = self
            .spaces
            .iter()
            .flat_map(|(space, state)| {
                let entries = state.entries.iter().map(|(address, entry)| {
                    (
                        space.clone(),
                        *address,
                        Some(Arc::clone(&entry.allocation().pool)),
                    )
                });
                let free = |address: &&Address| !state.entries.contains_key(*address);
                let reserved = state.reserved.keys().filter(free);
                entries.chain(reserved.map(|address| (space.clone(), *address, None)))
            })
            .collect();
        for (space, address, pool) in taken {
            self.occupy(&space, address);
            let counted = pool.and_then(|pool| self.pools.get_mut(&pool));
            let entry = self
                .spaces
                .get(&space)
                .and_then(|s| s.entries.get(&address));
            if let (Some(pool), Some(entry)) = (counted, entry) {
                pool.count(entry.allocation());
            }
        }
    }

    /// Takes an address from every range of its space that contains it.
    fn occupy(&mut self, space: &Space, address: Address) {
        let spans = self.spaces.get(space).map(|state| &state.spans);
        for span in spans.into_iter().flat_map(|spans| spans.around(address)) {
            if let Some(pool) = self.pools.get_mut(&span.pool) {
                pool.take(span.slot, address);
            }
        }
    }

    /// Gives it back to them, unless it is reserved.
    fn vacate(&mut self, space: &Space, address: Address) {
        let Some(state) = self.spaces.get(space) else {
            return;
        };
        if state.reserved.contains_key(&address) {
            return;
        }
        for span in state.spans.around(address) {
            if let Some(pool) = self.pools.get_mut(&span.pool) {
                pool.give_back(span.slot, address);
            }
        }
    }
}

fn holding(allocation: &Allocation) -> HoldingKey {
    HoldingKey {
        holder: allocation.holder.clone(),
        network: allocation.network.clone(),
        interface: Arc::clone(&allocation.interface),
    }
}
