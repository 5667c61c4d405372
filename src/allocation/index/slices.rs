//! The slices of the index: which node draws from where, and which claims are under way.
//!
//! As with addresses, the name of a slice's record is the lock: a claim that is marked here only
//! keeps two nodes of one index from running for the same slice. A mark that nobody takes back is
//! forgotten after [`CLAIM`] seconds.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use super::{Index, pools::IndexedPool, slice_map::SliceMap};
use crate::allocation::{Address, Slice, SliceMismatch, Timestamp, Version};

/// For how many seconds a claim is waited for: longer than a request to the API server may take.
const CLAIM: i64 = 60;

/// What is known of slices, by the names of their records.
#[derive(Debug, Default)]
pub(super) struct Slices {
    pub(super) supported: bool,
    recorded: BTreeMap<String, (Slice, Version)>,
    claims: BTreeMap<String, Claim>,
}

/// A slice that is to be recorded.
#[derive(Debug)]
struct Claim {
    slice: Slice,
    since: Timestamp,
}

/// How far a pool is cut up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SlicingUsage {
    /// How many slices there are that have something to give.
    pub all: u128,
    /// How many of them are a node's, or are being claimed for one.
    pub claimed: u128,
    /// How many addresses are free and in no node's slice.
    pub free_outside: u128,
}

/// How full a slice is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SliceUsage {
    /// The slice.
    pub slice: Slice,
    /// How many addresses it can give.
    pub capacity: u128,
    /// How many of them are free.
    pub free: u128,
}

impl Index {
    /// From now on pools that are cut give to pods whose node is known: somebody records the slices
    /// that [`Refusal::NeedsSlice`](crate::allocation::Refusal::NeedsSlice) names, and tells of them.
    pub fn enable_slices(&mut self) {
        self.slices.supported = true;
    }

    /// Whether somebody does.
    pub fn supports_slices(&self) -> bool {
        self.slices.supported
    }

    /// This slice is recorded, in this version.
    pub fn apply_slice(&mut self, slice: Slice, version: Version) {
        let name = slice.record_name();
        let known = self.slices.recorded.get(&name);
        if known.is_some_and(|(_, known)| *known >= version) {
            return;
        }
        self.generation += 1;
        self.slices.claims.remove(&name);
        self.slices.recorded.insert(name, (slice.clone(), version));
        self.slices.settle(&mut self.pools, &slice);
    }

    /// No slice is recorded under this name any more; the last had this version.
    pub fn apply_slice_delete(&mut self, name: &str, version: Version) {
        let known = self.slices.recorded.get(name);
        if known.is_none_or(|(_, known)| *known > version) {
            return;
        }
        if let Some((slice, _)) = self.slices.recorded.remove(name) {
            self.generation += 1;
            self.slices.settle(&mut self.pools, &slice);
        }
    }

    /// Exactly these slices are recorded, as of this version.
    pub fn replace_slices(&mut self, all: Vec<(Slice, Version)>, version: Version) {
        let listed: BTreeSet<String> = all.iter().map(|(slice, _)| slice.record_name()).collect();
        let recorded = self.slices.recorded.keys();
        let gone: Vec<String> = recorded.filter(|n| !listed.contains(*n)).cloned().collect();
        for name in gone {
            self.apply_slice_delete(&name, version);
        }
        for (slice, version) in all {
            self.apply_slice(slice, version);
        }
    }

    /// A slice that a plan asked for was not recorded: it may be claimed by others.
    pub fn drop_claim(&mut self, claim: &Slice) {
        let name = claim.record_name();
        if self
            .slices
            .claims
            .get(&name)
            .is_some_and(|c| c.slice == *claim)
        {
            self.slices.claims.remove(&name);
            self.slices.settle(&mut self.pools, claim);
        }
    }

    /// All recorded slices with their versions, by name.
    pub fn slices(&self) -> impl Iterator<Item = (&Slice, Version)> {
        let recorded = self.slices.recorded.values();
        recorded.map(|(slice, version)| (slice, *version))
    }

    /// The recorded slices of a pool, in the order of their addresses, with those that do not fit.
    pub fn slices_of(&self, pool: &str) -> Vec<&Slice> {
        let of_pool = self.slices().map(|(slice, _)| slice);
        let mut found: Vec<&Slice> = of_pool.filter(|slice| &*slice.pool == pool).collect();
        found.sort_by_key(|slice| slice.window.range().first());
        found
    }

    /// Those from which a node draws.
    pub fn slices_of_node(&self, pool: &str, node: &str) -> Vec<&Slice> {
        let mut found = self.slices_of(pool);
        found.retain(|slice| &*slice.node == node && slice.mismatch(&self.layout).is_none());
        found
    }

    /// The recorded slices that are none of their pools', because these have changed since or because
    /// somebody else has written them: nothing is given from them, and what overlaps them is given
    /// all the same.
    pub fn mismatched_slices(&self) -> Vec<(&Slice, SliceMismatch)> {
        let recorded = self.slices().map(|(slice, _)| slice);
        recorded
            .filter_map(|slice| Some((slice, slice.mismatch(&self.layout)?)))
            .collect()
    }

    /// How full the slices of a pool are, in the order of their addresses.
    pub fn slice_usages(&self, pool: &str) -> Vec<SliceUsage> {
        let Some(state) = self.pools.get(pool) else {
            return Vec::new();
        };
        let mut slices = self.slices_of(pool);
        slices.retain(|slice| slice.mismatch(&self.layout).is_none());
        let usage = |slice: &Slice| {
            let (first, last) = bounds(slice);
            let at = state.pool.range_of(slice.window.address)?;
            let numbers = state.ranges.get(at)?;
            Some(SliceUsage {
                slice: slice.clone(),
                capacity: numbers.capacity_within(first, last),
                free: numbers.free_within(first, last),
            })
        };
        slices.into_iter().filter_map(usage).collect()
    }

    /// How far a pool is cut up; `None` if there is no such pool, or it is not cut.
    pub fn slicing_usage(&self, pool: &str) -> Option<SlicingUsage> {
        let state = self.pools.get(pool)?;
        state.pool.slicing?;
        let ranges = state.cells.iter().zip(&state.ranges);
        Some(ranges.fold(SlicingUsage::default(), |sum, (cells, free)| {
            let (all, claimed) = cells.count();
            SlicingUsage {
                all: sum.all.saturating_add(all),
                claimed: sum.claimed.saturating_add(claimed),
                free_outside: sum.free_outside.saturating_add(cells.free_outside(free)),
            }
        }))
    }

    /// Marks a slice as being claimed. `false` if it was so already, for the same node.
    pub(super) fn claim(&mut self, slice: &Slice, now: Timestamp) -> bool {
        let name = slice.record_name();
        let known = self.slices.claims.get(&name);
        if known.is_some_and(|claim| claim.slice == *slice) {
            return false;
        }
        let claim = Claim {
            slice: slice.clone(),
            since: now,
        };
        self.slices.claims.insert(name, claim);
        self.slices.settle(&mut self.pools, slice);
        true
    }

    /// All claims that are under way, with their times.
    pub(super) fn claims(&self) -> Vec<(Slice, Timestamp)> {
        let claims = self.slices.claims.values();
        claims
            .map(|claim| (claim.slice.clone(), claim.since))
            .collect()
    }

    /// The slices of a pool that are being claimed.
    pub(super) fn claims_of(&self, pool: &str) -> impl Iterator<Item = &Slice> {
        let claims = self.slices.claims.values().map(|claim| &claim.slice);
        claims.filter(move |slice| &*slice.pool == pool)
    }

    /// Forgets the claims that nobody came back from.
    pub(super) fn expire_claims(&mut self, now: Timestamp) {
        let claims = self.slices.claims.values();
        let old = claims.filter(|claim| claim.since.plus(CLAIM) <= now);
        for claim in old.map(|claim| claim.slice.clone()).collect::<Vec<_>>() {
            self.drop_claim(&claim);
        }
    }

    /// Puts all slices into pools that are made anew.
    pub(super) fn rebuild_slices(&mut self) {
        let layout = Arc::clone(&self.layout);
        let claims = &mut self.slices.claims;
        claims.retain(|_, claim| claim.slice.mismatch(&layout).is_none());
        let recorded = self.slices.recorded.values().map(|(slice, _)| slice);
        let claimed = self.slices.claims.values().map(|claim| &claim.slice);
        for slice in recorded.chain(claimed) {
            self.slices.settle(&mut self.pools, slice);
        }
    }
}

impl Slices {
    /// Makes the cell under a slice's name what is known of that name. A slice of another size leaves
    /// its cell without an owner, but not to be claimed: the name is taken.
    fn settle(&self, pools: &mut HashMap<Arc<str>, IndexedPool>, like: &Slice) {
        let name = like.record_name();
        let first = Address::Ip(like.window.range().first()).number();
        let Some((cells, size)) = cells_of(pools, like).filter(|(c, _)| c.begins_with(first))
        else {
            return;
        };
        let recorded = self.recorded.get(&name).map(|(slice, _)| slice);
        let owner = recorded.filter(|slice| slice.window.prefix == size);
        let taken = recorded.is_some() || self.claims.contains_key(&name);
        cells.set(cells.place(first), taken, owner.map(|slice| &slice.node));
    }
}

/// The cells among which a slice would be one, and the length of the prefix that it would have.
fn cells_of<'p>(
    pools: &'p mut HashMap<Arc<str>, IndexedPool>,
    slice: &Slice,
) -> Option<(&'p mut SliceMap, u8)> {
    let state = pools.get_mut(&slice.pool)?;
    let first = slice.window.range().first();
    let size = state.pool.slice_around(first)?.prefix;
    let at = state.pool.range_of(first)?;
    Some((state.cells.get_mut(at)?, size))
}

/// The first and the last number of a slice.
fn bounds(slice: &Slice) -> (u128, u128) {
    let window = slice.window.range();
    let [first, last] = [window.first(), window.last()].map(|ip| Address::Ip(ip).number());
    (first, last)
}
