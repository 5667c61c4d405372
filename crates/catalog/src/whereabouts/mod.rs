//! The records of Whereabouts, as the cluster has them: which addresses it has assigned.
//!
//! Copies of the catalog share the records; a change of one `IPPool` copies no other. Where the records
//! are unknown, because they may not be listed, [`WhereaboutsRecords::knows_pools`] is false; a cluster
//! without Whereabouts has none, and they are known.

mod entry_index;
mod held;
mod pool_use;

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use nadmit_allocation::{Pool, Space};
use nadmit_cni::IpRange;
use nadmit_whereabouts::{
    IpPool, NodeSlicePool, OverlappingReservation, PodName, PoolEntry, reservation_name,
};

use self::entry_index::{EntryIndex, EntryPlace};
pub(super) use self::pool_use::PoolUses;
pub use self::{held::HeldAddress, pool_use::PoolUse};
use super::{
    Catalog,
    objects_of_kind::{ObjectsOfKind, key},
};

/// The objects of Whereabouts, with indices of their entries.
#[derive(Debug, Clone)]
pub(super) struct WhereaboutsObjects {
    pools: ObjectsOfKind<Arc<IpPool>>,
    reservations: ObjectsOfKind<Arc<OverlappingReservation>>,
    slice_pools: ObjectsOfKind<Arc<NodeSlicePool>>,
    /// The namespaces of the reservations, with the number of them: one namespace nearly always.
    reservation_namespaces: BTreeMap<Box<str>, usize>,
    by_address: EntryIndex,
    by_pod: EntryIndex,
}

impl Default for WhereaboutsObjects {
    fn default() -> Self {
        Self {
            pools: ObjectsOfKind::default(),
            reservations: ObjectsOfKind::default(),
            slice_pools: ObjectsOfKind::default(),
            reservation_namespaces: BTreeMap::new(),
            by_address: EntryIndex::by_address(),
            by_pod: EntryIndex::by_pod(),
        }
    }
}

impl WhereaboutsObjects {
    /// Returns the namespace of the first `IPPool`: all are in that of Whereabouts.
    fn home(&self) -> Option<&str> {
        let (_, pool) = self.pools.iter().next()?;
        Some(&pool.namespace)
    }

    /// Returns the `NodeSlicePool` of this name: that of Whereabouts's namespace, if several have one.
    pub(super) fn slice_pool(&self, name: &str) -> Option<&Arc<NodeSlicePool>> {
        let own = self.home();
        let own = own.and_then(|home| self.slice_pools.by_key(&key(home, name)));
        own.or_else(|| {
            let mut all = self.slice_pools.iter().map(|(_, pool)| pool);
            all.find(|pool| *pool.name == *name)
        })
    }
}

/// The records of Whereabouts in a catalog.
#[derive(Debug, Clone, Copy)]
pub struct WhereaboutsRecords<'c> {
    objects: &'c WhereaboutsObjects,
    uses: &'c PoolUses,
}

/// An `IPPool`, with its use.
#[derive(Debug, Clone, Copy)]
pub struct ObservedPool<'c> {
    pub pool: &'c Arc<IpPool>,
    pub usage: &'c PoolUse,
}

/// An entry of an `IPPool`.
#[derive(Debug, Clone, Copy)]
pub struct ObservedEntry<'c> {
    pub pool: ObservedPool<'c>,
    pub entry: &'c PoolEntry,
}

/// The numbers of addresses of an `IPPool`. Each address counts once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PoolCounts {
    /// The addresses that Whereabouts assigns; less than all of IPv6 by one.
    pub capacity: u128,
    /// Those of them that have an entry.
    pub used: u64,
    /// Those of them that have none.
    pub free: u128,
    /// The addresses with an entry that no network of the pool assigns any more.
    pub outside: u64,
}

impl<'c> ObservedPool<'c> {
    /// Counts the addresses of the pool.
    pub fn counts(self) -> PoolCounts {
        let ranges = self.usage.assigned.iter();
        let capacity = ranges.fold(0u128, |sum, range| sum.saturating_add(range.count()));
        let (mut used, mut outside, mut last) = (0, 0, None);
        for entry in &self.pool.entries {
            if last.replace(entry.offset) == Some(entry.offset) {
                continue;
            }
            match self.assigns(entry.address) {
                true => used += 1,
                false => outside += 1,
            }
        }
        PoolCounts {
            capacity,
            used,
            free: capacity.saturating_sub(used.into()),
            outside,
        }
    }

    /// Returns true if Whereabouts assigns the address of this pool.
    pub fn assigns(self, address: IpAddr) -> bool {
        let ranges = &self.usage.assigned;
        let begun = ranges.partition_point(|range| range.first() <= address);
        let last = begun.checked_sub(1).and_then(|at| ranges.get(at));
        last.is_some_and(|range: &IpRange| range.contains(address))
    }

    /// Returns the entries of an offset: two if its key is written in two ways.
    fn entries_at(self, offset: u128) -> impl Iterator<Item = ObservedEntry<'c>> {
        let entries = &self.pool.entries;
        let begin = entries.partition_point(|entry| entry.offset < offset);
        let from = entries.get(begin..).unwrap_or_default().iter();
        from.take_while(move |entry| entry.offset == offset)
            .map(move |entry| ObservedEntry { pool: self, entry })
    }
}

impl<'c> WhereaboutsRecords<'c> {
    /// Returns true if all `IPPool`s are known.
    pub fn knows_pools(self) -> bool {
        self.objects.pools.are_known()
    }

    /// Returns true if all reservations are known.
    pub fn knows_reservations(self) -> bool {
        self.objects.reservations.are_known()
    }

    /// Returns true if all `NodeSlicePool`s are known.
    pub fn knows_slice_pools(self) -> bool {
        self.objects.slice_pools.are_known()
    }

    /// Returns the `IPPool`s, in an order that depends only on names.
    pub fn pools(self) -> impl Iterator<Item = ObservedPool<'c>> {
        let all = self.objects.pools.iter();
        all.filter_map(move |(key, pool)| {
            let usage = self.uses.get(key)?;
            Some(ObservedPool { pool, usage })
        })
    }

    /// Returns an `IPPool`.
    pub fn pool(self, namespace: &str, name: &str) -> Option<ObservedPool<'c>> {
        self.pool_of_key(&key(namespace, name))
    }

    fn pool_of_key(self, key: &str) -> Option<ObservedPool<'c>> {
        let pool = self.objects.pools.by_key(key)?;
        let usage = self.uses.get(key)?;
        Some(ObservedPool { pool, usage })
    }

    /// Returns the entries of an address, in all address spaces.
    pub fn entries_at(self, address: IpAddr) -> impl Iterator<Item = ObservedEntry<'c>> {
        let places = self.objects.by_address.get(&address.to_string());
        places.flat_map(move |place| self.entries_of_place(place))
    }

    /// Returns the entries that name a pod.
    pub fn entries_of(self, pod: &PodName) -> impl Iterator<Item = ObservedEntry<'c>> + use<'c> {
        let places = self.objects.by_pod.get(&pod.to_string());
        let pod = pod.clone();
        places
            .flat_map(move |place| self.entries_of_place(place))
            .filter(move |found| found.entry.pod.as_ref() == Some(&pod))
    }

    fn entries_of_place(
        self,
        place: &'c EntryPlace,
    ) -> impl Iterator<Item = ObservedEntry<'c>> + use<'c> {
        let pool = self.pool_of_key(&place.pool);
        pool.into_iter()
            .flat_map(move |pool| pool.entries_at(place.offset))
    }

    /// Returns the reservations, in an order that depends only on names.
    pub fn reservations(self) -> impl Iterator<Item = &'c Arc<OverlappingReservation>> {
        self.objects.reservations.iter().map(|(_, one)| one)
    }

    /// Returns the reservation of this name.
    pub fn reservation(
        self,
        namespace: &str,
        name: &str,
    ) -> Option<&'c Arc<OverlappingReservation>> {
        self.objects.reservations.by_key(&key(namespace, name))
    }

    /// Returns the reservations whose name can mean this address of an address space.
    pub fn reservations_of(
        self,
        space: &Space,
        address: IpAddr,
    ) -> impl Iterator<Item = &'c Arc<OverlappingReservation>> + use<'c> {
        let name = reservation_name(space.network_name(), address);
        let namespaces = self.objects.reservation_namespaces.keys();
        namespaces.filter_map(move |home| self.objects.reservations.by_key(&key(home, &name)))
    }

    /// Returns the addresses that the name of a reservation can mean: one nearly always.
    pub fn addresses_of(self, reservation: &OverlappingReservation) -> Vec<(Space, IpAddr)> {
        held::meanings(&reservation.name, self.uses)
    }

    /// Returns the `NodeSlicePool`s, in an order that depends only on names.
    pub fn slice_pools(self) -> impl Iterator<Item = &'c Arc<NodeSlicePool>> {
        self.objects.slice_pools.iter().map(|(_, one)| one)
    }

    /// Returns the addresses that entries and reservations hold, once each, ordered by address space and
    /// address. Of several records of an address an entry comes before a reservation, and one with a pod
    /// before one without. The cost is that of all records.
    pub fn held(self) -> impl Iterator<Item = HeldAddress<'c>> {
        let pools = self.objects.pools.iter().map(|(key, pool)| (key, &**pool));
        let reservations = self.reservations().map(|one| &**one);
        held::held(pools, reservations, self.uses).into_iter()
    }
}

impl Catalog {
    /// Returns the records of Whereabouts.
    pub fn whereabouts(&self) -> WhereaboutsRecords<'_> {
        let objects = &*self.whereabouts;
        WhereaboutsRecords {
            objects,
            uses: self
                .pool_uses
                .get_or_init(|| PoolUses::of(self.networks(), objects.pools.iter())),
        }
    }

    /// Adds, replaces or, with `None`, removes an `IPPool`; returns true if that changes anything.
    pub fn set_ip_pool(&mut self, id: (&str, &str), pool: Option<Arc<IpPool>>) -> bool {
        let key = key(id.0, id.1);
        let before = self.whereabouts.pools.by_key(&key).cloned();
        if before == pool {
            return false;
        }
        let range = |pool: &Option<Arc<IpPool>>| pool.as_ref().map(|pool| pool.range);
        if range(&before) != range(&pool) {
            self.pool_uses = Arc::default();
        }
        let objects = Arc::make_mut(&mut self.whereabouts);
        for index in [&mut objects.by_address, &mut objects.by_pod] {
            index.update(&key, before.as_deref(), pool.as_deref());
        }
        let home_before = objects.home().map(str::to_owned);
        objects.pools.set(id, pool);
        if objects.home() != home_before.as_deref() {
            self.derive_slices_again();
        }
        true
    }

    /// Adds, replaces or, with `None`, removes an `OverlappingRangeIPReservation`; returns true if that
    /// changes anything.
    pub fn set_overlapping_reservation(
        &mut self,
        id: (&str, &str),
        reservation: Option<Arc<OverlappingReservation>>,
    ) -> bool {
        let before = self.whereabouts.reservations.by_key(&key(id.0, id.1));
        if before == reservation.as_ref() {
            return false;
        }
        let (was_there, is_there) = (before.is_some(), reservation.is_some());
        let objects = Arc::make_mut(&mut self.whereabouts);
        let count = objects
            .reservation_namespaces
            .entry(id.0.into())
            .or_default();
        *count = (*count + usize::from(is_there)).saturating_sub(usize::from(was_there));
        if *count == 0 {
            objects.reservation_namespaces.remove(id.0);
        }
        objects.reservations.set(id, reservation)
    }

    /// Adds, replaces or, with `None`, removes a `NodeSlicePool`; returns true if that changes anything.
    pub fn set_node_slice_pool(
        &mut self,
        id: (&str, &str),
        pool: Option<Arc<NodeSlicePool>>,
    ) -> bool {
        let before = self.whereabouts.slice_pools.by_key(&key(id.0, id.1));
        if before == pool.as_ref() {
            return false;
        }
        Arc::make_mut(&mut self.whereabouts)
            .slice_pools
            .set(id, pool);
        self.derive_slices_again();
        true
    }

    /// Sets the pools of served networks with node slices again.
    fn derive_slices_again(&mut self) {
        let is_sliced = |pool: &Arc<Pool>| pool.node_slices.is_some();
        if self.pool_config().pools.values().any(is_sliced) {
            self.set_pools_again();
        }
    }

    /// Sets whether all `IPPool`s are known; returns true if that changes.
    pub fn set_ip_pools_known(&mut self, known: bool) -> bool {
        self.whereabouts.pools.are_known() != known
            && Arc::make_mut(&mut self.whereabouts).pools.set_known(known)
    }

    /// Sets whether all reservations of Whereabouts are known; returns true if that changes.
    pub fn set_overlapping_reservations_known(&mut self, known: bool) -> bool {
        self.whereabouts.reservations.are_known() != known
            && Arc::make_mut(&mut self.whereabouts)
                .reservations
                .set_known(known)
    }

    /// Sets whether all `NodeSlicePool`s are known; returns true if that changes.
    pub fn set_node_slice_pools_known(&mut self, known: bool) -> bool {
        self.whereabouts.slice_pools.are_known() != known
            && Arc::make_mut(&mut self.whereabouts)
                .slice_pools
                .set_known(known)
    }
}

#[cfg(test)]
mod tests;
