//! Entries of Whereabouts that differ from the interfaces of their pods, and what becomes of them.

use serde_json::{Value, json};

use super::world::{
    World, check, consistent, ipam, network_of, network_on, own_pool, pod, pod_on, pool,
    reservation, set, whereabouts,
};

#[test]
fn offsets_count_from_the_range_as_written() {
    let net = || network_on("eth1", "net", ipam(json!({"range": "198.51.100.32/24"})));
    let world = |address: &str| {
        World::of([
            net(),
            pod("a", &[address]),
            pool("198.51.100.0-24", "198.51.100.32/24", &[("77", "db/a")]),
            reservation("198.51.100.109", "db/a"),
        ])
    };
    assert_eq!(world("198.51.100.109").lines(), [""; 0]);
    assert_eq!(
        world("198.51.100.77").lines(),
        [
            "deny drift: 198.51.100.109 is recorded for net1 of pod db/a, which has 198.51.100.77 instead"
        ]
    );
    // Offsets of IPv6 have more digits than a number of 64 bits.
    let net = network_on("eth1", "net", ipam(json!({"range": "fd00::/32"})));
    let world = World::of([
        net,
        pod("a", &["fd00::8000:0:0:1"]),
        pool(
            "fd00---32",
            "fd00::/32",
            &[
                ("9223372036854775809", "db/a"),
                ("18446744073709551616", ""),
            ],
        ),
        reservation("fd00--8000-0-0-1", "db/a"),
    ]);
    assert_eq!(world.codes(), [""; 0]);
}

#[test]
fn drift_of_entries() {
    let drifted = World::of([
        whereabouts(),
        pod("a", &["10.0.0.6"]),
        own_pool(&[("5", "db/a")]),
        reservation("10.0.0.5", "db/a"),
    ]);
    let renamed = |entry: &'static str| {
        consistent()
            .0
            .into_iter()
            .map(move |object| match object["kind"] == "IPPool" {
                true => set(object, "/spec/allocations/5/ifname", entry.into()),
                false => object,
            })
    };
    check(&[
        (
            "another address",
            drifted.clone(),
            &["deny drift: 10.0.0.5 is recorded for net1 of pod db/a, which has 10.0.0.6 instead"],
        ),
        (
            "another interface",
            World::of(renamed("net2")),
            &["deny drift: 10.0.0.5 is recorded for net2 of pod db/a, but is on net1"],
        ),
        ("a record without interface", World::of(renamed("")), &[]),
        (
            "another pod has it",
            World::of([
                whereabouts(),
                pod("b", &["10.0.0.5"]),
                own_pool(&[("5", "db/a")]),
            ]),
            &[
                "deny drift: 10.0.0.5 is recorded for pod db/a, which does not exist, but pod db/b has it",
            ],
        ),
    ]);
    assert!(drifted.commands()[0].ends_with(
        "'[{\"op\":\"test\",\"path\":\"/metadata/resourceVersion\",\"value\":\"7\"},\
         {\"op\":\"test\",\"path\":\"/spec/range\",\"value\":\"10.0.0.0/24\"},\
         {\"op\":\"test\",\"path\":\"/spec/allocations/5/podref\",\"value\":\"db/a\"},\
         {\"from\":\"/spec/allocations/5\",\"op\":\"move\",\"path\":\"/spec/allocations/6\"}]'"
    ));
}

#[test]
fn an_address_gets_one_entry() {
    let world = |has: &[&str]| {
        World::of([
            whereabouts(),
            pod("a", has),
            own_pool(&[("5", "db/a"), ("6", "db/a")]),
            reservation("10.0.0.5", "db/a"),
        ])
    };
    let drift = |from: &str, to: &str| {
        format!(
            "deny drift: 10.0.0.{from} is recorded for net1 of pod db/a, which has 10.0.0.{to} instead"
        )
    };
    let leak = "deny leaked-entry: 10.0.0.6 is recorded for pod db/a, which does not have it";
    assert_eq!(world(&["10.0.0.9"]).lines(), [drift("5", "9"), leak.into()]);
    assert_eq!(
        world(&["10.0.0.9", "10.0.0.8"]).lines(),
        [drift("5", "8"), drift("6", "9")]
    );
    // The first one is not stale.
    assert_eq!(world(&["10.0.0.5", "10.0.0.9"]).lines(), [drift("6", "9")]);
}

#[test]
fn entries_are_compared_within_their_address_space() {
    let named = || {
        let options = json!({"range": "10.0.0.0/24", "network_name": "blue"});
        network_on("eth2", "blue", ipam(options))
    };
    let other = || {
        network_of(
            "blue",
            json!({"type": "macvlan", "ipam": {"type": "static"}}),
        )
    };
    let world = |network: Vec<Value>, has: &str| {
        World::of(network)
            .with(whereabouts())
            .with(pod_on("blue", "a", json!({"ips": [has]})))
            .with(own_pool(&[("5", "db/a")]))
            .with(reservation("10.0.0.5", "db/a"))
            .with(pool("blue-10.0.0.0-24", "10.0.0.0/24", &[("9", "db/a")]))
            .with(reservation("blue-10.0.0.9", "db/a"))
    };
    let leak = "deny leaked-entry: 10.0.0.5 is recorded for pod db/a, which does not have it";
    check(&[
        ("another space", world(vec![named()], "10.0.0.9"), &[leak]),
        (
            "the address in another space",
            World::of([
                whereabouts(),
                named(),
                pod_on("blue", "a", json!({"ips": ["10.0.0.5"]})),
                own_pool(&[("5", "db/a")]),
                pool("blue-10.0.0.0-24", "10.0.0.0/24", &[("5", "db/a")]),
                reservation("10.0.0.5", "db/a"),
                reservation("blue-10.0.0.5", "db/a"),
            ]),
            &[leak],
        ),
        (
            "a network without Whereabouts",
            World::of([
                whereabouts(),
                other(),
                pod_on("blue", "a", json!({"ips": ["10.0.0.5"]})),
                own_pool(&[("5", "db/a")]),
                reservation("10.0.0.5", "db/a"),
            ]),
            &[leak],
        ),
        (
            "a network that is not known",
            World::of([
                whereabouts(),
                pod_on("blue", "a", json!({"ips": ["10.0.0.5"]})),
                own_pool(&[("5", "db/a")]),
                reservation("10.0.0.5", "db/a"),
            ]),
            &[],
        ),
    ]);
}

#[test]
fn an_interface_without_name_is_no_other_one() {
    let unnamed = |ip: &str| pod_on("net", "a", json!({"ips": [ip], "interface": null}));
    let world = |pod: Value| {
        World::of([
            whereabouts(),
            pod,
            own_pool(&[("5", "db/a")]),
            reservation("10.0.0.5", "db/a"),
        ])
    };
    check(&[
        ("the address", world(unnamed("10.0.0.5")), &[]),
        (
            "another address",
            world(unnamed("10.0.0.6")),
            &["deny drift: 10.0.0.5 is recorded for net1 of pod db/a, which has 10.0.0.6 instead"],
        ),
    ]);
}

#[test]
fn only_a_pod_that_stays_gets_an_entry() {
    let world = |path: &str, value: &str| {
        World::of([
            whereabouts(),
            set(pod("b", &["10.0.0.5"]), path, value.into()),
            own_pool(&[("5", "db/a")]),
        ])
    };
    let message =
        "drift: 10.0.0.5 is recorded for pod db/a, which does not exist, but pod db/b has it";
    for (path, value, level) in [
        ("/metadata/deletionTimestamp", "1", "warn"),
        ("/metadata/creationTimestamp", "999950", "warn"),
        ("/status/phase", "Pending", "warn"),
        ("/status/phase", "Running", "deny"),
    ] {
        let world = world(path, value);
        assert_eq!(world.lines(), [format!("{level} {message}")], "{path}");
        assert_eq!(world.commands().len(), usize::from(level == "deny"));
    }
}

#[test]
fn paths_have_the_key_as_written() {
    let world = World::of([whereabouts(), own_pool(&[("007", "db/a"), ("8", "db/a")])]);
    let commands = world.commands();
    for (command, path) in commands
        .iter()
        .zip(["/spec/allocations/007", "/spec/allocations/8"])
    {
        assert!(command.contains(&format!("\"{path}\"")), "{command}");
    }
    assert_eq!(commands.len(), 2);
}
