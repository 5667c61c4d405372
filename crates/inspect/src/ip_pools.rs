//! Usage of Whereabouts's `IPPool`s. Whereabouts assigns their addresses; nadmit only shows them.
//!
//! No `AddressPool` has a slash in its name, so `IPPool/NAME` is never confused with one.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use super::pools::{PoolKind, PoolRow, RangeRow};
use nadmit_allocation::Space;
use nadmit_catalog::{Catalog, ObservedPool, WhereaboutsRecords};
use nadmit_whereabouts::OverlappingReservation;

/// The beginning of an `IPPool`'s name, for operators.
const PREFIX: &str = "IPPool/";

/// The names of `IPPool`s, for operators.
pub(super) struct PoolNames<'c> {
    /// The names that pools of several namespaces have.
    ambiguous: BTreeSet<&'c str>,
}

/// The addresses that reservations hold.
pub(super) type ReservedAddresses<'c> = BTreeMap<(Space, IpAddr), &'c Arc<OverlappingReservation>>;

impl<'c> PoolNames<'c> {
    pub(super) fn of(records: WhereaboutsRecords<'c>) -> Self {
        let mut seen = BTreeSet::new();
        let names = records.pools().map(|one| &*one.pool.name);
        let ambiguous = names.filter(|name| !seen.insert(*name)).collect();
        Self { ambiguous }
    }

    /// Returns `IPPool/NAME`, or `IPPool/NAMESPACE/NAME` if several namespaces have the name.
    pub(super) fn name(&self, found: ObservedPool<'_>) -> String {
        let (namespace, name) = (&found.pool.namespace, &found.pool.name);
        match self.ambiguous.contains(&**name) {
            true => format!("{PREFIX}{namespace}/{name}"),
            false => format!("{PREFIX}{name}"),
        }
    }

    /// Returns true if `name`, given by an operator, names the pool: [`Self::name`], or
    /// `IPPool/NAMESPACE/NAME`.
    pub(super) fn is_named(&self, name: &str, found: ObservedPool<'_>) -> bool {
        let whole = (&*found.pool.namespace, &*found.pool.name);
        let rest = name.strip_prefix(PREFIX);
        rest.is_some_and(|rest| rest.split_once('/') == Some(whole)) || self.name(found) == name
    }
}

/// Returns the networks of a pool as `namespace/name`.
pub(super) fn networks_of(found: ObservedPool<'_>) -> Vec<String> {
    let networks = found.usage.networks.iter();
    networks
        .map(|network| format!("{}/{}", network.namespace, network.name))
        .collect()
}

/// Returns the addresses that reservations hold.
pub(super) fn reserved(records: WhereaboutsRecords<'_>) -> ReservedAddresses<'_> {
    let reservations = records.reservations();
    let addresses = reservations.flat_map(|one| {
        let addresses = records.addresses_of(one).into_iter();
        addresses.map(move |address| (address, one))
    });
    addresses.collect()
}

/// Returns the reservations of a pool's addresses that have no entry in it.
pub(super) fn reserved_only<'r, 'c>(
    found: ObservedPool<'c>,
    reserved: &'r ReservedAddresses<'c>,
) -> impl Iterator<Item = (IpAddr, &'c Arc<OverlappingReservation>)> + use<'r, 'c> {
    let range = found.pool.range.range();
    let space = &found.usage.space;
    let bounds = (space.clone(), range.first())..=(space.clone(), range.last());
    let entries: BTreeSet<IpAddr> = found.pool.entries.iter().map(|one| one.address).collect();
    let inside = reserved.range(bounds);
    inside
        .map(|((_, address), reservation)| (*address, *reservation))
        .filter(move |(address, _)| !entries.contains(address))
}

/// Returns the `IPPool`s of a catalog, sorted by name.
pub fn ip_pools(catalog: &Catalog) -> Vec<PoolRow> {
    let records = catalog.whereabouts();
    let (names, reserved) = (PoolNames::of(records), reserved(records));
    let rows = records.pools().map(|found| row(found, &names, &reserved));
    let mut rows: Vec<PoolRow> = rows.collect();
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    rows
}

/// Returns the row of a pool.
pub(super) fn row(
    found: ObservedPool<'_>,
    names: &PoolNames<'_>,
    reserved: &ReservedAddresses<'_>,
) -> PoolRow {
    let counts = found.counts();
    let reserved = reserved_only(found, reserved);
    let reserved = reserved.filter(|(address, _)| found.assigns(*address));
    let reserved = u64::try_from(reserved.count()).unwrap_or(u64::MAX);
    let range = RangeRow {
        range: found.pool.range.to_string(),
        capacity: counts.capacity,
        used: counts.used,
        reserved,
        free: counts.free.saturating_sub(reserved.into()),
    };
    PoolRow {
        kind: PoolKind::IpPool,
        name: names.name(found),
        network_name: found.usage.space.network_name().to_owned(),
        networks: networks_of(found),
        capacity: Some(range.capacity),
        used: range.used,
        reserved: range.reserved,
        free: Some(range.free),
        outside: counts.outside,
        note: Some(note(found, counts.outside)),
        ranges: vec![range],
        ..PoolRow::default()
    }
}

fn note(found: ObservedPool<'_>, outside: u64) -> String {
    let mut note = match &*networks_of(found) {
        [] => "assigned by Whereabouts; no network uses it".to_owned(),
        [one] => format!("assigned by Whereabouts for network {one}"),
        [first, second] => format!("assigned by Whereabouts for networks {first} and {second}"),
        [first, others @ ..] => format!(
            "assigned by Whereabouts for network {first} and {} others",
            others.len()
        ),
    };
    match outside {
        0 => {}
        1 => note += "; 1 more entry is outside of what Whereabouts assigns",
        more => note += &format!("; {more} more entries are outside of what Whereabouts assigns"),
    }
    note
}
