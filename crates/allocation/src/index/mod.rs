//! The in-memory index of the ledger: holders of addresses, and free addresses.
//!
//! ```text
//!   ledger --apply--> Index <--synced-- PoolConfig (pools, reservations)
//!                       |
//!           plan: assignments and writes   (the writes are pending)
//!                       |
//!          the caller makes the writes to the ledger
//!                      / \
//!                 commit  abort
//! ```
//!
//! # Invariants
//! - An address of a space has at most one entry, and so at most one holder. An entry is committed (a
//!   record of the ledger) or pending (being written).
//! - An address with an entry or a reservation, or that another allocator has given, is not free in any
//!   range of its space that contains it: pools of one space may overlap, like Whereabouts ranges with one
//!   `network_name`.
//! - A recorded address stays allocated when its pool changes or is removed.
//!
//! # Guarantees
//! - [`SyncedIndex::plan`] is atomic: when it fails, nothing is left allocated.
//! - A holder that requests addresses again for the same network and interface gets the same ones.
//! - An address is pending in at most one plan at a time.

mod contention;
mod entries;
mod foreign;
mod plan;
mod pools;
mod query;
mod responses;
mod slice_map;
mod slices;
mod synced;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    Address, Allocation, DesignatedHolder, Holder, NetworkRef, PoolConfig, Space, Stored, Version,
};
use nadmit_cni::mac::Mac;

use self::{entries::IndexEntry, pools::IndexedPool};
pub use self::{
    foreign::{AddressGiver, ForeignUse},
    plan::{AllocationPlan, Assignment, AttachmentRequest, MacRequest, Rejection, Requester},
    pools::Usage,
    query::IndexedAllocation,
    slices::{SliceUsage, SlicingUsage},
    synced::{IndexGuard, SyncedIndex},
};

/// The index of a ledger. See the module documentation.
#[derive(Debug, Default)]
pub struct Index {
    pool_config: Arc<PoolConfig>,
    pools: HashMap<Arc<str>, IndexedPool>,
    spaces: HashMap<Space, SpaceState>,
    /// The indexes of reservations in the configuration, by namespace and holder.
    reservations: HashMap<(Arc<str>, DesignatedHolder), Vec<usize>>,
    holdings: HashMap<HoldingKey, Vec<(Space, Address)>>,
    ready: HashSet<Arc<str>>,
    slices: slices::Slices,
    generation: u64,
    pending_plans: HashMap<PlanId, Vec<PendingWrite>>,
    /// The highest revision delivered by the watch of the ledger, in order and without gaps.
    observed_revision: Version,
    last_plan: u64,
    contention: contention::Contention,
    foreign: foreign::ForeignUses,
}

/// The key of a holder's addresses: holder, network and interface.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct HoldingKey {
    holder: Holder,
    network: NetworkRef,
    interface: Arc<str>,
}

/// The state of one address space.
#[derive(Debug, Default)]
struct SpaceState {
    entries: HashMap<Address, IndexEntry>,
    /// Derived MACs that are recorded with an address, with that address.
    derived_macs: HashMap<Mac, Address>,
    /// Reserved addresses, with the index of the reservation in the configuration.
    reserved: HashMap<Address, usize>,
    /// Addresses that other allocators have given.
    foreign: HashMap<Address, ForeignUse>,
    spans: pools::SpanIndex,
}

/// The identifier of a plan whose writes are pending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PlanId(u64);

/// The address of a pending write of a plan.
#[derive(Debug)]
struct PendingWrite {
    space: Space,
    address: Address,
}

/// A shared index. The lock is held only briefly and never across an await point or I/O.
#[derive(Debug, Default)]
pub struct SharedIndex(Mutex<Index>);

impl SharedIndex {
    /// Locks the index, to read it or to apply what the ledger says. Plans need [`Self::synced`].
    pub fn lock(&self) -> MutexGuard<'_, Index> {
        // The index is consistent even after a panic: changes consist of single steps, and a pending
        // write that is left behind only blocks its address.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Index {
    fn sync(&mut self, pool_config: &Arc<PoolConfig>) {
        if Arc::ptr_eq(&self.pool_config, pool_config) {
            return;
        }
        let before = std::mem::replace(&mut self.pool_config, Arc::clone(pool_config));
        self.ready
            .retain(|pool| pool_config.is_covered_by(&before, pool));
        let same =
            before.pools == pool_config.pools && before.reservations == pool_config.reservations;
        if !same {
            self.rebuild();
        }
    }

    /// Returns the current configuration.
    pub fn pool_config(&self) -> &Arc<PoolConfig> {
        &self.pool_config
    }

    /// Marks a pool as ready to allocate: all addresses in use in its ranges are recorded.
    pub fn set_ready(&mut self, pool: &str) {
        self.ready.insert(pool.into());
    }

    /// Marks a pool as not ready, so that nothing is allocated from it.
    pub fn set_unready(&mut self, pool: &str) {
        self.ready.remove(pool);
    }

    /// Returns true if a pool is ready to allocate.
    pub fn is_ready(&self, pool: &str) -> bool {
        self.ready.contains(pool)
    }

    /// Returns a number that grows with every change of a record or a slice.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Returns the record of an address, committed or pending.
    pub fn holder_of(&self, space: &Space, address: Address) -> Option<&Allocation> {
        let entry = self.spaces.get(space)?.entries.get(&address)?;
        Some(entry.allocation())
    }

    /// Returns the allocation of a MAC, recorded by itself or derived from an address.
    pub fn holder_of_mac(&self, space: &Space, mac: Mac) -> Option<&Allocation> {
        let state = self.spaces.get(space)?;
        let address = state.recorded_address(Address::Mac(mac));
        state.entries.get(&address).map(IndexEntry::allocation)
    }

    /// Returns the allocations of a holder on one interface of one network.
    pub fn held_by(
        &self,
        holder: &Holder,
        network: &NetworkRef,
        interface: &str,
    ) -> Vec<&Allocation> {
        let addresses = self.addresses_of(holder, network, interface).iter();
        addresses
            .filter_map(|(space, address)| self.entry(space, *address)?.of(holder))
            .collect()
    }

    /// Returns the addresses of a holder on one interface, each with its space.
    fn addresses_of(
        &self,
        holder: &Holder,
        network: &NetworkRef,
        interface: &str,
    ) -> &[(Space, Address)] {
        let key = HoldingKey {
            holder: holder.clone(),
            network: network.clone(),
            interface: interface.into(),
        };
        self.holdings.get(&key).map_or(&[], Vec::as_slice)
    }

    /// Returns all committed allocations with their versions, in arbitrary order.
    pub fn recorded(&self) -> impl Iterator<Item = (&Allocation, Version)> {
        let entries = self
            .spaces
            .values()
            .flat_map(|space| space.entries.values());
        entries.filter_map(|entry| Some((entry.allocation(), entry.version()?)))
    }

    /// Returns a snapshot of all committed allocations, to be read without holding the lock.
    pub fn snapshot(&self) -> Vec<Arc<Stored>> {
        let entries = self
            .spaces
            .values()
            .flat_map(|space| space.entries.values());
        entries.filter_map(IndexEntry::committed).cloned().collect()
    }

    /// Commits a plan whose writes succeeded with these versions, unless the watch has already
    /// delivered newer ones.
    pub fn commit(&mut self, plan: PlanId, versions: &[Version]) {
        let pending_writes = self.pending_plans.remove(&plan).unwrap_or_default();
        for (write, version) in pending_writes.into_iter().zip(versions) {
            // Even if the watch delivered it before, it is no longer pending.
            self.remember_local_write(*version);
            self.resolve(&write.space, write.address, plan, Some(*version));
        }
    }

    /// Aborts a plan whose writes certainly did not happen; its addresses become free again.
    pub fn abort(&mut self, plan: PlanId) {
        let pending_writes = self.pending_plans.remove(&plan).unwrap_or_default();
        for write in pending_writes.into_iter().rev() {
            self.resolve(&write.space, write.address, plan, None);
        }
    }

    fn next_plan(&mut self) -> PlanId {
        self.last_plan += 1;
        PlanId(self.last_plan)
    }
}
