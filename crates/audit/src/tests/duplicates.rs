//! Duplicate addresses: where an address has to be unique, and which pod keeps it.

use serde_json::{Value, json};

use super::world::{World, ipam, network_of, network_on, pod_on, set};

/// A bridge of this name, with Whereabouts and the range 10.0.0.0/24, or without records.
fn bridge(name: &str, recorded: bool) -> Value {
    let ipam = match recorded {
        true => ipam(json!({"range": "10.0.0.0/24"})),
        false => json!({"type": "static"}),
    };
    network_of(
        name,
        json!({"type": "bridge", "bridge": "br1", "ipam": ipam}),
    )
}

/// A pod on a node with an address on a network.
fn user(name: &str, network: &str, node: &str, ip: &str) -> Value {
    let pod = pod_on(network, name, json!({"ips": [ip]}));
    set(pod, "/spec/nodeName", node.into())
}

/// The lines about duplicates of pods with 10.0.0.5: name, network and node of each.
fn duplicates(pods: &[(&str, &str, &str)]) -> Vec<String> {
    let link = network_on("br1", "link", json!({"type": "static"}));
    let mut world = World::of([bridge("wide", true), bridge("own", false), link]);
    for (name, network, node) in pods {
        world.0.push(user(name, network, node, "10.0.0.5"));
    }
    let lines = world.lines().into_iter();
    lines.filter(|line| line.contains("duplicate")).collect()
}

#[test]
fn networks_of_one_bridge_share_its_nodes() {
    let of =
        |pods: &str| format!("deny duplicate-address: 10.0.0.5 is on the interfaces of {pods}");
    type Case<'t> = (&'t str, &'t [(&'t str, &'t str, &'t str)], Vec<String>);
    let table: [Case<'_>; 5] = [
        (
            "a network for all nodes, and another one, on a node",
            &[("a", "wide", "n1"), ("b", "own", "n1")],
            vec![of("2 pods: db/a, db/b")],
        ),
        (
            "the same on two nodes",
            &[("a", "wide", "n1"), ("b", "own", "n2")],
            vec![],
        ),
        (
            "one network for all nodes",
            &[("a", "wide", "n1"), ("b", "wide", "n2")],
            vec![of("2 pods: db/a, db/b")],
        ),
        (
            "all in one place",
            &[("a", "wide", "n1"), ("b", "wide", "n1"), ("c", "own", "n1")],
            vec![of("3 pods: db/a, db/b, db/c")],
        ),
        (
            "without a node",
            &[("a", "own", "n1"), ("b", "own", "n2")],
            vec![],
        ),
    ];
    for (what, pods, expected) in table {
        assert_eq!(duplicates(pods), expected, "{what}");
    }
}

#[test]
fn a_message_names_ten_pods() {
    let count = |count: usize| {
        let pods: Vec<_> = (10..10 + count).map(|at| format!("p{at}")).collect();
        let pods: Vec<_> = pods.iter().map(|name| (&**name, "link", "n1")).collect();
        duplicates(&pods).concat()
    };
    assert!(count(10).ends_with(
        " 10 pods: db/p10, db/p11, db/p12, db/p13, db/p14, db/p15, db/p16, db/p17, db/p18, db/p19"
    ));
    assert!(count(12).ends_with(", db/p19 and 2 more"));
}

#[test]
fn link_local_addresses_are_a_warning() {
    for (address, expected) in [
        ("fe80::1", "warn"),
        ("169.254.1.1", "warn"),
        ("fd00::1", "deny"),
        ("169.253.1.1", "deny"),
    ] {
        let link = network_on("eth1", "link", json!({"type": "static"}));
        let pods = ["a", "b"].map(|name| user(name, "link", "n1", address));
        let world = World::of(pods).with(link);
        assert_eq!(
            world.lines(),
            [format!(
                "{expected} duplicate-address: {address} is on the interfaces of 2 pods: db/a, db/b"
            )]
        );
        assert_eq!(world.commands().is_empty(), expected == "warn");
    }
}
