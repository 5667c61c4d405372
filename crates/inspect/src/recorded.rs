//! The records of Whereabouts: entries of `IPPool`s, and reservations.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{
    allocations::{AllocationRow, Filter, is_named},
    ip_pools::{PoolNames, networks_of},
};
use nadmit_allocation::{Address, Index, Space};
use nadmit_catalog::{Catalog, ObservedEntry, ObservedPool, WhereaboutsRecords};
use nadmit_whereabouts::{OverlappingReservation, PodName};

/// A record of Whereabouts, as shown to operators.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordedRow {
    /// Address of the record.
    pub address: Address,
    /// Address space: `network_name`, or nothing.
    pub network_name: String,
    /// `IPPool` with the entry; `None` for a reservation without an entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_pool: Option<String>,
    /// Networks of the `IPPool`, as `namespace/name`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<String>,
    /// `namespace/name` of the pod; `None` for a record that only keeps the address from others.
    pub pod: Option<String>,
    /// Interface of the pod; empty in records of Whereabouts before 0.8.
    pub interface: String,
    /// Container of the pod's sandbox.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub container_id: String,
    /// `OverlappingRangeIPReservation` of the address, as `namespace/name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reservation: Option<String>,
}

/// An allocation of nadmit, or a record of Whereabouts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AddressRow {
    /// An allocation of nadmit.
    Allocation(Box<AllocationRow>),
    /// A record of Whereabouts.
    Recorded(RecordedRow),
}

impl AddressRow {
    /// Returns the allocation, if nadmit has made it.
    pub fn allocation(&self) -> Option<&AllocationRow> {
        match self {
            Self::Allocation(row) => Some(row),
            Self::Recorded(_) => None,
        }
    }
}

/// Returns the entries of `IPPool`s that match a filter, sorted by pool and address.
pub fn recorded(catalog: &Catalog, filter: &Filter) -> Vec<RecordedRow> {
    let records = catalog.whereabouts();
    let names = PoolNames::of(records);
    let is_wanted = |found: &ObservedPool<'_>| {
        let name = filter.pool.as_deref();
        name.is_none_or(|name| names.is_named(name, *found))
    };
    let entries = records.pools().filter(is_wanted).flat_map(|pool| {
        let entries = pool.pool.entries.iter();
        entries.map(move |entry| ObservedEntry { pool, entry })
    });
    let entries = entries.filter(|found| matches(filter, found));
    let rows = entries.map(|found| entry_row(found, &names, None));
    let mut rows: Vec<RecordedRow> = rows.collect();
    rows.sort_by(|a, b| {
        let key = |row: &RecordedRow| (row.address.family(), row.address);
        a.ip_pool.cmp(&b.ip_pool).then_with(|| key(a).cmp(&key(b)))
    });
    rows
}

/// Removes the rows of addresses that nadmit has allocated: its own record takes precedence.
pub fn remove_allocated(rows: &mut Vec<RecordedRow>, index: &Index) {
    rows.retain(|row| {
        let space = Space::new(&row.network_name);
        index.version_of(&space, row.address).is_none()
    });
}

/// Returns the records of an address, in all address spaces.
pub(super) fn recorded_at(address: IpAddr, records: WhereaboutsRecords<'_>) -> Vec<RecordedRow> {
    let names = PoolNames::of(records);
    let mut reserved: BTreeMap<Space, &Arc<OverlappingReservation>> = BTreeMap::new();
    for reservation in records.reservations() {
        for (space, of) in records.addresses_of(reservation) {
            if of == address {
                reserved.insert(space, reservation);
            }
        }
    }
    let mut spaces = BTreeSet::new();
    let mut rows = Vec::new();
    for found in records.entries_at(address) {
        let space = &found.pool.usage.space;
        spaces.insert(space.clone());
        rows.push(entry_row(found, &names, reserved.get(space).copied()));
    }
    reserved.retain(|space, _| !spaces.contains(space));
    rows.extend(reserved.into_iter().map(|(space, one)| RecordedRow {
        address: address.into(),
        network_name: space.network_name().to_owned(),
        ip_pool: None,
        networks: Vec::new(),
        pod: one.pod.as_ref().map(PodName::to_string),
        interface: one.interface.to_string(),
        container_id: String::new(),
        reservation: Some(reservation_name(one)),
    }));
    rows
}

fn entry_row(
    found: ObservedEntry<'_>,
    names: &PoolNames<'_>,
    reservation: Option<&Arc<OverlappingReservation>>,
) -> RecordedRow {
    let entry = found.entry;
    RecordedRow {
        address: entry.address.into(),
        network_name: found.pool.usage.space.network_name().to_owned(),
        ip_pool: Some(names.name(found.pool)),
        networks: networks_of(found.pool),
        pod: entry.pod.as_ref().map(PodName::to_string),
        interface: entry.interface.to_string(),
        container_id: entry.container_id.to_string(),
        reservation: reservation.map(|one| reservation_name(one)),
    }
}

fn reservation_name(one: &OverlappingReservation) -> String {
    format!("{}/{}", one.namespace, one.name)
}

/// Returns true if an entry matches the filter, its pool apart.
fn matches(filter: &Filter, found: &ObservedEntry<'_>) -> bool {
    let pod = found.entry.pod.as_ref();
    let namespace = pod.map_or("", |pod| &pod.namespace);
    let mut networks = found.pool.usage.networks.iter();
    let network = filter.network.as_deref();
    filter
        .namespace
        .as_deref()
        .is_none_or(|wanted| wanted == namespace)
        && is_named(filter.pod.as_deref(), namespace, pod.map(|pod| &*pod.name))
        && (network.is_none()
            || networks.any(|one| is_named(network, &one.namespace, Some(&one.name))))
}
