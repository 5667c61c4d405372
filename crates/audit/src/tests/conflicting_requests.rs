//! Requested and configured addresses that several live pods get.

use serde_json::{Value, json};

use super::{
    conflicting_records::{DENIED, POSSIBLE, silent},
    world::{
        World, check, launcher_of, network_of, network_on, own_pool, pod_on, requesting,
        reservation, set, whereabouts,
    },
};

fn asking(network: &str, name: &str) -> Value {
    requesting(
        silent(network, name),
        json!({"name": network, "ips": ["10.0.0.5/24"]}),
    )
}

#[test]
fn an_entry_and_a_requested_address() {
    let fixed = |master: &str, ipam: Value| network_on(master, "half", ipam);
    let world = |other: Value, pod: Value| {
        World::of([whereabouts(), other, own_pool(&[("5", "db/a")])])
            .with(silent("net", "a"))
            .with(reservation("10.0.0.5", "db/a"))
            .with(pod)
    };
    let fixed_ips = || json!({"type": "static"});
    let without = pod_on("half", "b", json!({"ips": ["10.0.0.6"]}));
    let ignored = requesting(without, json!({"name": "half", "ips": ["10.0.0.5/24"]}));
    check(&[
        (
            "on the link",
            world(fixed("eth1", fixed_ips()), asking("half", "b")),
            &[DENIED],
        ),
        (
            "on another link",
            world(fixed("eth2", fixed_ips()), asking("half", "b")),
            &[],
        ),
        (
            "on the network itself",
            world(fixed("eth2", fixed_ips()), asking("net", "b")),
            &[DENIED],
        ),
        (
            "an IPAM that ignores it",
            world(fixed("eth1", json!({"type": "dhcp"})), asking("half", "b")),
            &[],
        ),
        (
            "an IPAM that is not known",
            world(fixed("eth1", json!({"type": "x"})), asking("half", "b")),
            &[POSSIBLE],
        ),
        (
            "the interface has another one",
            world(fixed("eth1", fixed_ips()), ignored),
            &[],
        ),
    ]);
    let world = world(fixed("eth1", fixed_ips()), asking("half", "b"));
    // The annotation of its workload brings the address back.
    assert_eq!(world.commands(), [""; 0]);
    assert_eq!(
        world.findings()[0].help,
        "pod db/a keeps the address; remove 10.0.0.5 from ips in the workload of pod db/b"
    );
}

#[test]
fn two_requests_of_one_address() {
    let fixed = |network: &str| network_on("eth1", network, json!({"type": "static"}));
    let world = World::of([fixed("net"), asking("net", "a"), asking("net", "b")]);
    assert_eq!(world.lines(), [DENIED]);
    // A network that is not known is one network, and its IPAM may ignore the request.
    let world = World::of([asking("net", "a"), asking("net", "b")]);
    assert_eq!(world.lines(), [POSSIBLE]);
    let world = World::of([asking("net", "a"), asking("half", "b")]);
    assert_eq!(world.lines(), [""; 0]);
    // The launchers of a virtual machine have one address.
    let launchers = [asking("net", "a"), asking("net", "b")].map(|pod| launcher_of("vm", pod));
    assert_eq!(World::of(launchers).with(fixed("net")).lines(), [""; 0]);
}

#[test]
fn a_configured_address_of_two_pods() {
    let addresses = json!([{"address": "10.0.0.5/24"}]);
    let ipam = json!({"type": "static", "addresses": addresses});
    let world = |network: Value| {
        let away = set(silent("net", "b"), "/spec/nodeName", "n2".into());
        World::of([network, silent("net", "a"), away])
    };
    let linked = network_on("eth1", "net", ipam.clone());
    assert_eq!(world(linked).lines(), [DENIED]);
    // A bridge is in one node.
    let bridge = json!({"type": "bridge", "bridge": "br1", "ipam": ipam});
    assert_eq!(world(network_of("net", bridge.clone())).lines(), [""; 0]);
    // The capability ips replaces what is configured.
    let asks = |name: &str| {
        let selection = json!({"name": "net", "ips": [format!("10.0.0.{name}/24")]});
        requesting(silent("net", &format!("p{name}")), selection)
    };
    for (capabilities, expected) in [
        (json!({"ips": true}), vec![]),
        (json!({}), vec!["conflicting-records"]),
    ] {
        let config = json!({
            "type": "macvlan", "master": "eth1", "capabilities": capabilities, "ipam": ipam,
        });
        let world = World::of([network_of("net", config), asks("7"), asks("8")]);
        assert_eq!(world.codes(), expected);
    }
    let together = World::of([network_of("net", bridge)])
        .with(silent("net", "a"))
        .with(silent("net", "b"));
    assert_eq!(together.lines(), [DENIED]);
}

#[test]
fn requests_of_a_default_network_that_is_not_known() {
    // Each namespace may have a primary network of its own in its place.
    let asks = json!([{"name": "default", "namespace": "ovn-kubernetes", "ips": ["10.0.0.5/24"]}]);
    let pods = ["a", "b"].map(|name| {
        let key = "/metadata/annotations/v1.multus-cni.io~1default-network";
        set(silent("net", name), key, asks.to_string().into())
    });
    assert_eq!(World::of(pods).lines(), [""; 0]);
}

#[test]
fn link_local_addresses_are_a_warning() {
    let asks = |name: &str| {
        let selection = json!({"name": "net", "ips": ["fe80::5/64"]});
        requesting(silent("net", name), selection)
    };
    let net = network_on("eth1", "net", json!({"type": "static"}));
    let world = World::of([net, asks("a"), asks("b")]);
    assert_eq!(
        world.lines(),
        ["warn conflicting-records: records give fe80::5 to 2 live pods: db/a, db/b"]
    );
}

#[test]
fn the_configuration_of_another_network_is_corrected() {
    let addresses = json!([{"address": "10.0.0.5/24"}]);
    let fixed = json!({"type": "static", "addresses": addresses});
    let world = |owner: Value| {
        World::of([whereabouts(), network_on("eth1", "half", fixed.clone())])
            .with(own_pool(&[("5", "db/a")]))
            .with(owner)
            .with(silent("half", "b"))
            .findings()
            .into_iter()
            .filter(|one| one.code == crate::AuditCode::ConflictingRecords)
            .map(|one| one.help)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        world(silent("net", "a")),
        ["pod db/a keeps the address; remove 10.0.0.5 from the configuration of network db/half"]
    );
    assert_eq!(
        world(silent("half", "a")),
        [
            "pod db/a keeps the address; let only one pod use network db/half, which configures 10.0.0.5"
        ]
    );
}
