//! The index of a ledger: who holds what, and what is free.
//!
//! ```text
//!   ledger --apply--> Index <--sync-- layout (pools, reservations)
//!                       |
//!        plan: which records does this pod need?   (marks them as in flight)
//!                       |
//!             the caller writes them to the ledger
//!                      / \
//!               confirm   roll_back
//! ```
//!
//! # Invariants
//! - An address of a space has at most one entry, and with it one holder. An entry is held (a record
//!   of the ledger) or in flight (being recorded).
//! - What has an entry, or is reserved, is taken from the free numbers of every range of its space
//!   that contains it: pools of one space may overlap, as ranges with one `network_name` do.
//! - An address that a record holds stays taken though its pool changes or goes.
//!
//! # Guarantees
//! - [`Index::plan`] is all or none: refused, it leaves nothing taken.
//! - The same holder, asking again for the same network and interface, is given the same.
//! - Of two plans that would need one address, at most one has it in flight at a time.

mod contention;
mod entries;
mod plan;
mod pools;
mod query;
mod responses;
mod slice_map;
mod slices;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{Address, Allocation, Holder, NetworkRef, PoolConfig, Space, Stored, Version};
use crate::network::mac::Mac;

use self::{entries::IndexEntry, pools::IndexedPool};
pub use self::{
    plan::{AllocationPlan, Assignment, AttachmentRequest, MacRequest, Rejection, Requester},
    pools::Usage,
    query::IndexedAllocation,
    slices::{SliceUsage, SlicingUsage},
};

/// The index of a ledger. See the module's documentation.
#[derive(Debug, Default)]
pub struct Index {
    layout: Arc<PoolConfig>,
    pools: HashMap<Arc<str>, IndexedPool>,
    spaces: HashMap<Space, SpaceState>,
    holdings: HashMap<HoldingKey, Vec<(Space, Address)>>,
    ready: HashSet<Arc<str>>,
    slices: slices::Slices,
    generation: u64,
    pending_plans: HashMap<PlanId, Vec<PendingWrite>>,
    /// Every write up to here was told by the ledger itself, in its order.
    observed_revision: Version,
    last_plan: u64,
    writers: contention::Writers,
}

/// What a holder has on one interface: the key under which it is found again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct HoldingKey {
    holder: Holder,
    network: NetworkRef,
    interface: Arc<str>,
}

/// What is known of one address space.
#[derive(Debug, Default)]
struct SpaceState {
    entries: HashMap<Address, IndexEntry>,
    /// MACs that follow from addresses, by which they are taken.
    following: HashMap<Mac, Address>,
    /// What is set aside, by its place among the layout's reservations.
    reserved: HashMap<Address, usize>,
    spans: pools::SpanIndex,
}

/// A plan that is being recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PlanId(u64);

/// One record of a plan, as the index has it in flight.
#[derive(Debug)]
struct PendingWrite {
    space: Space,
    address: Address,
}

/// An index that many share. Every use is short and never waits for anything.
#[derive(Debug, Default)]
pub struct SharedIndex(Mutex<Index>);

impl SharedIndex {
    /// The index, for a moment.
    pub fn lock(&self) -> MutexGuard<'_, Index> {
        // What a panic left behind is whole: every change below is made of single steps, and what
        // was in flight is only blocked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Index {
    /// Takes over a layout; does nothing if it is the one that it has. A pool that gives from another
    /// range or serves another network than before is not ready any more: there may be addresses in
    /// use that nothing recorded.
    pub fn sync(&mut self, layout: &Arc<PoolConfig>) {
        if Arc::ptr_eq(&self.layout, layout) {
            return;
        }
        let before = std::mem::replace(&mut self.layout, Arc::clone(layout));
        self.ready.retain(|pool| layout.covers(&before, pool));
        let same = before.pools == layout.pools && before.reservations == layout.reservations;
        if !same {
            self.rebuild();
        }
    }

    /// The layout that it has.
    pub fn pool_config(&self) -> &Arc<PoolConfig> {
        &self.layout
    }

    /// Lets a pool give addresses: everything in use in its ranges is recorded.
    pub fn set_ready(&mut self, pool: &str) {
        self.ready.insert(pool.into());
    }

    /// Lets a pool give nothing any more, until it is ready once more.
    pub fn set_unready(&mut self, pool: &str) {
        self.ready.remove(pool);
    }

    /// Whether a pool gives addresses.
    pub fn is_ready(&self, pool: &str) -> bool {
        self.ready.contains(pool)
    }

    /// A number that grows whenever a record or a slice comes, changes or goes.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Who holds an address: its record, in flight or not.
    pub fn holder_of(&self, space: &Space, address: Address) -> Option<&Allocation> {
        let entry = self.spaces.get(space)?.entries.get(&address)?;
        Some(entry.allocation())
    }

    /// Which allocation a MAC belongs to, recorded by itself or following from an address.
    pub fn holder_of_mac(&self, space: &Space, mac: Mac) -> Option<&Allocation> {
        let state = self.spaces.get(space)?;
        let address = state.carrier_of(Address::Mac(mac));
        state.entries.get(&address).map(IndexEntry::allocation)
    }

    /// What a holder has on one interface of one network.
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

    /// The same as addresses, each with its space.
    fn addresses_of(
        &self,
        holder: &Holder,
        network: &NetworkRef,
        interface: &str,
    ) -> &[(Space, Address)] {
        let holding = HoldingKey {
            holder: holder.clone(),
            network: network.clone(),
            interface: interface.into(),
        };
        self.holdings.get(&holding).map_or(&[], Vec::as_slice)
    }

    /// Every recorded allocation with its version, in no order.
    pub fn recorded(&self) -> impl Iterator<Item = (&Allocation, Version)> {
        let entries = self
            .spaces
            .values()
            .flat_map(|space| space.entries.values());
        entries.filter_map(|entry| Some((entry.allocation(), entry.version()?)))
    }

    /// The same at one moment, to be looked at afterwards without keeping others from the index.
    pub fn snapshot(&self) -> Vec<Arc<Stored>> {
        let entries = self
            .spaces
            .values()
            .flat_map(|space| space.entries.values());
        entries.filter_map(IndexEntry::committed).cloned().collect()
    }

    /// The plan was recorded, each of its writes under this version. What a ledger told meanwhile
    /// counts, where it is newer.
    pub fn commit(&mut self, ticket: PlanId, versions: &[Version]) {
        let marks = self.pending_plans.remove(&ticket).unwrap_or_default();
        for (mark, version) in marks.into_iter().zip(versions) {
            // Also where the ledger told it before: then nothing is in flight any more.
            self.remember_own(*version);
            self.resolve(&mark.space, mark.address, ticket, Some(*version));
        }
    }

    /// The plan was not recorded, for certain: what it took is free again.
    pub fn abort(&mut self, ticket: PlanId) {
        let marks = self.pending_plans.remove(&ticket).unwrap_or_default();
        for mark in marks.into_iter().rev() {
            self.resolve(&mark.space, mark.address, ticket, None);
        }
    }

    fn issue(&mut self) -> PlanId {
        self.last_plan += 1;
        PlanId(self.last_plan)
    }
}
