//! The entries of the index: committed and pending records.

use std::{collections::HashSet, sync::Arc};

use super::{HoldingKey, Index, PendingWrite, PlanId};
use crate::{Address, Allocation, Holder, Space, Stored, Version};

/// The entry of an allocated address.
#[derive(Debug)]
pub(super) enum IndexEntry {
    /// The record as stored in the ledger.
    Committed(Arc<Stored>),
    /// A record with a pending write.
    Pending(Box<PendingRecord>),
}

/// A record with a pending write.
#[derive(Debug)]
pub(super) struct PendingRecord {
    plan: PlanId,
    /// The record after the write.
    desired: Allocation,
    /// The record as stored in the ledger, if there is one.
    recorded: Option<Arc<Stored>>,
}

impl IndexEntry {
    /// Returns the record, after the pending write if there is one.
    pub(super) fn allocation(&self) -> &Allocation {
        match self {
            Self::Committed(stored) => &stored.allocation,
            Self::Pending(pending) => &pending.desired,
        }
    }

    /// Returns the version of the record, unless a write is pending.
    pub(super) fn version(&self) -> Option<Version> {
        match self {
            Self::Committed(stored) => Some(stored.version),
            Self::Pending(_) => None,
        }
    }

    /// Returns the plan whose write is pending.
    pub(super) fn plan(&self) -> Option<PlanId> {
        match self {
            Self::Committed(_) => None,
            Self::Pending(pending) => Some(pending.plan),
        }
    }

    /// Returns the record with its version, unless a write is pending.
    pub(super) fn committed(&self) -> Option<&Arc<Stored>> {
        match self {
            Self::Committed(stored) => Some(stored),
            Self::Pending(_) => None,
        }
    }

    /// Returns the record as stored in the ledger, if there is one.
    pub(super) fn recorded(&self) -> Option<&Stored> {
        match self {
            Self::Committed(stored) => Some(stored),
            Self::Pending(pending) => pending.recorded.as_deref(),
        }
    }

    /// Returns the record of a holder. A pending write for another holder does not hide the committed
    /// record.
    pub(super) fn of(&self, holder: &Holder) -> Option<&Allocation> {
        let recorded = self.recorded().map(|stored| &stored.allocation);
        let both = [Some(self.allocation()), recorded].into_iter().flatten();
        both.into_iter().find(|one| one.holder == *holder)
    }

    /// Returns the committed record if the pending write moves the address to another holder or
    /// interface.
    fn superseded(&self) -> Option<&Allocation> {
        let Self::Pending(pending) = self else {
            return None;
        };
        let recorded = &pending.recorded.as_ref()?.allocation;
        (holding_key(recorded) != holding_key(&pending.desired)).then_some(recorded)
    }

    fn into_recorded(self) -> Option<Arc<Stored>> {
        match self {
            Self::Committed(stored) => Some(stored),
            Self::Pending(pending) => pending.recorded,
        }
    }
}

impl Index {
    /// Applies a created or updated record; ignores a version that is not newer than the known one.
    pub fn apply(&mut self, stored: Stored) {
        let space = stored.allocation.space.clone();
        let address = stored.allocation.address;
        let known = self.entry(&space, address).and_then(IndexEntry::recorded);
        if known.is_some_and(|known| known.version >= stored.version) {
            return;
        }
        let stored = Arc::new(stored);
        self.update_entry(&space, address, |entry| match entry {
            // If the committed record equals the pending one, the write has succeeded; its writer will
            // learn so too.
            Some(IndexEntry::Pending(pending)) if pending.desired != stored.allocation => {
                Some(IndexEntry::Pending(Box::new(PendingRecord {
                    recorded: Some(stored),
                    ..*pending
                })))
            }
            _ => Some(IndexEntry::Committed(stored)),
        });
    }

    /// Applies the deletion of a record whose last version was this one.
    pub fn apply_delete(&mut self, space: &Space, address: Address, version: Version) {
        let known = self.entry(space, address).and_then(IndexEntry::recorded);
        if known.is_none_or(|known| known.version > version) {
            return;
        }
        self.update_entry(space, address, |entry| match entry {
            Some(IndexEntry::Pending(pending)) => {
                Some(IndexEntry::Pending(Box::new(PendingRecord {
                    recorded: None,
                    ..*pending
                })))
            }
            _ => None,
        });
    }

    /// Replaces all records with the initial list of a watch, which continues from this version.
    pub fn replace(&mut self, all: Vec<Stored>, version: Version) {
        self.prune(&all, version);
        for stored in all {
            self.apply(stored);
        }
        self.observed_revision = version;
    }

    /// Deletes all records that are not listed, as of this version.
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

    /// Adds a pending write of a record.
    pub(super) fn mark_pending(
        &mut self,
        desired: Allocation,
        plan: PlanId,
        pending_writes: &mut Vec<PendingWrite>,
    ) {
        let (space, address) = (desired.space.clone(), desired.address);
        self.update_entry(&space, address, |entry| {
            Some(IndexEntry::Pending(Box::new(PendingRecord {
                plan,
                desired,
                recorded: entry.and_then(IndexEntry::into_recorded),
            })))
        });
        pending_writes.push(PendingWrite { space, address });
    }

    /// Resolves a pending write: committed with a version, or aborted.
    pub(super) fn resolve(
        &mut self,
        space: &Space,
        address: Address,
        plan: PlanId,
        version: Option<Version>,
    ) {
        if self.entry(space, address).and_then(IndexEntry::plan) != Some(plan) {
            return;
        }
        let past = version.is_some_and(|version| self.is_compacted(version));
        self.update_entry(space, address, |entry| {
            let IndexEntry::Pending(pending) = entry? else {
                return None;
            };
            let PendingRecord {
                desired, recorded, ..
            } = *pending;
            let Some(version) = version else {
                return recorded.map(IndexEntry::Committed);
            };
            // The watch has delivered both the write and the deletion after it.
            if past && recorded.is_none() {
                return None;
            }
            let newer = recorded.filter(|known| known.version > version);
            let written = || {
                Arc::new(Stored {
                    allocation: desired,
                    version,
                })
            };
            Some(IndexEntry::Committed(newer.unwrap_or_else(written)))
        });
    }

    pub(super) fn entry(&self, space: &Space, address: Address) -> Option<&IndexEntry> {
        self.spaces.get(space)?.entries.get(&address)
    }

    /// Creates, changes or removes an entry. Every change goes through here, so that derived state
    /// stays consistent with the entries.
    fn update_entry(
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
            self.unlink(old.allocation());
            old.superseded()
                .into_iter()
                .for_each(|one| self.remove_holding(one));
        }
        let was_taken = old.is_some();
        match make(old) {
            Some(entry) => {
                self.link(entry.allocation());
                entry
                    .superseded()
                    .into_iter()
                    .for_each(|one| self.add_holding(one));
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

    /// Adds an address to those of its holder.
    fn add_holding(&mut self, allocation: &Allocation) {
        let at = (allocation.space.clone(), allocation.address);
        self.holdings
            .entry(holding_key(allocation))
            .or_default()
            .push(at);
    }

    fn remove_holding(&mut self, allocation: &Allocation) {
        let key = holding_key(allocation);
        if let Some(held) = self.holdings.get_mut(&key) {
            held.retain(|(space, address)| {
                (space, *address) != (&allocation.space, allocation.address)
            });
            if held.is_empty() {
                self.holdings.remove(&key);
            }
        }
    }

    fn link(&mut self, allocation: &Allocation) {
        self.add_holding(allocation);
        if let Some(pool) = self.pools.get_mut(&allocation.pool) {
            pool.count(allocation);
        }
        if let Some(mac) = allocation.mac {
            let state = self.spaces.entry(allocation.space.clone()).or_default();
            state.derived_macs.insert(mac, allocation.address);
        }
    }

    fn unlink(&mut self, allocation: &Allocation) {
        self.remove_holding(allocation);
        if let Some(pool) = self.pools.get_mut(&allocation.pool) {
            pool.discount(allocation);
        }
        let state = self.spaces.get_mut(&allocation.space);
        if let (Some(state), Some(mac)) = (state, allocation.mac)
            && state.derived_macs.get(&mac) == Some(&allocation.address)
        {
            state.derived_macs.remove(&mac);
        }
    }

    /// Rebuilds all state that is derived from the configuration.
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
                let others = state.reserved.keys().chain(state.foreign.keys());
                let others = others.filter(free);
                entries.chain(others.map(|address| (space.clone(), *address, None)))
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

    /// Marks an address as allocated in every range of its space that contains it.
    pub(super) fn occupy(&mut self, space: &Space, address: Address) {
        let spans = self.spaces.get(space).map(|state| &state.spans);
        for span in spans.into_iter().flat_map(|spans| spans.around(address)) {
            if let Some(pool) = self.pools.get_mut(&span.pool) {
                pool.allocate(span.slot, address);
            }
        }
    }

    /// Marks an address as free in those ranges, unless it is reserved or in use by another allocator.
    pub(super) fn vacate(&mut self, space: &Space, address: Address) {
        let Some(state) = self.spaces.get(space) else {
            return;
        };
        if state.reserved.contains_key(&address) || state.foreign.contains_key(&address) {
            return;
        }
        for span in state.spans.around(address) {
            if let Some(pool) = self.pools.get_mut(&span.pool) {
                pool.release(span.slot, address);
            }
        }
    }
}

fn holding_key(allocation: &Allocation) -> HoldingKey {
    HoldingKey {
        holder: allocation.holder.clone(),
        network: allocation.network.clone(),
        interface: Arc::clone(&allocation.interface),
    }
}
