//! The slices of the index: recorded slices and pending claims.
//!
//! As with addresses, the name of a slice's record is the lock: a claim in this index only keeps two
//! nodes from claiming the same slice at once. Unresolved claims expire after [`CLAIM_TTL`].

use core::time::Duration;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use super::{Index, pools::IndexedPool, slice_map::SliceMap};
use crate::{Address, Slice, Timestamp, Version};

/// The lifetime of a claim: longer than a request to the API server can take.
const CLAIM_TTL: Duration = Duration::from_secs(60);

/// Slices and claims, by the names of their records.
#[derive(Debug, Default)]
pub(super) struct Slices {
    pub(super) supported: bool,
    recorded: BTreeMap<String, (Slice, Version)>,
    claims: BTreeMap<String, SliceClaim>,
}

/// A slice that is being recorded.
#[derive(Debug)]
struct SliceClaim {
    slice: Slice,
    since: Timestamp,
}

/// The usage of a pool's slices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SlicingUsage {
    /// The number of slices with allocatable addresses.
    pub all: u128,
    /// The number of slices that are owned by a node or being claimed.
    pub claimed: u128,
    /// The number of free addresses outside of all nodes' slices.
    pub free_outside: u128,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SliceUsage {
    pub slice: Slice,
    /// The number of allocatable addresses.
    pub capacity: u128,
    /// The number of free addresses.
    pub free: u128,
}

impl Index {
    /// Enables allocation from sliced pools to pods whose node is known. The caller must record the
    /// slices that [`AllocationError::NeedsSlice`](crate::AllocationError::NeedsSlice)
    /// names, and apply them.
    pub fn enable_slices(&mut self) {
        self.slices.supported = true;
    }

    /// Returns true if allocation from sliced pools is enabled.
    pub fn supports_slices(&self) -> bool {
        self.slices.supported
    }

    /// Applies a recorded slice.
    pub fn apply_slice(&mut self, slice: Slice, version: Version) {
        let name = slice.record_name();
        let known = self.slices.recorded.get(&name);
        if known.is_some_and(|(_, known)| *known >= version) {
            return;
        }
        self.generation += 1;
        self.slices.claims.remove(&name);
        self.slices.recorded.insert(name, (slice.clone(), version));
        self.slices.refresh_slot(&mut self.pools, &slice);
    }

    /// Applies the deletion of a slice's record whose last version was this one.
    pub fn apply_slice_delete(&mut self, name: &str, version: Version) {
        let known = self.slices.recorded.get(name);
        if known.is_none_or(|(_, known)| *known > version) {
            return;
        }
        if let Some((slice, _)) = self.slices.recorded.remove(name) {
            self.generation += 1;
            self.slices.refresh_slot(&mut self.pools, &slice);
        }
    }

    /// Replaces all slices with a list as of this version.
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

    /// Drops the claim of a slice that was not recorded, so that it can be claimed again.
    pub fn drop_claim(&mut self, claim: &Slice) {
        let name = claim.record_name();
        if self
            .slices
            .claims
            .get(&name)
            .is_some_and(|c| c.slice == *claim)
        {
            self.slices.claims.remove(&name);
            self.slices.refresh_slot(&mut self.pools, claim);
        }
    }

    /// Returns all recorded slices with their versions, ordered by name.
    pub fn slices(&self) -> impl Iterator<Item = (&Slice, Version)> {
        let recorded = self.slices.recorded.values();
        recorded.map(|(slice, version)| (slice, *version))
    }

    /// Returns the recorded slices of a pool in the order of their addresses, mismatched ones included.
    pub fn slices_of(&self, pool: &str) -> Vec<&Slice> {
        let of_pool = self.slices().map(|(slice, _)| slice);
        let mut found: Vec<&Slice> = of_pool.filter(|slice| &*slice.pool == pool).collect();
        found.sort_by_key(|slice| slice.window.range().first());
        found
    }

    /// Returns the slices of a pool from which a node allocates.
    #[cfg(test)]
    pub(super) fn slices_of_node(&self, pool: &str, node: &str) -> Vec<&Slice> {
        let mut found = self.slices_of(pool);
        found.retain(|slice| &*slice.node == node && slice.mismatch(&self.pool_config).is_none());
        found
    }

    /// Returns the recorded slices that do not match their pools, because those changed or because
    /// another client wrote the records. Nothing is allocated from them, and they do not block
    /// overlapping slices.
    #[cfg(test)]
    pub(super) fn mismatched_slices(&self) -> Vec<(&Slice, crate::SliceMismatch)> {
        let recorded = self.slices().map(|(slice, _)| slice);
        recorded
            .filter_map(|slice| Some((slice, slice.mismatch(&self.pool_config)?)))
            .collect()
    }

    /// Returns the usage of each slice of a pool, in the order of their addresses.
    pub fn slice_usages(&self, pool: &str) -> Vec<SliceUsage> {
        let Some(state) = self.pools.get(pool) else {
            return Vec::new();
        };
        let mut slices = self.slices_of(pool);
        slices.retain(|slice| slice.mismatch(&self.pool_config).is_none());
        let usage = |slice: &Slice| {
            let window = slice.window.range().numbers();
            let at = state.pool.range_of(slice.window.address)?;
            let numbers = state.ranges.get(at)?;
            Some(SliceUsage {
                slice: slice.clone(),
                capacity: numbers.capacity_within(window),
                free: numbers.free_within(window),
            })
        };
        slices.into_iter().filter_map(usage).collect()
    }

    /// Returns the usage of a pool's slices, or `None` if the pool is unknown or not sliced. Slices of another
    /// controller count as they are.
    pub fn slicing_usage(&self, pool: &str) -> Option<SlicingUsage> {
        let state = self.pools.get(pool)?;
        if let Some(slices) = &state.pool.node_slices {
            let free = state.ranges.first()?;
            let owned = slices.iter().map(|(_, slice)| slice.range().numbers());
            return Some(SlicingUsage {
                all: slices.count() as u128,
                claimed: slices.iter().count() as u128,
                free_outside: owned.fold(free.free(), |left, slice| {
                    left.saturating_sub(free.free_within(slice))
                }),
            });
        }
        state.pool.slicing?;
        let ranges = state.slice_maps.iter().zip(&state.ranges);
        Some(
            ranges.fold(SlicingUsage::default(), |sum, (slice_map, free)| {
                let (all, claimed) = slice_map.count();
                SlicingUsage {
                    all: sum.all.saturating_add(all),
                    claimed: sum.claimed.saturating_add(claimed),
                    free_outside: sum
                        .free_outside
                        .saturating_add(slice_map.free_outside(free)),
                }
            }),
        )
    }

    /// Claims a slice. Returns false if it is already being claimed for the same node.
    pub(super) fn claim(&mut self, slice: &Slice, now: Timestamp) -> bool {
        let name = slice.record_name();
        let known = self.slices.claims.get(&name);
        if known.is_some_and(|claim| claim.slice == *slice) {
            return false;
        }
        let claim = SliceClaim {
            slice: slice.clone(),
            since: now,
        };
        self.slices.claims.insert(name, claim);
        self.slices.refresh_slot(&mut self.pools, slice);
        true
    }

    /// Returns all pending claims with their start times.
    pub(super) fn claims(&self) -> Vec<(Slice, Timestamp)> {
        let claims = self.slices.claims.values();
        claims
            .map(|claim| (claim.slice.clone(), claim.since))
            .collect()
    }

    /// Returns the slices of a pool that are being claimed.
    pub(super) fn claims_of(&self, pool: &str) -> impl Iterator<Item = &Slice> {
        let claims = self.slices.claims.values().map(|claim| &claim.slice);
        claims.filter(move |slice| &*slice.pool == pool)
    }

    /// Drops expired claims.
    pub(super) fn expire_claims(&mut self, now: Timestamp) {
        let claims = self.slices.claims.values();
        let old = claims.filter(|claim| claim.since.plus(CLAIM_TTL) <= now);
        for claim in old.map(|claim| claim.slice.clone()).collect::<Vec<_>>() {
            self.drop_claim(&claim);
        }
    }

    /// Enters all slices into rebuilt pools.
    pub(super) fn rebuild_slices(&mut self) {
        let pool_config = Arc::clone(&self.pool_config);
        let claims = &mut self.slices.claims;
        claims.retain(|_, claim| claim.slice.mismatch(&pool_config).is_none());
        let recorded = self.slices.recorded.values().map(|(slice, _)| slice);
        let claimed = self.slices.claims.values().map(|claim| &claim.slice);
        for slice in recorded.chain(claimed) {
            self.slices.refresh_slot(&mut self.pools, slice);
        }
    }
}

impl Slices {
    /// Updates the slot under a slice's name. A recorded slice of another size leaves the slot without
    /// an owner but taken, because its name exists.
    fn refresh_slot(&self, pools: &mut HashMap<Arc<str>, IndexedPool>, like: &Slice) {
        let name = like.record_name();
        let first = Address::Ip(like.window.range().first()).number();
        let Some((slice_map, size)) =
            slice_map_of(pools, like).filter(|(c, _)| c.is_slot_start(first))
        else {
            return;
        };
        let recorded = self.recorded.get(&name).map(|(slice, _)| slice);
        let owner = recorded.filter(|slice| slice.window.prefix == size);
        let taken = recorded.is_some() || self.claims.contains_key(&name);
        slice_map.set(slice_map.slot(first), taken, owner.map(|slice| &slice.node));
    }
}

/// Returns the slice map that would contain a slice, and the prefix length of its slices.
fn slice_map_of<'p>(
    pools: &'p mut HashMap<Arc<str>, IndexedPool>,
    slice: &Slice,
) -> Option<(&'p mut SliceMap, u8)> {
    let state = pools.get_mut(&slice.pool)?;
    let first = slice.window.range().first();
    let size = state.pool.slice_around(first)?.prefix;
    let at = state.pool.range_of(first)?;
    Some((state.slice_maps.get_mut(at)?, size))
}
