//! Conflicts between pods and between allocators.

use serde_json::{Value, json};

use super::world::{
    World, consistent, ipam, network_of, network_on, own_pool, pod, pod_on, reservation, set,
    whereabouts,
};

/// A pod on a node, with an address on a network.
fn user(network: &str, name: &str, node: &str, ip: &str) -> Value {
    let pod = pod_on(network, name, json!({"ips": [ip]}));
    set(pod, "/spec/nodeName", node.into())
}

/// Returns the codes of two pods with one address on two networks, each on a node of its own.
fn two(networks: [Value; 2]) -> Vec<String> {
    let names = [0, 1].map(|at: usize| {
        let name = networks[at]["metadata"]["name"].as_str();
        name.unwrap_or_default().to_owned()
    });
    World::of(networks)
        .with(user(&names[0], "a", "n1", "10.0.0.5"))
        .with(user(&names[1], "b", "n2", "10.0.0.5"))
        .lines()
        .into_iter()
        .filter(|line| line.contains("duplicate"))
        .collect()
}

#[test]
fn duplicate_addresses_by_segment() {
    let fixed = || json!({"type": "static"});
    let bridge = |name: &str, ipam: Value| {
        network_of(
            name,
            json!({"type": "bridge", "bridge": "br1", "ipam": ipam}),
        )
    };
    let host_local = || json!({"type": "host-local", "subnet": "10.0.0.0/24"});
    let duplicate = ["deny duplicate-address: 10.0.0.5 is on the interfaces of 2 pods: db/a, db/b"];
    let none: [&str; 0] = [];
    assert_eq!(
        two([
            network_on("eth1", "x", fixed()),
            network_on("eth1", "y", fixed())
        ]),
        duplicate
    );
    assert_eq!(
        two([
            network_on("eth1", "x", fixed()),
            network_on("eth2", "y", fixed())
        ]),
        none
    );
    // A bridge is in one node, unless one allocator gives the addresses for all.
    assert_eq!(
        two([bridge("x", host_local()), bridge("y", host_local())]),
        none
    );
    assert_eq!(two([bridge("x", fixed()), bridge("y", fixed())]), none);
    let range = || ipam(json!({"range": "10.0.0.0/24"}));
    assert_eq!(two([bridge("x", range()), bridge("y", range())]), duplicate);
    // A link without name is that of its network alone.
    let sriov = |name: &str| network_of(name, json!({"type": "sriov", "ipam": fixed()}));
    assert_eq!(two([sriov("x"), sriov("y")]), none);
    assert_eq!(two([sriov("x"), sriov("x")]), duplicate);
}

#[test]
fn duplicate_addresses_by_pod() {
    let second = || {
        set(
            pod("b", &["10.0.0.5"]),
            "/metadata/creationTimestamp",
            "500".into(),
        )
    };
    let world = consistent().with(second());
    assert_eq!(
        world.lines(),
        ["deny duplicate-address: 10.0.0.5 is on the interfaces of 2 pods: db/a, db/b"]
    );
    // The pod of the record keeps the address, though it is the younger one.
    assert_eq!(world.commands(), ["kubectl delete pod -n db b"]);
    let ended = set(second(), "/status/phase", "Failed".into());
    assert_eq!(consistent().with(ended).lines(), [""; 0]);
    let leaving = set(second(), "/metadata/deletionTimestamp", "900000".into());
    assert_eq!(
        consistent().with(leaving).lines(),
        ["warn duplicate-address: 10.0.0.5 is on the interfaces of 2 pods: db/a, db/b"]
    );
}

/// An AddressPool with these options, which serves no network.
fn address_pool(spec: Value) -> Value {
    json!({
        "apiVersion": "nadmit.io/v1alpha1", "kind": "AddressPool",
        "metadata": {"name": "storage"}, "spec": spec,
    })
}

#[test]
fn two_allocators() {
    let range = |text: &str| address_pool(json!({"ranges": [{"range": text}]}));
    let on = |master: &str, name: &str, options: Value| network_on(master, name, ipam(options));
    let fixed = |master: &str| {
        let addresses = json!([{"address": "10.0.0.9/24"}]);
        network_on(
            master,
            "y",
            json!({"type": "static", "addresses": addresses}),
        )
    };
    let host_local = |master: &str| {
        let local =
            json!({"type": "host-local", "subnet": "10.0.0.0/24", "rangeStart": "10.0.0.200"});
        network_on(master, "y", local)
    };
    let both = |what: &str| format!("deny two-allocators: two allocators assign {what}");
    let own = "NetworkAttachmentDefinition db/net";
    let other = "NetworkAttachmentDefinition db/y";
    let pool = "AddressPool storage";
    let blue = || {
        on(
            "eth1",
            "y",
            json!({"range": "10.0.0.128/25", "network_name": "blue"}),
        )
    };
    let alone = json!({"range": "10.0.0.128/25", "enable_overlapping_ranges": false});
    let table: [(&str, Value, Option<String>); 11] = [
        (
            "a pool",
            range("10.0.0.0/28"),
            Some(both(&format!("10.0.0.1 to 10.0.0.14: {pool} and {own}"))),
        ),
        ("another range", range("10.0.1.0/28"), None),
        (
            "another address space",
            address_pool(json!({"ranges": [{"range": "10.0.0.0/28"}], "networkName": "blue"})),
            None,
        ),
        (
            "host-local",
            host_local("eth1"),
            Some(both(&format!(
                "10.0.0.200 to 10.0.0.254: {own} and {other}"
            ))),
        ),
        ("host-local elsewhere", host_local("eth2"), None),
        (
            "a configured address",
            fixed("eth1"),
            Some(both(&format!("10.0.0.9: {own} and {other}"))),
        ),
        ("a configured address elsewhere", fixed("eth2"), None),
        (
            "another network_name",
            blue(),
            Some(both(&format!(
                "10.0.0.129 to 10.0.0.254: {own} and {other}"
            ))),
        ),
        (
            "without reservations",
            on("eth1", "y", alone),
            Some(both(&format!(
                "10.0.0.129 to 10.0.0.254: {own} and {other}"
            ))),
        ),
        (
            "with reservations",
            on("eth1", "y", json!({"range": "10.0.0.128/25"})),
            None,
        ),
        (
            "one IPPool",
            on("eth1", "y", json!({"range": "10.0.0.0/24"})),
            None,
        ),
    ];
    for (what, object, expected) in table {
        let found = World::of([whereabouts(), object]).lines();
        assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{what}");
    }
    // An entry keeps Whereabouts from assigning a configured address.
    assert_eq!(
        World::of([whereabouts(), fixed("eth1"), own_pool(&[("9", "")])]).lines(),
        [""; 0]
    );
    // A pod that gets the address by the configuration keeps it, too; any other one does not.
    let entry = || World::of([whereabouts(), fixed("eth1"), own_pool(&[("9", "db/a")])]);
    let reserved = || entry().with(reservation("10.0.0.9", "db/a"));
    let by = |network: &str| reserved().with(pod_on(network, "a", json!({"ips": ["10.0.0.9"]})));
    let conflict = both(&format!("10.0.0.9: {own} and {other}"));
    assert_eq!(by("net").lines(), [conflict]);
    assert!(!by("y").codes().contains(&"two-allocators"));
    let commands = World::of([whereabouts(), range("10.0.0.0/24")]).commands();
    assert_eq!(
        commands,
        ["kubectl edit network-attachment-definitions.k8s.cni.cncf.io -n db net"]
    );
    let net = on("eth1", "net", json!({"range": "10.0.0.0/30"}));
    let excluding = json!({"ranges": [{"range": "10.0.0.0/24", "exclude": ["10.0.0.9"]}]});
    let commands = World::of([net, address_pool(excluding)]).commands();
    assert_eq!(
        commands,
        [
            "kubectl patch addresspools.nadmit.io storage --type=json -p \
             '[{\"op\":\"test\",\"path\":\"/spec/ranges/0/exclude\",\"value\":[\"10.0.0.9\"]},\
             {\"op\":\"add\",\"path\":\"/spec/ranges/0/exclude\",\
             \"value\":[\"10.0.0.9\",\"10.0.0.1/32\",\"10.0.0.2/32\"]}]'"
        ]
    );
}

#[test]
fn a_reservation_of_a_pod_that_is_gone_is_handed_over() {
    let world = World::of([
        whereabouts(),
        pod("b", &["10.0.0.5"]),
        own_pool(&[("5", "db/b")]),
        reservation("10.0.0.5", "db/a"),
    ]);
    assert_eq!(
        world.lines(),
        [
            "deny orphaned-reservation: the reservation kube-system/10.0.0.5 is of pod db/a, which does not exist"
        ]
    );
    assert!(world.commands()[0].ends_with(
        "'[{\"op\":\"test\",\"path\":\"/spec/podref\",\"value\":\"db/a\"},\
         {\"op\":\"replace\",\"path\":\"/spec/podref\",\"value\":\"db/b\"}]'"
    ));
}

#[test]
fn allocators_of_one_range_are_one_finding() {
    let named = |master: &str, at: usize| {
        let space = format!("s{at}");
        let options = json!({"range": "10.0.0.0/24", "network_name": space});
        network_on(master, &format!("n{at}"), ipam(options))
    };
    let found = |count: usize| World::of((10..10 + count).map(|at| named("eth1", at))).findings();
    for (count, message) in [
        (1, None),
        (
            2,
            Some(
                "two allocators assign 10.0.0.1 to 10.0.0.254: NetworkAttachmentDefinition db/n10 and NetworkAttachmentDefinition db/n11",
            ),
        ),
        (
            3,
            Some(
                "3 allocators assign 10.0.0.1 to 10.0.0.254: NetworkAttachmentDefinition db/n10, NetworkAttachmentDefinition db/n11, NetworkAttachmentDefinition db/n12",
            ),
        ),
    ] {
        let messages: Vec<_> = found(count).into_iter().map(|one| one.message).collect();
        assert_eq!(messages, Vec::from_iter(message));
    }
    let many = found(40);
    assert_eq!((many.len(), many[0].evidence.len()), (1, 10));
    assert!(
        many[0].message.ends_with("db/n19 and 30 more"),
        "{}",
        many[0].message
    );
    // Nothing would be left of a whole range.
    assert_eq!(
        many[0].help,
        "use one network_name for all of them, or other ranges or links"
    );
    // The segments are apart.
    let apart = World::of([
        named("eth1", 1),
        named("eth1", 2),
        named("eth2", 3),
        named("eth2", 4),
    ]);
    assert_eq!(apart.codes(), ["two-allocators", "two-allocators"]);
    let one_space = |overlapping: bool, range: &str| {
        let options = json!({"range": range, "enable_overlapping_ranges": overlapping});
        network_on("eth1", "y", ipam(options))
    };
    let part = World::of([whereabouts(), one_space(false, "10.0.0.128/25")]).findings();
    assert!(
        part[0]
            .help
            .starts_with("exclude 10.0.0.129 to 10.0.0.254 "),
        "{}",
        part[0].help
    );
}
