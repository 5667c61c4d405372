//! The entries of the index: what is held, and what is in flight.

use std::{collections::HashSet, sync::Arc};

use super::{Holding, Index, Mark, Ticket};
use crate::allocation::{Address, Allocation, Holder, Space, Stored, Version};

/// An address that is taken.
#[derive(Debug)]
pub(super) enum Entry {
    /// As the ledger has it.
    Held(Arc<Stored>),
    /// A write of it is under way.
    Flying(Box<Flying>),
}

/// A record on its way to the ledger.
#[derive(Debug)]
pub(super) struct Flying {
    ticket: Ticket,
    /// As it is to be.
    wanted: Allocation,
    /// As the ledger has it, if it has one.
    recorded: Option<Arc<Stored>>,
}

impl Entry {
    /// The record: as it is to be, if that is in flight.
    pub(super) fn allocation(&self) -> &Allocation {
        match self {
            Self::Held(stored) => &stored.allocation,
            Self::Flying(flying) => &flying.wanted,
        }
    }

    /// The version of the record, if nothing is in flight.
    pub(super) fn version(&self) -> Option<Version> {
        match self {
            Self::Held(stored) => Some(stored.version),
            Self::Flying(_) => None,
        }
    }

    /// The plan whose write of it is under way.
    pub(super) fn ticket(&self) -> Option<Ticket> {
        match self {
            Self::Held(_) => None,
            Self::Flying(flying) => Some(flying.ticket),
        }
    }

    /// The record with its version, if nothing is in flight.
    pub(super) fn settled(&self) -> Option<&Arc<Stored>> {
        match self {
            Self::Held(stored) => Some(stored),
            Self::Flying(_) => None,
        }
    }

    /// What the ledger has of it.
    pub(super) fn recorded(&self) -> Option<&Stored> {
        match self {
            Self::Held(stored) => Some(stored),
            Self::Flying(flying) => flying.recorded.as_deref(),
        }
    }

    /// The record as a holder has it: what is in flight for another hides no record of its own.
    pub(super) fn of(&self, holder: &Holder) -> Option<&Allocation> {
        let recorded = self.recorded().map(|stored| &stored.allocation);
        let both = [Some(self.allocation()), recorded].into_iter().flatten();
        both.into_iter().find(|one| one.holder == *holder)
    }

    /// What the ledger has of it, if that is another interface's than what is in flight.
    fn hidden(&self) -> Option<&Allocation> {
        let Self::Flying(flying) = self else {
            return None;
        };
        let recorded = &flying.recorded.as_ref()?.allocation;
        (holding(recorded) != holding(&flying.wanted)).then_some(recorded)
    }

    fn into_recorded(self) -> Option<Arc<Stored>> {
        match self {
            Self::Held(stored) => Some(stored),
            Self::Flying(flying) => flying.recorded,
        }
    }
}

impl Index {
    /// What the ledger has under a name is now this.
    pub fn apply(&mut self, stored: Stored) {
        let space = stored.allocation.space.clone();
        let address = stored.allocation.address;
        let known = self.entry(&space, address).and_then(Entry::recorded);
        if known.is_some_and(|known| known.version >= stored.version) {
            return;
        }
        let stored = Arc::new(stored);
        self.change(&space, address, |entry| match entry {
            // The same record is written: whoever wrote it will hear of that, too.
            Some(Entry::Flying(flying)) if flying.wanted != stored.allocation => {
                Some(Entry::Flying(Box::new(Flying {
                    recorded: Some(stored),
                    ..*flying
                })))
            }
            _ => Some(Entry::Held(stored)),
        });
    }

    /// The ledger has no record of this name any more; the last had this version.
    pub fn apply_gone(&mut self, space: &Space, address: Address, version: Version) {
        let known = self.entry(space, address).and_then(Entry::recorded);
        if known.is_none_or(|known| known.version > version) {
            return;
        }
        self.change(space, address, |entry| match entry {
            Some(Entry::Flying(flying)) => Some(Entry::Flying(Box::new(Flying {
                recorded: None,
                ..*flying
            }))),
            _ => None,
        });
    }

    /// The ledger has exactly these records, as of this version, says who follows it from there on.
    pub fn replace(&mut self, all: Vec<Stored>, version: Version) {
        self.lose_all_but(&all, version);
        for stored in all {
            self.apply(stored);
        }
        self.told = version;
    }

    /// As of this version the ledger has no other records than these.
    pub(super) fn lose_all_but(&mut self, all: &[Stored], version: Version) {
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
            self.apply_gone(&space, address, version);
        }
    }

    /// Puts a record in flight.
    pub(super) fn launch(&mut self, wanted: Allocation, ticket: Ticket, marks: &mut Vec<Mark>) {
        let (space, address) = (wanted.space.clone(), wanted.address);
        self.change(&space, address, |entry| {
            Some(Entry::Flying(Box::new(Flying {
                ticket,
                wanted,
                recorded: entry.and_then(Entry::into_recorded),
            })))
        });
        marks.push(Mark { space, address });
    }

    /// A record is in flight no more: recorded under a version, or not at all.
    pub(super) fn settle(
        &mut self,
        space: &Space,
        address: Address,
        ticket: Ticket,
        version: Option<Version>,
    ) {
        if self.entry(space, address).and_then(Entry::ticket) != Some(ticket) {
            return;
        }
        let past = version.is_some_and(|version| self.is_past(version));
        self.change(space, address, |entry| {
            let Entry::Flying(flying) = entry? else {
                return None;
            };
            let Flying {
                wanted, recorded, ..
            } = *flying;
            let Some(version) = version else {
                return recorded.map(Entry::Held);
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
            Some(Entry::Held(newer.unwrap_or_else(written)))
        });
    }

    pub(super) fn entry(&self, space: &Space, address: Address) -> Option<&Entry> {
        self.spaces.get(space)?.entries.get(&address)
    }

    /// The one way in which an entry comes, changes and goes: everything that is derived from
    /// entries follows.
    fn change(
        &mut self,
        space: &Space,
        address: Address,
        make: impl FnOnce(Option<Entry>) -> Option<Entry>,
    ) {
        self.changes += 1;
        let old = self
            .spaces
            .get_mut(space)
            .and_then(|state| state.entries.remove(&address));
        if let Some(old) = &old {
            self.detach(old.allocation());
            old.hidden().into_iter().for_each(|one| self.let_go(one));
        }
        let was_taken = old.is_some();
        match make(old) {
            Some(entry) => {
                self.attach(entry.allocation());
                entry.hidden().into_iter().for_each(|one| self.hold(one));
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

fn holding(allocation: &Allocation) -> Holding {
    Holding {
        holder: allocation.holder.clone(),
        network: allocation.network.clone(),
        interface: Arc::clone(&allocation.interface),
    }
}
