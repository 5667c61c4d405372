//! An `IPPool` of Whereabouts as a map.

use std::collections::BTreeMap;

use super::{
    ip_pools::{PoolNames, reserved, reserved_only, row},
    map::{AddressRun, AddressState, PoolMap, RangeMap, fill, push, run_of},
};
use nadmit_allocation::{Address, Holder, Index};
use nadmit_catalog::{Catalog, ObservedPool};
use nadmit_cni::IpRange;
use nadmit_whereabouts::PodName;

/// Returns the map of an `IPPool`, named as [`super::ip_pools()`] does or with its namespace; `None` if no
/// pool has this name. A record of nadmit takes precedence over one of Whereabouts.
pub fn ip_pool_map(name: &str, index: &Index, catalog: &Catalog) -> Option<PoolMap> {
    let records = catalog.whereabouts();
    let names = PoolNames::of(records);
    let found = records.pools().find(|found| names.is_named(name, *found))?;
    let reserved = reserved(records);
    let range = found.pool.range;
    let mut single: BTreeMap<Address, AddressState> = BTreeMap::new();
    for (address, reservation) in reserved_only(found, &reserved) {
        let state = recorded(reservation.pod.as_ref(), &reservation.interface);
        single.insert(address.into(), state);
    }
    for entry in &found.pool.entries {
        let state = recorded(entry.pod.as_ref(), &entry.interface);
        single.insert(entry.address.into(), state);
    }
    let whole = range.range();
    let (first, last) = (whole.first().into(), whole.last().into());
    for one in index.allocations_between(&found.usage.space, first, last) {
        single.insert(one.address, run_of(one).state);
    }
    single.retain(|address, _| *address >= first && *address <= last);
    Some(PoolMap {
        pool: row(found, &names, &reserved),
        ranges: vec![RangeMap {
            range: range.to_string(),
            runs: runs(found, single, whole),
        }],
    })
}

/// Returns the state of an address that Whereabouts records.
fn recorded(pod: Option<&PodName>, interface: &str) -> AddressState {
    AddressState::Recorded {
        holder: pod.map(|pod| Holder::Pod {
            namespace: (&*pod.namespace).into(),
            name: (&*pod.name).into(),
        }),
        interface: interface.into(),
    }
}

fn runs(
    found: ObservedPool<'_>,
    single: BTreeMap<Address, AddressState>,
    whole: IpRange,
) -> Vec<AddressRun> {
    let taken = single
        .keys()
        .filter_map(|address| Some(IpRange::single(address.ip()?)));
    let taken: Vec<IpRange> = taken.collect();
    let assigned = found.usage.assigned.iter();
    let free = assigned.flat_map(|range| range.subtract(taken.iter().copied()));
    let free = free.map(|range| AddressRun {
        first: range.first().into(),
        last: range.last().into(),
        state: AddressState::Free,
    });
    let mut known: Vec<AddressRun> = free.collect();
    known.extend(single.into_iter().map(|(address, state)| AddressRun {
        first: address,
        last: address,
        state,
    }));
    let bounds = (whole.first().into(), whole.last().into());
    fill(bounds, known, &|first, last, out| {
        let never = |why: &str| AddressState::Never(why.to_owned());
        let family = first.family();
        let (mut from, mut to) = (first.number(), last.number());
        let (begins, ends) = (first == bounds.0, last == bounds.1);
        if begins {
            push(out, first, first, never(EDGE));
            from = from.saturating_add(1);
        }
        if ends {
            to = to.saturating_sub(1);
        }
        if from <= to {
            let (from, to) = (family.address(from), family.address(to));
            push(out, from, to, never("no network of the pool assigns it"));
        }
        if ends && !(begins && first == last) {
            push(out, last, last, never(EDGE));
        }
    })
}

/// The reason why the first and the last address of a range are never assigned.
const EDGE: &str = "edge of the subnet";

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Map, json};

    use super::*;
    use crate::{AddressRun, PoolRow, ip_pools};
    use nadmit_cni::Network;
    use nadmit_whereabouts::{IpPool, OverlappingReservation};

    /// Returns a catalog with the pool 10.0.0.0/29, entries at the offsets of a bit mask, and
    /// reservations of the addresses of another.
    fn catalog(windows: &[&str], entries: u32, reserved: u32) -> Catalog {
        let mut catalog = Catalog::default();
        for (at, window) in windows.iter().enumerate() {
            let config =
                format!(r#"{{"type":"macvlan","ipam":{{"type":"whereabouts",{window}}}}}"#);
            let network = Network::new("db", &format!("net-{at}"), Some(&config));
            catalog.put_network(Arc::new(network));
        }
        let record = json!({"podref": "db/db-0", "ifname": "net1"});
        let offsets = (0..10).filter(|at| entries & (1 << at) != 0);
        let entries: Map<_, _> = offsets.map(|at| (at.to_string(), record.clone())).collect();
        let object = json!({"spec": {"range": "10.0.0.0/29", "allocations": entries}});
        let read = IpPool::read("kube-system", "10.0.0.0-29", &object);
        let (pool, _) = read.unwrap_or_else(|e| panic!("{e}"));
        catalog.set_ip_pool(("kube-system", "10.0.0.0-29"), Some(Arc::new(pool)));
        for at in (0..10).filter(|at| reserved & (1 << at) != 0) {
            let name = format!("10.0.0.{at}");
            let object = json!({"spec": record});
            let read = OverlappingReservation::read("kube-system", &name, &object);
            let read = read.unwrap_or_else(|e| panic!("{e}"));
            catalog.set_overlapping_reservation(("kube-system", &name), Some(Arc::new(read)));
        }
        catalog
    }

    fn count(runs: &[AddressRun], is_state: impl Fn(&AddressState) -> bool) -> u128 {
        let runs = runs.iter().filter(|run| is_state(&run.state));
        runs.map(AddressRun::count).sum()
    }

    /// Entries of a /29 (two offsets are behind it), in several windows.
    #[test]
    fn rows_and_maps_account_for_each_address_once() {
        let windows: [&[&str]; 4] = [
            &[],
            &[r#""range":"10.0.0.0/29","exclude":["10.0.0.3"]"#],
            &[
                r#""range":"10.0.0.1-10.0.0.2/29""#,
                r#""range":"10.0.0.2-10.0.0.5/29""#,
            ],
            &[r#""range":"10.0.0.0/29","exclude":["10.0.0.0/29"]"#],
        ];
        for windows in windows {
            for entries in (0..1024).step_by(5) {
                for reserved in [0, 0b10_0101_0010, 0b1111_1111] {
                    let catalog = catalog(windows, entries, reserved);
                    let context = format!("{windows:?} {entries:b} {reserved:b}");
                    let rows = ip_pools(&catalog);
                    let [row]: &[PoolRow] = &rows else {
                        panic!("{rows:?}")
                    };
                    let free = row.free.unwrap_or_default();
                    let all = u128::from(row.used) + u128::from(row.reserved) + free;
                    assert_eq!(Some(all), row.capacity, "{context}");
                    let counted = row.used + row.outside;
                    assert_eq!(counted, u64::from(entries.count_ones()), "{context}");
                    let map = ip_pool_map("IPPool/10.0.0.0-29", &Index::default(), &catalog);
                    let map = map.unwrap_or_else(|| panic!("no map"));
                    let runs = &map.ranges[0].runs;
                    let pairs = runs.windows(2);
                    let mut gaps =
                        pairs.filter(|pair| pair[0].last.number() + 1 != pair[1].first.number());
                    assert!(gaps.next().is_none(), "{context}: {runs:?}");
                    assert_eq!(count(runs, |_| true), 8, "{context}: {runs:?}");
                    assert_eq!(
                        count(runs, |state| *state == AddressState::Free),
                        free,
                        "{context}"
                    );
                    let recorded =
                        |state: &AddressState| matches!(state, AddressState::Recorded { .. });
                    let expected = ((entries | reserved) & 0xff).count_ones();
                    assert_eq!(count(runs, recorded), expected.into(), "{context}");
                }
            }
        }
    }

    #[test]
    fn names_are_unique_among_namespaces() {
        let mut catalog = catalog(&[], 0, 0);
        let names = |catalog: &Catalog| {
            let rows = ip_pools(catalog).into_iter();
            rows.map(|row| row.name).collect::<Vec<_>>()
        };
        assert_eq!(names(&catalog), ["IPPool/10.0.0.0-29"]);
        let object = json!({"spec": {"range": "10.0.0.0/29"}});
        let read = IpPool::read("multus", "10.0.0.0-29", &object);
        let (pool, _) = read.unwrap_or_else(|e| panic!("{e}"));
        catalog.set_ip_pool(("multus", "10.0.0.0-29"), Some(Arc::new(pool)));
        let both = [
            "IPPool/kube-system/10.0.0.0-29",
            "IPPool/multus/10.0.0.0-29",
        ];
        assert_eq!(names(&catalog), both);
        for name in both {
            let map = ip_pool_map(name, &Index::default(), &catalog);
            assert_eq!(map.map(|map| map.pool.name).as_deref(), Some(name));
        }
        for other in [
            "10.0.0.0-29",
            "IPPool/10.0.0.0-29",
            "IPPool/10.0.0.0-2",
            "IPPool/x/10.0.0.0-29",
        ] {
            assert!(ip_pool_map(other, &Index::default(), &catalog).is_none());
        }
    }
}
