//! Whereabouts's records of the addresses that nadmit gives on its networks: what they have to be.
//!
//! | the record of the address | its entry in the `IPPool` |
//! |---|---|
//! | of a pod that is not bound | of this pod, before its ADD |
//! | of a pod that is bound | of this pod; the container's id gets nadmit's mark, so that no DEL removes it |
//! | of a pod that is gone or being deleted, or of no pod | held: without a pod |
//! | none, or of a network or namespace that is not served | left to its pod, if that exists, else removed |
//!
//! An address of an inline pool has such records, too, as long as a network of Whereabouts assigns it: they
//! keep the plugin from it. Reservations follow. The plan rests on caches: each write has the versions of the records that it was
//! made for, and is dropped if one of them has another version. A pod that the catalog lacks may be newer
//! than the catalog: what takes an entry from it needs a live read first ([`ServedPlan::reads`]).
//!
//! Whereabouts's records decide what is released after serving ends, not the networks: a network may be
//! deleted, and its ranges may have changed. A pod that is being deleted has a hold as its
//! entry; as long as it exists, it gets the entry back, because its containers may still run.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    net::IpAddr,
    sync::Arc,
};

use nadmit_allocation::{Allocation, PodRef, Space, Stored, Version};
use nadmit_catalog::{
    Catalog, INLINE_POOL_PREFIX, LiveRead, Pod, SERVED_POOL_PREFIX, WhereaboutsMode,
};
use nadmit_cni::{IpRange, name, status};
use nadmit_whereabouts::{
    DesiredEntry, DesiredUse, OverlappingReservation, PodInterface, PodName, PoolEntry,
    ServedAddress, Taken, reservation_change,
};

/// A write of Whereabouts's records for one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedWrite {
    pub kind: WriteKind,
    pub entry: DesiredEntry,
    /// The records that the write rests on, each in the state that was judged.
    pub rests_on: Vec<RestsOn>,
    /// The read of the pod whose absence the write rests on.
    pub absent: Option<LiveRead>,
}

/// The kinds of writes, which differ in their urgency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteKind {
    /// The records of a pod that is not bound.
    Binding,
    /// The plugin's entry of a bound pod gets nadmit's mark.
    Takeover,
    /// Anything else.
    Correction,
}

/// The record that a write rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestsOn {
    /// The name of the record.
    pub record: String,
    /// The version; `None` if there is no record.
    pub version: Option<Version>,
}

/// The work to be done for the networks of Whereabouts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServedPlan {
    /// The writes of Whereabouts's records.
    pub writes: Vec<ServedWrite>,
    /// The records of networks and namespaces that are no longer served, and have no entry that nadmit
    /// keeps; and those of pods that were never bound, whose address another pod has.
    pub forget: Vec<Arc<Stored>>,
    /// The addresses that a record gives to one pod, and Whereabouts's records to another.
    pub taken: Vec<Taken>,
}

/// The places in Whereabouts's records that records of served addresses are for.
#[derive(Debug, Default)]
struct ServedPlaces<'p> {
    entries: HashSet<EntryPlace>,
    /// The reservations, by namespace and name.
    reservations: HashSet<(Box<str>, Box<str>)>,
    /// All records by their addresses.
    records: HashMap<IpAddr, Vec<&'p Arc<Stored>>>,
}

/// The place of an entry, and the address space of the record that it is for.
#[derive(Debug, PartialEq, Eq, Hash)]
struct EntryPlace {
    /// The namespace of the pool.
    namespace: Box<str>,
    /// The name of the pool.
    pool: Box<str>,
    address: IpAddr,
    space: Box<str>,
}

impl ServedPlan {
    /// Compares the records of the ledger with those of Whereabouts. `namespaces` are those in which
    /// Whereabouts may run. Empty while Whereabouts's records are not known.
    pub fn of(catalog: &Catalog, records: &[Arc<Stored>], namespaces: &[&str]) -> Self {
        let known = catalog.whereabouts();
        let mut plan = Self::default();
        if !known.knows_pools() || !known.knows_reservations() {
            return plan;
        }
        let namespace = catalog.whereabouts_namespace(namespaces.iter().copied());
        let mut places = ServedPlaces::default();
        let mut unserved = Vec::new();
        for stored in records {
            let record = &stored.allocation;
            let Some(address) = record.address.ip() else {
                continue;
            };
            places.records.entry(address).or_default().push(stored);
            if !is_of_whereabouts(record) && !is_inline(record) {
                continue;
            }
            let served = catalog.has_injection_label(record.holder.namespace());
            let at = namespace
                .filter(|_| served)
                .and_then(|namespace| catalog.served_address(&record.network, address, namespace));
            let Some(mut at) = at else {
                if is_inline(record) {
                    continue;
                }
                // Another pool of the network takes the record over.
                let network = catalog.network(&record.network.namespace, &record.network.name);
                let pool = network.and_then(|network| network.pool());
                if pool.is_none_or(|pool| catalog.pool(pool).valid().is_none()) || !served {
                    unserved.push(stored);
                }
                continue;
            };
            // The record may be of an earlier definition of its network.
            at.space = record.space.network_name().into();
            places.add(&at);
            plan.compare(catalog, stored, at);
        }
        plan.release(catalog, &places);
        let awaited: HashSet<&str> = plan
            .writes
            .iter()
            .flat_map(|one| one.rests_on.iter().map(|one| &*one.record))
            .collect();
        let forget = unserved
            .into_iter()
            .filter(|stored| !awaited.contains(&*stored.allocation.record_name()));
        plan.forget.extend(forget.cloned());
        plan
    }

    /// Returns the live reads that the writes require. The writes count if they are planned again after
    /// the reads.
    pub fn reads(&self) -> BTreeSet<LiveRead> {
        let absent = self.writes.iter().filter_map(|write| write.absent.clone());
        absent.collect()
    }

    /// Drops the writes that rest on the absence of a pod that was not read live. Returns their number.
    pub fn retain_read(&mut self, is_read: impl Fn(&LiveRead) -> bool) -> usize {
        let planned = self.writes.len();
        self.writes
            .retain(|write| write.absent.as_ref().is_none_or(&is_read));
        planned - self.writes.len()
    }

    /// Adds the write for a record, if Whereabouts's records differ from it.
    fn compare(&mut self, catalog: &Catalog, stored: &Arc<Stored>, at: ServedAddress) {
        let known = catalog.whereabouts();
        let record = &stored.allocation;
        let entry = DesiredEntry {
            desired: desired_use(catalog, record),
            at,
        };
        let Some(pool) = &entry.at.pool else { return };
        let observed = known.pool(&pool.namespace, &pool.name);
        let changes = observed.map(|observed| observed.pool.changes(&entry));
        let reservation = entry.at.reservation.as_ref().map(|name| {
            let found = known.reservation(&entry.at.namespace, name);
            reservation_change(&entry.desired, entry.at.address, found.map(|one| &**one))
        });
        let changes_pool = match changes {
            None => true,
            Some(Ok(changes)) => !changes.changes.is_empty(),
            Some(Err(taken)) => return self.note_taken(stored, &entry.desired, taken),
        };
        let changes_reservation = match reservation {
            None => false,
            Some(Ok(change)) => change.is_some(),
            Some(Err(taken)) => {
                self.give_up_entry(catalog, stored, &entry, &taken);
                return self.note_taken(stored, &entry.desired, taken);
            }
        };
        if changes_pool || changes_reservation {
            let mut entry = entry;
            let kind = write_kind(&entry, catalog);
            let mut rests_on = vec![RestsOn::of(stored)];
            if kind == WriteKind::Takeover && !changes_reservation {
                // The reservation is as it has to be. The mark harms nothing if the record has changed: the
                // entry is still that of its pod, and the next plan gives it back.
                entry.at.reservation = None;
                rests_on.clear();
            }
            self.writes.push(ServedWrite {
                kind,
                entry,
                rests_on,
                absent: absent_pod(catalog, record),
            });
        }
    }

    /// Notes that another pod has the address of a record, by the plugin or by a record of another space. The
    /// record of a pod that was never bound is deleted: no pod used the address by it, and its pod gets
    /// another one.
    fn note_taken(&mut self, stored: &Arc<Stored>, desired: &DesiredUse, taken: Taken) {
        let record = &stored.allocation;
        let was_used = record.holder.is_persistent() && record.taken.is_some();
        if matches!(desired, DesiredUse::Binding { .. }) && !was_used {
            self.forget.push(Arc::clone(stored));
        }
        self.taken.push(taken);
    }

    /// Adds the removal of the entry of a pod whose reservation another pod has: the pod's ADD would fail
    /// until that pod ends. Without the entry the plugin gives it another address. A pod that reports the
    /// address may run with it, unless the other one reports it, too: the report is of an earlier sandbox
    /// then, or the address is given twice already.
    fn give_up_entry(
        &mut self,
        catalog: &Catalog,
        stored: &Stored,
        entry: &DesiredEntry,
        taken: &Taken,
    ) {
        let (DesiredUse::Binding { pod, .. } | DesiredUse::Bound { pod, .. }) = &entry.desired
        else {
            return;
        };
        let address = entry.at.address;
        let mut entries = catalog.whereabouts().entries_of(pod);
        let own_space = Some(&*entry.at.space);
        let is_kept = entries
            .any(|found| found.entry.address == address && found.entry.kept_for() == own_space);
        let reports = |pod: &PodName| {
            let found = catalog.pod(&pod.namespace, &pod.name)?;
            Some(status::reports(found.network_status.as_deref(), address) == Some(true))
        };
        let may_use = match reports(pod) {
            None => true,
            Some(own) => own && taken.pod.as_ref().and_then(reports) != Some(true),
        };
        if !is_kept || may_use {
            return;
        }
        self.writes.push(ServedWrite {
            kind: WriteKind::Correction,
            entry: DesiredEntry {
                at: ServedAddress {
                    reservation: None,
                    ..entry.at.clone()
                },
                desired: DesiredUse::Released {
                    seen: Some(pod.clone()),
                    to: None,
                },
            },
            rests_on: vec![RestsOn::of(stored)],
            absent: None,
        });
    }

    /// Adds the release of what nadmit keeps in Whereabouts's records for no address that it serves.
    fn release(&mut self, catalog: &Catalog, places: &ServedPlaces<'_>) {
        let known = catalog.whereabouts();
        let mut with_entry = HashSet::new();
        for observed in known.pools() {
            let pool = observed.pool;
            for entry in &pool.entries {
                let Some(space) = entry.kept_for() else {
                    continue;
                };
                let place = EntryPlace {
                    namespace: pool.namespace.clone(),
                    pool: pool.name.clone(),
                    address: entry.address,
                    space: space.into(),
                };
                if places.entries.contains(&place) {
                    continue;
                }
                let space = Space::new(space);
                let mut reservations = known.reservations_of(&space, entry.address);
                let reservation = reservations.find(|one| {
                    let name = (one.namespace.clone(), one.name.clone());
                    one.is_kept() && !places.reservations.contains(&name)
                });
                with_entry.extend(reservation.map(|one| (&one.namespace, &one.name)));
                let at = ServedAddress {
                    namespace: pool.namespace.clone(),
                    pool: Some(pool.reference()),
                    address: entry.address,
                    space: place.space,
                    reservation: reservation.map(|one| one.name.clone()),
                };
                self.writes
                    .push(places.release_entry(catalog, at, entry, space));
            }
        }
        for reservation in known.reservations().filter(|one| one.is_kept()) {
            let name = (reservation.namespace.clone(), reservation.name.clone());
            let is_done = with_entry.contains(&(&reservation.namespace, &reservation.name));
            if !is_done && !places.reservations.contains(&name) {
                self.writes
                    .push(places.release_reservation(catalog, reservation));
            }
        }
    }
}

impl<'p> ServedPlaces<'p> {
    fn add(&mut self, at: &ServedAddress) {
        if let Some(pool) = &at.pool {
            self.entries.insert(EntryPlace {
                namespace: pool.namespace.clone(),
                pool: pool.name.clone(),
                address: at.address,
                space: at.space.clone(),
            });
        }
        if let Some(name) = &at.reservation {
            self.reservations
                .insert((at.namespace.clone(), name.clone()));
        }
    }

    /// Returns the release of an entry, and of its reservation if there is one. `space` is that of the record
    /// that the entry is for.
    fn release_entry(
        &self,
        catalog: &Catalog,
        at: ServedAddress,
        entry: &PoolEntry,
        space: Space,
    ) -> ServedWrite {
        let records = self.records_of(at.address, &space);
        let own = entry.pod.as_ref().map(|pod| (pod, &*entry.interface));
        let without_record = records.is_empty().then_some(space);
        release(catalog, at, own, &records, without_record.as_slice())
    }

    /// Returns the release of a reservation that has no entry.
    fn release_reservation(
        &self,
        catalog: &Catalog,
        reservation: &OverlappingReservation,
    ) -> ServedWrite {
        let meanings = catalog.whereabouts().addresses_of(reservation);
        let mut records = Vec::new();
        let mut spaces = Vec::new();
        for (space, address) in &meanings {
            let found = self.records_of(*address, space);
            if found.is_empty() {
                spaces.push(space.clone());
            }
            records.extend(found);
        }
        let unspecified = IpAddr::from([0; 4]);
        let at = ServedAddress {
            namespace: reservation.namespace.clone(),
            pool: None,
            address: meanings.first().map_or(unspecified, |one| one.1),
            space: "".into(),
            reservation: Some(reservation.name.clone()),
        };
        let own = reservation.pod.as_ref();
        let own = own.map(|pod| (pod, &*reservation.interface));
        release(catalog, at, own, &records, &spaces)
    }

    /// Returns the records of an address in an address space: one at the most.
    fn records_of(&self, address: IpAddr, space: &Space) -> Vec<&'p Arc<Stored>> {
        let all = self.records.get(&address).into_iter().flatten();
        all.copied()
            .filter(|one| one.allocation.space == *space)
            .collect()
    }
}

impl RestsOn {
    fn of(stored: &Stored) -> Self {
        Self {
            record: stored.allocation.record_name(),
            version: Some(stored.version),
        }
    }
}

/// Returns the release of an address. `own` is the pod that its entry or reservation names, `records` are
/// nadmit's records of the address, and `spaces` are the address spaces where none is known.
fn release(
    catalog: &Catalog,
    at: ServedAddress,
    own: Option<(&PodName, &str)>,
    records: &[&Arc<Stored>],
    spaces: &[Space],
) -> ServedWrite {
    let exists = |pod: &PodName| catalog.pod(&pod.namespace, &pod.name).is_some();
    let of_entry = own.map(|(pod, interface)| PodInterface {
        pod: pod.clone(),
        interface: interface.into(),
    });
    // The entry of a pod that is being deleted names no pod.
    let of_record = || records.iter().find_map(|one| user_of(catalog, one));
    let to = of_entry.filter(|one| exists(&one.pod)).or_else(of_record);
    let of_records = records.iter().map(|one| &one.allocation.space);
    let in_spaces: Vec<&Space> = of_records.chain(spaces).collect();
    let to = to.filter(|one| {
        may_use(catalog, &one.pod, at.address, &in_spaces)
            && !is_migrated(catalog, records, at.address)
    });
    let mut rests_on: Vec<RestsOn> = records.iter().map(|one| RestsOn::of(one)).collect();
    // A record of another replica may just not have arrived.
    if catalog.pool_derivation().whereabouts == WhereaboutsMode::Serve {
        rests_on.extend(spaces.iter().map(|space| RestsOn {
            record: space.record_name(at.address.into()),
            version: None,
        }));
    }
    let absent = own.filter(|(pod, _)| !exists(pod));
    ServedWrite {
        kind: WriteKind::Correction,
        absent: absent.and_then(|(pod, _)| read_of(pod)),
        entry: DesiredEntry {
            at,
            desired: DesiredUse::Released {
                seen: own.map(|(pod, _)| pod.clone()),
                to,
            },
        },
        rests_on,
    }
}

/// Returns true if the containers of a pod may use an address: the pod reports it, or reports nothing yet
/// and no other pod has its reservation.
fn may_use(catalog: &Catalog, pod: &PodName, address: IpAddr, spaces: &[&Space]) -> bool {
    let Some(found) = catalog.pod(&pod.namespace, &pod.name) else {
        return false;
    };
    status::reports(found.network_status.as_deref(), address).unwrap_or_else(|| {
        let known = catalog.whereabouts();
        let mut reservations = spaces
            .iter()
            .flat_map(|space| known.reservations_of(space, address));
        !reservations.any(|one| !one.is_kept() && one.pod.as_ref() != Some(pod))
    })
}

/// Returns the pod of a record of Whereabouts's networks with its interface, if the pod exists.
fn user_of(catalog: &Catalog, stored: &Stored) -> Option<PodInterface> {
    let record = &stored.allocation;
    let pod = record.pod.as_ref().filter(|_| is_of_whereabouts(record))?;
    let namespace = record.holder.namespace();
    let found = catalog.pod(namespace, &pod.name)?;
    is_same(found, pod).then(|| PodInterface {
        pod: PodName {
            namespace: (**namespace).into(),
            name: (*pod.name).into(),
        },
        interface: (*record.interface).into(),
    })
}

/// Returns true if the address is one of a network of Whereabouts.
fn is_of_whereabouts(record: &Allocation) -> bool {
    record.pool.starts_with(SERVED_POOL_PREFIX)
}

/// Returns true if the address is one of an inline pool.
fn is_inline(record: &Allocation) -> bool {
    record.pool.starts_with(INLINE_POOL_PREFIX)
}

/// Returns true if an inline pool has the address, and no network of Whereabouts assigns it any more: no DEL
/// of the plugin would remove an entry that is left to the pod.
fn is_migrated(catalog: &Catalog, records: &[&Arc<Stored>], address: IpAddr) -> bool {
    let range = IpRange::single(address);
    let is_over = |record: &Allocation| {
        is_inline(record) && !catalog.whereabouts_assigns(&record.space, range)
    };
    !records.is_empty() && records.iter().all(|one| is_over(&one.allocation))
}

/// Returns the kind of the write of an entry.
fn write_kind(entry: &DesiredEntry, catalog: &Catalog) -> WriteKind {
    let pod = match &entry.desired {
        DesiredUse::Binding { .. } => return WriteKind::Binding,
        DesiredUse::Bound { pod, .. } => pod,
        _ => return WriteKind::Correction,
    };
    let mut entries = catalog.whereabouts().entries_of(pod);
    let is_given =
        entries.any(|found| found.entry.address == entry.at.address && !found.entry.is_kept());
    match is_given {
        true => WriteKind::Takeover,
        false => WriteKind::Correction,
    }
}

/// Returns the use of an address as its record has it.
fn desired_use(catalog: &Catalog, record: &Allocation) -> DesiredUse {
    let namespace = record.holder.namespace();
    let named = record.pod.as_ref().map(|pod| PodName {
        namespace: (**namespace).into(),
        name: (*pod.name).into(),
    });
    let live = record
        .pod
        .as_ref()
        .and_then(|pod| live_pod(catalog, namespace, pod));
    let interface = Box::from(&*record.interface);
    match (named, live) {
        (Some(pod), Some(live)) if live.node.is_some() => DesiredUse::Bound { pod, interface },
        (Some(pod), Some(_)) => DesiredUse::Binding { pod, interface },
        (last, _) => DesiredUse::Held { last },
    }
}

/// Returns the pod of a record, if it exists and is not being deleted.
fn live_pod<'c>(catalog: &'c Catalog, namespace: &str, pod: &PodRef) -> Option<&'c Pod> {
    let found = catalog.pod(namespace, &pod.name)?;
    (is_same(found, pod) && !found.terminating).then_some(found)
}

/// Returns the read of the pod of a record, if the catalog has no such pod.
fn absent_pod(catalog: &Catalog, record: &Allocation) -> Option<LiveRead> {
    let pod = record.pod.as_ref()?;
    let namespace = record.holder.namespace();
    let found = catalog.pod(namespace, &pod.name);
    if found.is_some_and(|found| is_same(found, pod)) {
        return None;
    }
    read_of(&PodName {
        namespace: (**namespace).into(),
        name: (*pod.name).into(),
    })
}

/// Returns the read of a pod; `None` for a name that no pod can have.
fn read_of(pod: &PodName) -> Option<LiveRead> {
    let can_exist = name::subdomain(&pod.name).is_ok() && name::label(&pod.namespace).is_ok();
    can_exist.then(|| LiveRead::pod(pod.namespace.clone(), pod.name.clone()))
}

/// Returns true if a record's pod is this one, as far as both have a UID.
fn is_same(found: &Pod, recorded: &PodRef) -> bool {
    match (&found.uid, &recorded.uid) {
        (Some(found), Some(recorded)) => **found == **recorded,
        _ => true,
    }
}
