//! Shared MACs, and virtual machines with their launcher pods.

use serde_json::{Value, json};

use super::world::{
    World, consistent, launcher_of, machine_with, network_of, network_on, owned_by, pod, pod_on,
    requesting, set,
};

const MAC: &str = "02:00:00:00:00:01";

/// A virtual machine with the MAC on a network.
fn machine(name: &str, network: &str, strategy: &str) -> Value {
    machine_with(name, network, strategy, MAC)
}

#[test]
fn the_launcher_pods_of_a_machine_share_address_and_mac() {
    let launcher = |name: &str, machine: &str| {
        let status = json!({"ips": ["10.0.0.5"], "mac": "02:00:00:00:00:01"});
        launcher_of(machine, pod_on("net", name, status))
    };
    let world = |other: &str| {
        let net = network_on("eth1", "net", json!({"type": "static"}));
        World::of([net, launcher("source", "vm"), launcher("target", other)]).codes()
    };
    assert_eq!(world("vm"), [""; 0]);
    assert_eq!(world("vm2"), ["duplicate-address", "shared-mac"]);
}

#[test]
fn shared_macs() {
    let mac = MAC;
    let with = |network: &str, name: &str| pod_on(network, name, json!({"mac": mac}));
    let fixed = || json!({"type": "static"});
    let net = |master: &str, name: &str| network_on(master, name, fixed());
    let message = format!("shared-mac: {mac} is the MAC of 2 objects: Pod db/a, Pod db/b");
    let pods = |first: Value, second: Value| {
        World::of([first, second, with("x", "a"), with("y", "b")]).lines()
    };
    assert_eq!(
        pods(net("eth1", "x"), net("eth1", "y")),
        [format!("deny {message}")]
    );
    assert_eq!(pods(net("eth1", "x"), net("eth2", "y")), [""; 0]);
    let ipvlan = |name: &str| {
        network_of(
            name,
            json!({"type": "ipvlan", "master": "eth1", "ipam": fixed()}),
        )
    };
    assert_eq!(pods(ipvlan("x"), ipvlan("y")), [""; 0]);
    // A bridge may or may not connect two nodes.
    let bridge = |name: &str| network_of(name, json!({"type": "bridge", "bridge": "br1"}));
    let away = set(with("y", "b"), "/spec/nodeName", "n2".into());
    let world = World::of([bridge("x"), bridge("y"), with("x", "a"), away]);
    assert_eq!(world.lines(), [format!("warn {message}")]);
    assert_eq!(pods(bridge("x"), bridge("y")), [format!("deny {message}")]);
    // What the annotation requests comes back with the pod.
    let asks = requesting(with("x", "b"), json!({"name": "x", "mac": mac}));
    assert_eq!(
        World::of([net("eth1", "x"), with("x", "a"), asks]).commands(),
        [""; 0]
    );
}

#[test]
fn shared_macs_of_machines() {
    let mac = MAC;
    let net = || network_on("eth1", "net", json!({"type": "static"}));
    let message = format!(
        "shared-mac: {mac} is the MAC of 2 objects: VirtualMachine db/a, VirtualMachine db/b"
    );
    let world = World::of([
        net(),
        machine("a", "net", "Always"),
        machine("b", "db/net", "Always"),
    ]);
    assert_eq!(world.lines(), [format!("deny {message}")]);
    let path = "/spec/template/spec/domain/devices/interfaces/1/macAddress";
    assert_eq!(
        world.commands(),
        [format!(
            "kubectl patch virtualmachines.kubevirt.io -n db b --type=json -p \
             '[{{\"op\":\"test\",\"path\":\"{path}\",\"value\":\"{mac}\"}},{{\"op\":\"remove\",\"path\":\"{path}\"}}]'"
        )]
    );
    let world = World::of([
        net(),
        machine("a", "net", "Always"),
        machine("b", "net", "Halted"),
    ]);
    assert_eq!(world.lines(), [format!("warn {message}")]);
    let world = World::of([
        net(),
        machine("a", "net", "Always"),
        machine("b", "other", "Always"),
    ]);
    assert_eq!(world.lines(), [""; 0]);
}

#[test]
fn one_machine_keeps_the_mac_and_its_pods() {
    let asks = json!({"name": "net", "mac": MAC});
    let launcher = |name: &str, machine: &str| {
        let pod = pod_on("net", name, json!({"mac": MAC}));
        launcher_of(machine, requesting(pod, asks.clone()))
    };
    let net = || network_on("eth1", "net", json!({"type": "static"}));
    let world = World::of([
        net(),
        machine("a", "net", "Always"),
        machine("b", "net", "Always"),
        launcher("launcher-a", "a"),
        launcher("launcher-b", "b"),
        launcher("launcher-b-target", "b"),
    ]);
    let commands = world.commands();
    assert_eq!(commands.len(), 2, "{commands:?}");
    assert!(commands[0].contains(" -n db b --type=json"), "{commands:?}");
    assert_eq!(commands[1], "virtctl restart -n db b");
    // The machine is not known: its pods get the MAC again.
    let world = World::of([
        net(),
        launcher("launcher-a", "a"),
        launcher("launcher-b", "b"),
    ]);
    assert_eq!(
        (world.codes(), world.commands()),
        (vec!["shared-mac"], vec![])
    );
    // The MAC of a pod that is being deleted is free soon.
    let going = set(
        pod_on("net", "c", json!({"mac": MAC})),
        "/metadata/deletionTimestamp",
        "1".into(),
    );
    let world = World::of([net(), pod_on("net", "b", json!({"mac": MAC})), going]);
    assert_eq!(
        (world.codes(), world.commands()),
        (vec!["shared-mac"], vec![])
    );
}

#[test]
fn a_duplicate_restarts_a_machine_once() {
    let launcher = |name: &str| launcher_of("vm", pod(name, &["10.0.0.5"]));
    let both = || consistent().with(launcher("l1")).with(launcher("l2"));
    assert_eq!(both().commands(), ["virtctl restart -n db vm"]);
    // Neither pod of the machine that keeps the address is deleted.
    let net = network_on("eth1", "net", json!({"type": "static"}));
    let old = set(launcher("l1"), "/metadata/creationTimestamp", "1".into());
    let world = World::of([net, old, launcher("l2"), pod("a", &["10.0.0.5"])]);
    assert_eq!(world.commands(), ["kubectl delete pod -n db a"]);
}

#[test]
fn an_owner_counts_if_the_machine_exists() {
    let own = |pod: Value| owned_by("vm", pod);
    let pods = || {
        let net = network_on("eth1", "net", json!({"type": "static"}));
        World::of([
            net,
            own(pod("a", &["10.0.0.5"])),
            own(pod("b", &["10.0.0.5"])),
        ])
    };
    assert_eq!(pods().codes(), ["duplicate-address"]);
    assert_eq!(pods().with(machine("vm", "net", "Always")).codes(), [""; 0]);
    assert_eq!(
        pods().with(machine("other", "net", "Always")).codes(),
        ["duplicate-address"]
    );
    let labelled = |label: &str, value: &str| {
        let mut world = pods();
        for object in &mut world.0 {
            *object = set(object.take(), "/metadata/labels", json!({label: value}));
        }
        world.codes()
    };
    assert_eq!(labelled("kubevirt.io", "virt-launcher"), [""; 0]);
    assert_eq!(labelled("kubevirt.io/domain", "vm"), [""; 0]);
    assert_eq!(
        labelled("kubevirt.io", "virt-handler"),
        ["duplicate-address"]
    );
}
