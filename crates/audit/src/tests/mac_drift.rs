//! MACs on interfaces that differ from what is requested, recorded or in the spec of a machine.

use serde_json::{Value, json};

use super::world::{
    World, check, launcher_of, machine_with, network_of, network_on, pod_on, requesting, set,
};

const WANTED: &str = "02:00:00:00:00:01";
const OTHER: &str = "02:00:00:00:00:02";
const DRIFT: &str =
    "drift: net1 of pod db/a has MAC 02:00:00:00:00:02 instead of 02:00:00:00:00:01";

fn net() -> Value {
    network_on("eth1", "net", json!({"type": "static"}))
}

/// A pod whose annotation requests one MAC, and whose interface has another one.
fn asking(mac: &str, has: &str) -> Value {
    requesting(
        pod_on("net", "a", json!({"mac": has})),
        json!({"name": "net", "mac": mac}),
    )
}

fn allocation(name: &str, address: &str, mac: Option<&str>) -> Value {
    json!({
        "apiVersion": "nadmit.io/v1alpha1", "kind": "AddressAllocation",
        "metadata": {"name": name},
        "spec": {
            "address": address, "pool": "storage", "interface": "net1", "since": "1000",
            "network": {"namespace": "db", "name": "net"}, "mac": mac,
            "holder": {"pod": {"namespace": "db", "name": "a"}}, "pod": {"name": "a"},
        },
    })
}

fn list(plugins: &[&str]) -> Value {
    let plugins: Vec<Value> = plugins.iter().map(|kind| json!({"type": kind})).collect();
    network_of(
        "net",
        json!({"cniVersion": "1.0.0", "name": "n", "plugins": plugins}),
    )
}

#[test]
fn requested_macs() {
    let world = |pod: Value| World::of([net(), pod]);
    let denied = format!("deny {DRIFT}");
    let asks = |selection: Value| requesting(pod_on("net", "a", json!({"mac": OTHER})), selection);
    check(&[
        ("another one", world(asking(WANTED, OTHER)), &[&denied]),
        ("the same", world(asking(WANTED, WANTED)), &[]),
        (
            "the same, written otherwise",
            world(asking("02-00-00-00-00-0A", "02:00:00:00:00:0a")),
            &[],
        ),
        (
            "none requested",
            world(pod_on("net", "a", json!({"mac": OTHER}))),
            &[],
        ),
        ("none reported", world(asking(WANTED, "")), &[]),
        (
            "cni-args",
            world(asks(
                json!({"name": "net", "mac": WANTED, "cni-args": {"mac": OTHER}}),
            )),
            &[],
        ),
        (
            "another interface",
            world(asks(
                json!({"name": "net", "mac": WANTED, "interface": "net9"}),
            )),
            &[],
        ),
        (
            "a new pod",
            world(set(
                asking(WANTED, OTHER),
                "/metadata/creationTimestamp",
                "999999".into(),
            )),
            &[],
        ),
        (
            "a pod that is being deleted",
            world(set(
                asking(WANTED, OTHER),
                "/metadata/deletionTimestamp",
                "1".into(),
            )),
            &[],
        ),
        (
            "a network that is not known",
            World::of([asking(WANTED, OTHER)]),
            &[],
        ),
    ]);
    assert_eq!(
        world(asking(WANTED, OTHER)).commands(),
        ["kubectl delete pod -n db a"]
    );
}

#[test]
fn plugins_that_ignore_a_mac() {
    for (plugins, level, help) in [
        (&["macvlan"][..], "deny", "created again"),
        (&["cnv-bridge"], "deny", "created again"),
        (&["host-device", "tuning"], "deny", "created again"),
        (&["ovn-k8s-cni-overlay"], "deny", "created again"),
        (&["ipvlan"], "warn", "the MAC of their master"),
        (
            &["host-device"],
            "warn",
            "host-device ignores a requested MAC",
        ),
        (&["vlan", "sbr"], "warn", "vlan ignores a requested MAC"),
        (&["unheard-of"], "warn", "may ignore"),
        (&["vlan", "unheard-of"], "warn", "may ignore"),
        (&["tap"], "warn", "may ignore"),
    ] {
        let world = World::of([list(plugins), asking(WANTED, OTHER)]);
        assert_eq!(world.lines(), [format!("{level} {DRIFT}")], "{plugins:?}");
        let found = world.findings();
        assert!(
            found[0].help.contains(help),
            "{plugins:?}: {}",
            found[0].help
        );
        assert_eq!(found[0].commands.is_empty(), level == "warn", "{plugins:?}");
    }
}

#[test]
fn recorded_macs() {
    let has = |mac: &str| pod_on("net", "a", json!({"ips": ["10.0.0.5"], "mac": mac}));
    let world =
        |pod: Value, records: &[Value]| World::of([net(), pod]).with_all(records.iter().cloned());
    let derived = || allocation("a", "10.0.0.5", Some(WANTED));
    let own = || allocation("b", WANTED, None);
    let left_over = || allocation("c", OTHER, None);
    let denied = format!("deny {DRIFT}");
    let mut of_other_pod = derived();
    of_other_pod["spec"]["pod"]["uid"] = "another".into();
    let mut elsewhere = own();
    elsewhere["spec"]["interface"] = "net2".into();
    let mut of_other_network = own();
    of_other_network["spec"]["network"]["name"] = "other".into();
    check(&[
        (
            "derived from the address",
            world(has(OTHER), &[derived()]),
            &[&denied],
        ),
        (
            "a record of its own",
            world(has(OTHER), &[own()]),
            &[&denied],
        ),
        ("the same", world(has(WANTED), &[derived()]), &[]),
        (
            "one is left over",
            world(has(OTHER), &[own(), left_over()]),
            &[],
        ),
        ("an earlier pod", world(has(OTHER), &[of_other_pod]), &[]),
        ("another interface", world(has(OTHER), &[elsewhere]), &[]),
        (
            "another network",
            world(has(OTHER), &[of_other_network]),
            &[],
        ),
    ]);
    // The request and the record are one finding.
    let both = World::of([net(), asking(WANTED, OTHER), own()]).findings();
    assert_eq!((both.len(), both[0].evidence.len()), (1, 3));
}

#[test]
fn macs_of_machines() {
    let machine = || machine_with("vm", "net", "Always", WANTED);
    let launcher = |asks: &str, has: &str| launcher_of("vm", asking(asks, has));
    let changed = format!(
        "warn drift: VirtualMachine db/vm has MAC {WANTED} on db/net, but its pod db/a has {OTHER}"
    );
    let world = |launcher: Value| World::of([net(), machine(), launcher]);
    check(&[
        (
            "changed while it runs",
            world(launcher(OTHER, OTHER)),
            &[&changed],
        ),
        ("the same", world(launcher(WANTED, WANTED)), &[]),
        (
            "requested and not set",
            world(launcher(WANTED, OTHER)),
            &[&format!("deny {DRIFT}")],
        ),
        (
            "not requested",
            world(launcher_of(
                "vm",
                pod_on("net", "a", json!({"mac": WANTED})),
            )),
            &[],
        ),
        ("not its launcher", world(asking(OTHER, OTHER)), &[]),
        (
            "not attached yet",
            world(launcher_of(
                "vm",
                pod_on("other", "a", json!({"mac": OTHER})),
            )),
            &[],
        ),
    ]);
    assert_eq!(
        world(launcher(OTHER, OTHER)).commands(),
        ["virtctl restart -n db vm"]
    );
    assert_eq!(
        world(launcher(WANTED, OTHER)).commands(),
        ["virtctl restart -n db vm"]
    );
}
