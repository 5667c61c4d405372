//! Generated worlds: consistent ones have no finding, and one change has one.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::world::{World, ipam, network_on, pod_on, pool, reservation};

/// A pod of a generated world: its network and its offset there.
#[derive(Debug, Clone)]
struct Placed {
    network: usize,
    offset: u16,
}

fn placed() -> impl Strategy<Value = Vec<Placed>> {
    let one = (0..3usize, 1..1000u16).prop_map(|(network, offset)| Placed { network, offset });
    proptest::collection::vec(one, 0..30).prop_map(|mut pods| {
        pods.sort_by_key(|one| (one.network, one.offset));
        pods.dedup_by_key(|one| (one.network, one.offset));
        pods
    })
}

/// The networks: an unnamed address space, a named one on the same link, and one of IPv6.
const NETWORKS: [(&str, &str, &str, &str); 3] = [
    ("eth1", "", "10.0.0.0/16", "10.0.0.0-16"),
    ("eth2", "blue", "10.0.0.64/16", "blue-10.0.0.0-16"),
    ("eth1", "", "fd00::/64", "fd00---64"),
];

fn address(one: &Placed) -> String {
    let [high, low] = one.offset.to_be_bytes();
    match one.network {
        0 => format!("10.0.{high}.{low}"),
        1 => {
            let [high, low] = (one.offset + 64).to_be_bytes();
            format!("10.0.{high}.{low}")
        }
        _ => format!("fd00::{:x}", one.offset),
    }
}

fn world(pods: &[Placed]) -> World {
    let mut world = World::default();
    for (at, (master, space, range, name)) in NETWORKS.iter().enumerate() {
        let options = json!({"range": range, "network_name": space});
        let network = format!("net{at}");
        world.0.push(network_on(master, &network, ipam(options)));
        let own: Vec<(String, String)> = pods
            .iter()
            .enumerate()
            .filter(|(_, one)| one.network == at)
            .map(|(index, one)| (one.offset.to_string(), format!("db/p{index}")))
            .collect();
        let entries: Vec<(&str, &str)> = own.iter().map(|(a, b)| (&**a, &**b)).collect();
        world.0.push(pool(name, range, &entries));
    }
    for (index, one) in pods.iter().enumerate() {
        let (name, address) = (format!("p{index}"), address(one));
        let status = json!({"ips": [address], "mac": format!("02:00:00:00:00:{index:02x}")});
        world
            .0
            .push(pod_on(&format!("net{}", one.network), &name, status));
        let space = match one.network {
            1 => "blue-",
            _ => "",
        };
        let record = format!("{space}{}", address.replace(':', "-"));
        world.0.push(reservation(&record, &format!("db/{name}")));
    }
    world
}

/// Values that no API server stores, and texts that mean something elsewhere.
fn hostile() -> impl Strategy<Value = Value> {
    let texts = [
        "",
        "/",
        "10.0.0.0/0",
        "::/0",
        "255.255.255.255/32",
        "a/b",
        "'; x",
        "[",
        "[{}]",
        "-1",
    ];
    prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        proptest::sample::select(texts.to_vec()).prop_map(Value::from),
        ".{0,40}".prop_map(Value::from),
        Just(json!([{}, 7, [null]])),
        (any::<u128>(), any::<u64>())
            .prop_map(|(a, b)| json!({a.to_string(): {"podref": "db/p0"}, b.to_string(): {}})),
    ]
}

/// Collects the paths of all values below a value.
fn pointers(value: &Value, path: &str, into: &mut Vec<String>) {
    into.push(path.to_owned());
    let members = value.as_object().into_iter().flatten();
    for (key, member) in members {
        let key = key.replace('~', "~0").replace('/', "~1");
        pointers(member, &format!("{path}/{key}"), into);
    }
}

proptest! {
    #[test]
    fn a_consistent_world_has_no_finding(pods in placed()) {
        prop_assert_eq!(world(&pods).lines(), Vec::<String>::new());
    }

    #[test]
    fn a_pod_that_goes_leaves_its_records(pods in placed(), gone in any::<prop::sample::Index>()) {
        if !pods.is_empty() {
            let name = format!("p{}", gone.index(pods.len()));
            let mut world = world(&pods);
            world.0.retain(|object| object["kind"] != "Pod" || object["metadata"]["name"] != *name);
            prop_assert_eq!(world.codes(), ["leaked-entry", "orphaned-reservation"]);
        }
    }

    #[test]
    fn a_second_entry_of_an_address_is_a_conflict(
        pods in placed(),
        at in any::<prop::sample::Index>(),
    ) {
        let first: Vec<&Placed> = pods.iter().filter(|one| one.network == 0).collect();
        if !first.is_empty() {
            let one = first[at.index(first.len())];
            let mut twin = pod_on("twin", "twin", json!({}));
            if let Some(annotations) = twin["metadata"]["annotations"].as_object_mut() {
                annotations.remove("k8s.v1.cni.cncf.io/network-status");
            }
            let network = network_on("eth1", "twin", ipam(json!({"range": "10.0.0.0/17"})));
            let offset = one.offset.to_string();
            let pool = pool("10.0.0.0-17", "10.0.0.0/17", &[(&offset, "db/twin")]);
            let world = world(&pods).with(network).with(pool).with(twin);
            prop_assert_eq!(world.codes(), ["conflicting-records"]);
        }
    }

    #[test]
    fn no_object_panics(
        pods in placed(),
        at in any::<prop::sample::Index>(),
        leaf in any::<prop::sample::Index>(),
        value in hostile(),
    ) {
        let mut world = world(&pods);
        let object = &mut world.0[at.index(pods.len() * 2 + 6)];
        let mut leaves = Vec::new();
        pointers(object, "", &mut leaves);
        if let Some(place) = object.pointer_mut(&leaves[leaf.index(leaves.len())]) {
            *place = value;
        }
        world.lines();
    }

    #[test]
    fn the_order_of_objects_does_not_matter(pods in placed(), turn in 0..50usize) {
        let mut inconsistent = world(&pods);
        inconsistent.0.retain(|object| object["kind"] != "OverlappingRangeIPReservation");
        let expected = inconsistent.lines();
        let count = inconsistent.0.len();
        inconsistent.0.rotate_left(turn % count);
        prop_assert_eq!(inconsistent.lines(), expected);
    }
}
