//! Tests of the records of Whereabouts in a catalog.

mod properties;

use serde_json::{Map, Value, json};

use super::*;
use nadmit_cni::Network;

fn network(name: &str, ipam: &str) -> Arc<Network> {
    let config = format!(r#"{{"type":"macvlan","ipam":{{"type":"whereabouts",{ipam}}}}}"#);
    Arc::new(Network::new("db", name, Some(&config)))
}

fn pool(name: &str, range: &str, entries: Value) -> Arc<IpPool> {
    let object = json!({"spec": {"range": range, "allocations": entries}});
    let read = IpPool::read("kube-system", name, &object);
    let (pool, problems) = read.unwrap_or_else(|e| panic!("{e}"));
    assert!(problems.is_empty(), "{problems:?}");
    Arc::new(pool)
}

fn entry(pod: &str, interface: &str) -> Value {
    json!({"id": "c", "podref": pod, "ifname": interface})
}

fn put(catalog: &mut Catalog, pool: Arc<IpPool>) -> bool {
    let name = pool.name.clone();
    catalog.set_ip_pool(("kube-system", &name), Some(pool))
}

fn reserve(catalog: &mut Catalog, name: &str, pod: &str) -> bool {
    let object = json!({"spec": {"podref": pod, "ifname": "net1"}});
    let read = OverlappingReservation::read("kube-system", name, &object);
    let read = read.unwrap_or_else(|e| panic!("{e}"));
    catalog.set_overlapping_reservation(("kube-system", name), Some(Arc::new(read)))
}

/// Returns the held addresses as `space address pod interface`.
fn held(catalog: &Catalog) -> Vec<String> {
    let held = catalog.whereabouts().held();
    let line = |one: HeldAddress<'_>| {
        let pod = one.pod.map(ToString::to_string).unwrap_or_default();
        let space = one.space.network_name().to_owned();
        format!("{space} {} {pod} {}", one.address, one.interface)
    };
    held.map(line).collect()
}

#[test]
fn entries_are_found_by_address_and_by_pod() {
    let mut catalog = Catalog::default();
    catalog.put_network(network(
        "blue",
        r#""range":"10.0.0.0/24","network_name":"blue""#,
    ));
    let entries =
        json!({"5": entry("db/db-0", "net1"), "6": entry("", ""), "05": entry("db/db-1", "net1")});
    assert!(put(
        &mut catalog,
        pool("blue-10.0.0.0-24", "10.0.0.0/24", entries.clone())
    ));
    let again = pool("blue-10.0.0.0-24", "10.0.0.0/24", entries);
    assert!(!put(&mut catalog, again), "nothing has changed");
    put(
        &mut catalog,
        pool(
            "10.0.0.0-8",
            "10.0.0.0/8",
            json!({"5": entry("db/db-0", "net2")}),
        ),
    );

    let at = |catalog: &Catalog, last: u8| -> Vec<String> {
        let found = catalog.whereabouts().entries_at([10, 0, 0, last].into());
        found
            .map(|one| {
                format!(
                    "{} {}",
                    one.pool.usage.space.network_name(),
                    one.entry.pod_ref()
                )
            })
            .collect()
    };
    assert_eq!(
        at(&catalog, 5),
        [" db/db-0", "blue db/db-1", "blue db/db-0"]
    );
    assert_eq!(at(&catalog, 6), ["blue "]);
    let of = |catalog: &Catalog, pod: &str| -> Vec<String> {
        let pod = PodName::parse(pod).unwrap_or_else(|| panic!("{pod}"));
        let found = catalog.whereabouts().entries_of(&pod);
        found
            .map(|one| format!("{} {}", one.entry.address, one.entry.interface))
            .collect()
    };
    assert_eq!(of(&catalog, "db/db-0"), ["10.0.0.5 net2", "10.0.0.5 net1"]);
    assert_eq!(of(&catalog, "db/db"), [""; 0]);

    let published = catalog.clone();
    put(
        &mut catalog,
        pool(
            "blue-10.0.0.0-24",
            "10.0.0.0/24",
            json!({"7": entry("db/db-0", "net1")}),
        ),
    );
    assert_eq!(at(&catalog, 5), [" db/db-0"]);
    assert_eq!(of(&catalog, "db/db-0"), ["10.0.0.5 net2", "10.0.0.7 net1"]);
    assert_eq!(of(&published, "db/db-1"), ["10.0.0.5 net1"]);
    assert!(catalog.set_ip_pool(("kube-system", "10.0.0.0-8"), None));
    assert_eq!(at(&catalog, 5), [""; 0]);
}

#[test]
fn missing_and_forbidden_records_differ() {
    let mut catalog = Catalog::default();
    let known = |catalog: &Catalog| {
        let records = catalog.whereabouts();
        [
            records.knows_pools(),
            records.knows_reservations(),
            records.knows_slice_pools(),
        ]
    };
    assert_eq!(known(&catalog), [false; 3]);
    assert!(catalog.set_ip_pools_known(true) && !catalog.set_ip_pools_known(true));
    assert!(catalog.set_overlapping_reservations_known(true));
    assert!(catalog.set_node_slice_pools_known(true));
    assert_eq!(known(&catalog), [true; 3]);
    put(
        &mut catalog,
        pool(
            "10.0.0.0-24",
            "10.0.0.0/24",
            json!({"5": entry("db/db-0", "net1")}),
        ),
    );
    // The last known objects stay.
    assert!(catalog.set_ip_pools_known(false));
    assert_eq!((known(&catalog)[0], held(&catalog).len()), (false, 1));
}

#[test]
fn the_use_of_a_pool_follows_the_networks() {
    let mut catalog = Catalog::default();
    put(
        &mut catalog,
        pool("blue-10.0.0.0-24", "10.0.0.0/24", Value::Null),
    );
    let used = |catalog: &Catalog| {
        let found = catalog
            .whereabouts()
            .pool("kube-system", "blue-10.0.0.0-24");
        let found = found.unwrap_or_else(|| panic!("no pool"));
        let networks = found.usage.networks.iter().map(|one| one.name.to_string());
        (
            networks.collect::<Vec<_>>().join(" "),
            found.counts().capacity,
        )
    };
    assert_eq!(used(&catalog), (String::new(), 254));
    catalog.put_network(network(
        "a",
        r#""range":"10.0.0.5-10.0.0.9/24","network_name":"blue""#,
    ));
    catalog.put_network(network(
        "b",
        r#""range":"10.0.0.8-10.0.0.10/24","network_name":"blue""#,
    ));
    catalog.put_network(network("c", r#""range":"10.0.0.0/24""#));
    assert_eq!(used(&catalog), ("a b".to_owned(), 6));
    catalog.remove_network("db", "b");
    assert_eq!(used(&catalog), ("a".to_owned(), 5));
}

#[test]
fn an_address_is_held_once() {
    let mut catalog = Catalog::default();
    catalog.put_network(network(
        "ab",
        r#""range":"fd00:1::/64","network_name":"ab""#,
    ));
    let entries = json!({"5": entry("db/db-0", "net1"), "6": entry("", "")});
    put(&mut catalog, pool("10.0.0.0-24", "10.0.0.0/24", entries));
    put(
        &mut catalog,
        pool(
            "10.0.0.0-8",
            "10.0.0.0/8",
            json!({"6": entry("db/db-1", "net2")}),
        ),
    );
    for (name, pod) in [
        ("10.0.0.5", "db/db-0"),
        ("10.0.0.6", "db/db-9"),
        ("10.0.0.7", "db/db-2"),
        ("red-10.0.0.5", "db/db-3"),
        // Both ab:fd00:1::77 and fd00:1::77 of ab: only the latter is in a range.
        ("ab-fd00-1--77", "db/db-4"),
        ("nonsense", "db/db-5"),
    ] {
        assert!(reserve(&mut catalog, name, pod));
    }
    assert_eq!(
        held(&catalog),
        [
            " 10.0.0.5 db/db-0 net1",
            " 10.0.0.6 db/db-1 net2",
            " 10.0.0.7 db/db-2 net1",
            "ab fd00:1::77 db/db-4 net1",
            "red 10.0.0.5 db/db-3 net1",
        ]
    );
    let of = |catalog: &Catalog, space: &str, address: &str| {
        let address = address.parse().unwrap_or_else(|e| panic!("{address}: {e}"));
        let found = catalog
            .whereabouts()
            .reservations_of(&Space::new(space), address);
        found
            .map(|one| one.name.to_string())
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(of(&catalog, "", "10.0.0.7"), "10.0.0.7");
    assert_eq!(of(&catalog, "red", "10.0.0.7"), "");
    assert_eq!(of(&catalog, "ab", "fd00:1::77"), "ab-fd00-1--77");
    for name in [
        "10.0.0.5",
        "10.0.0.6",
        "10.0.0.7",
        "red-10.0.0.5",
        "ab-fd00-1--77",
        "nonsense",
    ] {
        assert!(catalog.set_overlapping_reservation(("kube-system", name), None));
    }
    assert_eq!(held(&catalog).len(), 2);
    assert!(catalog.whereabouts.reservation_namespaces.is_empty());
}

#[test]
fn a_change_of_one_pool_leaves_the_others() {
    let mut catalog = Catalog::default();
    for number in 0..200u8 {
        let (name, range) = (format!("10.{number}.0.0-16"), format!("10.{number}.0.0/16"));
        put(
            &mut catalog,
            pool(&name, &range, json!({"5": entry("db/db-0", "net1")})),
        );
    }
    let before = catalog.clone();
    let uses = Arc::as_ptr(&catalog.pool_uses);
    put(
        &mut catalog,
        pool(
            "10.7.0.0-16",
            "10.7.0.0/16",
            json!({"6": entry("db/db-0", "net1")}),
        ),
    );
    assert_eq!(
        Arc::as_ptr(&catalog.pool_uses),
        uses,
        "no name or range has changed"
    );
    let pairs = before
        .whereabouts()
        .pools()
        .zip(catalog.whereabouts().pools());
    let pairs: Vec<_> = pairs.collect();
    let changed = pairs
        .iter()
        .filter(|(then, now)| !Arc::ptr_eq(then.pool, now.pool));
    assert_eq!((pairs.len(), changed.count()), (200, 1));
}

/// A change of one of 5,000 entries copies one shard of an index.
#[test]
fn a_change_of_one_entry_of_many_copies_little() {
    let mut entries = Map::new();
    for offset in 1..=5000u32 {
        entries.insert(
            offset.to_string(),
            entry(&format!("db/db-{offset}"), "net1"),
        );
    }
    let mut catalog = Catalog::default();
    put(
        &mut catalog,
        pool("10.0.0.0-16", "10.0.0.0/16", entries.clone().into()),
    );
    let before = catalog.clone();
    entries.insert("5001".to_owned(), entry("db/new", "net1"));
    put(
        &mut catalog,
        pool("10.0.0.0-16", "10.0.0.0/16", entries.into()),
    );
    let (then, now) = (&before.whereabouts, &catalog.whereabouts);
    for (then, now) in [
        (&then.by_address, &now.by_address),
        (&then.by_pod, &now.by_pod),
    ] {
        let copied = now.copied_since(then);
        assert!((1..200).contains(&copied), "{copied} entries were copied");
    }
    assert_eq!(
        catalog
            .whereabouts()
            .entries_at([10, 0, 19, 137].into())
            .count(),
        1
    );
}
