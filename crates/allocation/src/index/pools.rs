//! The pools of the index: free addresses and usage counts.

use std::{collections::HashMap, sync::Arc};

use super::{Index, slice_map::SliceMap};
use crate::{Address, Allocation, Family, FreeNumbers, Holder, Pool, Reservation};
use nadmit_cni::NumberRange;

/// A pool with its free addresses.
#[derive(Debug)]
pub(super) struct IndexedPool {
    pub(super) pool: Arc<Pool>,
    /// The free addresses of each range.
    pub(super) ranges: Vec<FreeNumbers>,
    /// The slices of each range; empty if the pool is not sliced.
    pub(super) slice_maps: Vec<SliceMap>,
    /// The free MACs that are not derived from addresses.
    pub(super) macs: Option<FreeNumbers>,
    /// The usage of each namespace.
    namespaces: HashMap<Arc<str>, NamespaceUsage>,
    /// The number of allocated addresses, without those recorded for a reservation.
    held: u64,
    /// The number of addresses recorded for a reservation.
    reserved: u64,
}

/// The usage of a pool by one namespace.
#[derive(Debug, Default)]
struct NamespaceUsage {
    /// The number of addresses in all ranges.
    all: u64,
    /// The number of addresses of each range, and of MACs: a pod may have one of each.
    slots: Vec<(PoolSlot, u64)>,
}

impl NamespaceUsage {
    fn of(&self, slot: PoolSlot) -> u64 {
        let found = self.slots.iter().find(|(of, _)| *of == slot);
        found.map_or(0, |(_, count)| *count)
    }

    fn of_mut(&mut self, slot: PoolSlot) -> &mut u64 {
        let at = self.slots.iter().position(|(of, _)| *of == slot);
        let at = at.unwrap_or_else(|| {
            self.slots.push((slot, 0));
            self.slots.len() - 1
        });
        &mut self.slots[at].1
    }

    fn is_empty(&self) -> bool {
        self.all == 0 && self.slots.iter().all(|(_, count)| *count == 0)
    }
}

/// The usage of a pool.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Usage {
    /// The number of allocatable addresses in all ranges; for a pool without ranges, of MACs.
    pub capacity: u128,
    /// The number of allocated addresses, without those recorded for a reservation.
    pub allocated: u64,
    /// The number of reserved addresses that their holders have not taken yet.
    pub reserved: u64,
    /// The number of free addresses.
    pub free: u128,
}

/// A range of a pool, or its MACs, as an interval of numbers.
#[derive(Debug, Clone)]
pub(super) struct PoolSpan {
    family: Family,
    first: u128,
    last: u128,
    pub(super) pool: Arc<str>,
    pub(super) slot: PoolSlot,
}

/// The part of a pool that an address belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PoolSlot {
    Range(usize),
    Macs,
}

/// The spans of one space, indexed by address.
#[derive(Debug, Default)]
pub(super) struct SpanIndex {
    /// The spans, sorted by family and first number.
    spans: Vec<PoolSpan>,
    /// For each span, the highest last number of it and the spans before it of the same family.
    reach: Vec<u128>,
}

impl SpanIndex {
    fn new(mut spans: Vec<PoolSpan>) -> Self {
        spans.sort_by_key(|span| (span.family, span.first));
        let mut reach: Vec<u128> = Vec::with_capacity(spans.len());
        for (index, span) in spans.iter().enumerate() {
            let before = index
                .checked_sub(1)
                .filter(|at| spans[*at].family == span.family);
            let furthest = before.map_or(0, |at| reach[at]);
            reach.push(span.last.max(furthest));
        }
        Self { spans, reach }
    }

    /// Returns the spans that contain an address. Without overlaps only one span is examined.
    pub(super) fn around(&self, address: Address) -> Vec<PoolSpan> {
        let (family, number) = (address.family(), address.number());
        let behind = self
            .spans
            .partition_point(|span| (span.family, span.first) <= (family, number));
        let mut found = Vec::new();
        for at in (0..behind).rev() {
            if self.spans[at].family != family || self.reach[at] < number {
                break;
            }
            if number <= self.spans[at].last {
                found.push(self.spans[at].clone());
            }
        }
        found
    }
}

impl IndexedPool {
    fn new(pool: Arc<Pool>) -> Self {
        let ranges = pool.ranges.iter().map(|range| range.free_numbers());
        let ranges: Vec<FreeNumbers> = ranges.collect();
        Self {
            slice_maps: SliceMap::of(&pool, &ranges),
            ranges,
            macs: pool.macs.as_ref().map(|macs| macs.free_numbers()),
            namespaces: HashMap::new(),
            held: 0,
            reserved: 0,
            pool,
        }
    }

    /// Returns the number of addresses that a namespace holds.
    pub(super) fn held_in(&self, namespace: &str) -> u64 {
        self.namespaces.get(namespace).map_or(0, |usage| usage.all)
    }

    /// Returns the number of MACs of a namespace that have records of their own.
    pub(super) fn macs_in(&self, namespace: &str) -> u64 {
        let usage = self.namespaces.get(namespace);
        usage.map_or(0, |usage| usage.of(PoolSlot::Macs))
    }

    /// Returns the namespaces with the most addresses of a range, or MACs: at most three.
    pub(super) fn largest(&self, slot: PoolSlot) -> Vec<(Arc<str>, u64)> {
        let usages = self.namespaces.iter();
        let mut all: Vec<(Arc<str>, u64)> = usages
            .map(|(namespace, usage)| (Arc::clone(namespace), usage.of(slot)))
            .filter(|(_, count)| *count > 0)
            .collect();
        all.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        all.truncate(3);
        all
    }

    pub(super) fn free(&self, slot: PoolSlot) -> Option<&FreeNumbers> {
        match slot {
            PoolSlot::Range(index) => self.ranges.get(index),
            PoolSlot::Macs => self.macs.as_ref(),
        }
    }

    fn free_mut(&mut self, slot: PoolSlot) -> Option<&mut FreeNumbers> {
        match slot {
            PoolSlot::Range(index) => self.ranges.get_mut(index),
            PoolSlot::Macs => self.macs.as_mut(),
        }
    }

    pub(super) fn allocate(&mut self, slot: PoolSlot, address: Address) {
        if let Some(free) = self.free_mut(slot) {
            free.allocate(address.number());
        }
    }

    pub(super) fn release(&mut self, slot: PoolSlot, address: Address) {
        if let Some(free) = self.free_mut(slot) {
            free.release(address.number());
        }
    }

    pub(super) fn count(&mut self, allocation: &Allocation) {
        let counts = self.counts(allocation.address);
        if counts {
            *self.counter_of(allocation) += 1;
        }
        let slot = self.slot_of(allocation.address);
        let namespace = Arc::clone(allocation.holder.namespace());
        let usage = self.namespaces.entry(namespace).or_default();
        usage.all += u64::from(counts);
        if let Some(slot) = slot {
            *usage.of_mut(slot) += 1;
        }
    }

    pub(super) fn discount(&mut self, allocation: &Allocation) {
        let counts = self.counts(allocation.address);
        if counts {
            let number = self.counter_of(allocation);
            *number = number.saturating_sub(1);
        }
        let slot = self.slot_of(allocation.address);
        let namespace = allocation.holder.namespace();
        let Some(usage) = self.namespaces.get_mut(namespace) else {
            return;
        };
        usage.all = usage.all.saturating_sub(u64::from(counts));
        if let Some(slot) = slot {
            let count = usage.of_mut(slot);
            *count = count.saturating_sub(1);
        }
        if usage.is_empty() {
            self.namespaces.remove(namespace);
        }
    }

    /// Returns the counter that an allocation contributes to.
    fn counter_of(&mut self, allocation: &Allocation) -> &mut u64 {
        match is_unclaimed(allocation) {
            true => &mut self.reserved,
            false => &mut self.held,
        }
    }

    /// Returns the slot of an address; `None` if it lies in no range.
    fn slot_of(&self, address: Address) -> Option<PoolSlot> {
        match address.ip() {
            Some(ip) => self.pool.range_of(ip).map(PoolSlot::Range),
            None => Some(PoolSlot::Macs),
        }
    }

    /// Returns true if an address counts toward usage and limits. MACs of a pool with ranges do not.
    pub(super) fn counts(&self, address: Address) -> bool {
        self.pool.ranges.is_empty() || address.ip().is_some()
    }
}

/// Returns true if the allocation is recorded for a reservation whose holder has not taken it yet.
fn is_unclaimed(allocation: &Allocation) -> bool {
    matches!(allocation.holder, Holder::Reservation { .. })
}

impl Index {
    /// Returns the usage of a pool, or `None` if the pool is unknown.
    pub fn usage(&self, pool: &str) -> Option<Usage> {
        let state = self.pools.get(pool)?;
        let numbers: Vec<&FreeNumbers> = if state.ranges.is_empty() {
            state.macs.iter().collect()
        } else {
            state.ranges.iter().collect()
        };
        let sum = |of: fn(&FreeNumbers) -> u128| {
            numbers
                .iter()
                .fold(0u128, |sum, n| sum.saturating_add(of(n)))
        };
        Some(Usage {
            capacity: sum(FreeNumbers::capacity),
            allocated: state.held,
            reserved: state.reserved + self.unrecorded(state),
            free: sum(FreeNumbers::free),
        })
    }

    /// Returns the free ranges of a range of a pool.
    pub fn free_ranges(&self, pool: &str, range: usize) -> Vec<NumberRange> {
        let state = self.pools.get(pool);
        let numbers = state.and_then(|state| state.ranges.get(range));
        numbers
            .map(|n| n.free_ranges().collect())
            .unwrap_or_default()
    }

    /// Counts the addresses reserved in a pool that have no record yet.
    fn unrecorded(&self, pool: &IndexedPool) -> u64 {
        let Some(state) = self.spaces.get(&pool.pool.space) else {
            return 0;
        };
        let of_pool = |index: usize| {
            let reservation = self.pool_config.reservations.get(index);
            reservation.is_some_and(|(_, name)| name.as_ref() == Some(&pool.pool.name))
        };
        let unrecorded = state.reserved.iter().filter(|(address, index)| {
            pool.counts(**address) && of_pool(**index) && !state.entries.contains_key(*address)
        });
        unrecorded.count() as u64
    }

    /// Counts the addresses reserved by a namespace in a pool that the namespace does not hold yet.
    pub(super) fn reserved_in(&self, pool: &IndexedPool, namespace: &str) -> u64 {
        let Some(state) = self.spaces.get(&pool.pool.space) else {
            return 0;
        };
        let of_namespace = |index: usize| {
            let reservation = self.pool_config.reservations.get(index);
            reservation.is_some_and(|(reservation, name)| {
                *reservation.namespace == *namespace && name.as_ref() == Some(&pool.pool.name)
            })
        };
        let reserved = state.reserved.iter().filter(|(address, index)| {
            pool.counts(**address)
                && of_namespace(**index)
                && !self.holds(&pool.pool, namespace, **address)
        });
        reserved.count() as u64
    }

    fn holds(&self, pool: &Pool, namespace: &str, address: Address) -> bool {
        let record = self.holder_of(&pool.space, address);
        record.is_some_and(|record| **record.holder.namespace() == *namespace)
    }

    /// Returns how many addresses of a pool a namespace would hold or reserve with this version of a
    /// reservation.
    pub fn namespace_usage_with(&self, reservation: &Reservation, pool: &Pool) -> u64 {
        let namespace = &*reservation.namespace;
        let Some(state) = self.pools.get(&pool.name) else {
            return reservation.reserved_addresses(pool).len() as u64;
        };
        let own = reservation.reserved_addresses(pool).into_iter();
        let own = own.filter(|address| state.counts(*address));
        let reserved = self.spaces.get(&pool.space).map(|space| &space.reserved);
        let counted = |address: &Address| {
            let index = reserved.and_then(|reserved| reserved.get(address));
            let other = index.and_then(|index| self.pool_config.reservations.get(*index));
            let is_reserved = other.is_some_and(|(other, _)| *other.namespace == *namespace);
            is_reserved || self.holds(pool, namespace, *address)
        };
        let new = own.filter(|address| !counted(address)).count() as u64;
        state.held_in(namespace) + self.reserved_in(state, namespace) + new
    }

    pub(super) fn rebuild_pools(&mut self) {
        let pool_config = Arc::clone(&self.pool_config);
        let pools = pool_config.pools.values();
        self.pools = pools
            .map(|pool| (Arc::clone(&pool.name), IndexedPool::new(Arc::clone(pool))))
            .collect();
        for state in self.spaces.values_mut() {
            state.spans = SpanIndex::default();
            state.reserved.clear();
        }
        let mut by_space: HashMap<_, Vec<PoolSpan>> = HashMap::new();
        for pool in pool_config.pools.values() {
            let spans = by_space.entry(pool.space.clone()).or_default();
            spans.extend(spans_of(pool));
        }
        for (space, spans) in by_space {
            self.spaces.entry(space).or_default().spans = SpanIndex::new(spans);
        }
        self.reservations.clear();
        for (index, (reservation, pool)) in pool_config.reservations.iter().enumerate() {
            let key = (
                Arc::clone(&reservation.namespace),
                reservation.holder.clone(),
            );
            self.reservations.entry(key).or_default().push(index);
            let pool = pool.as_ref().and_then(|name| pool_config.pools.get(name));
            let Some(pool) = pool else { continue };
            let state = self.spaces.entry(pool.space.clone()).or_default();
            for address in reservation.reserved_addresses(pool) {
                // The first of two reservations of one address wins.
                state.reserved.entry(address).or_insert(index);
            }
        }
    }
}

fn spans_of(pool: &Pool) -> impl Iterator<Item = PoolSpan> {
    let span = |first: Address, last: Address, slot| PoolSpan {
        family: first.family(),
        first: first.number(),
        last: last.number(),
        pool: Arc::clone(&pool.name),
        slot,
    };
    let ranges = pool.ranges.iter().enumerate().map(move |(index, range)| {
        let window = range.subnet.range();
        span(
            window.first().into(),
            window.last().into(),
            PoolSlot::Range(index),
        )
    });
    let macs = pool.macs.as_ref().and_then(|macs| macs.bounds());
    let macs = macs.map(|(first, last)| span(first.into(), last.into(), PoolSlot::Macs));
    ranges.chain(macs).collect::<Vec<_>>().into_iter()
}
