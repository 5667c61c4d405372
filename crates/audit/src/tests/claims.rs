//! IPAMClaims: the interfaces that refer to them, their owners, and the networks of OVN-Kubernetes.

use serde_json::{Value, json};

use super::world::{
    World, check, launcher_of, machine_with, network_of, network_on, owned_by, pod, pod_on,
    requesting, set,
};
use crate::{Coverage, audit};

fn claim(name: &str, network: &str, ips: Value) -> Value {
    json!({
        "apiVersion": "k8s.cni.cncf.io/v1alpha1", "kind": "IPAMClaim",
        "metadata": {"name": name, "namespace": "db"},
        "spec": {"network": network, "interface": "net1"}, "status": {"ips": ips},
    })
}

/// A claim as kubevirt-ipam-controller creates it for a machine.
fn claim_of(machine: &str, name: &str, network: &str, ips: Value) -> Value {
    let owner =
        json!([{"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "name": machine}]);
    let claim = set(
        claim(name, network, ips),
        "/metadata/ownerReferences",
        owner,
    );
    set(
        claim,
        "/metadata/finalizers",
        json!(["kubevirt.io/persistent-ipam"]),
    )
}

/// A network of OVN-Kubernetes as a UserDefinedNetwork `net` of the namespace `db` makes it.
fn ovn(options: Value) -> Value {
    let mut config = json!({
        "cniVersion": "1.0.0", "type": "ovn-k8s-cni-overlay", "name": "db_net",
        "netAttachDefName": "db/net", "topology": "layer2", "role": "secondary",
        "subnets": "10.0.0.0/24", "allowPersistentIPs": true,
    });
    for (key, value) in options.as_object().into_iter().flatten() {
        config[key] = value.clone();
    }
    network_of("net", config)
}

fn annotated(pod: Value, key: &str, value: impl Into<Value>) -> Value {
    let key = key.replace('/', "~1");
    set(pod, &format!("/metadata/annotations/{key}"), value.into())
}

fn pod_networks(pod: Value, networks: Value) -> Value {
    annotated(pod, "k8s.ovn.org/pod-networks", networks.to_string())
}

fn network_status(pod: Value, elements: Value) -> Value {
    annotated(
        pod,
        "k8s.v1.cni.cncf.io/network-status",
        elements.to_string(),
    )
}

#[test]
fn claims() {
    let net = || network_on("eth1", "net", json!({"type": "static"}));
    let selection = json!({"name": "net", "ipam-claim-reference": "a.net"});
    let claiming = || requesting(pod("a", &["10.0.0.5"]), selection.clone());
    let claim = |ips: Value| claim("a.net", "net", ips);
    let world = |ips: Value| World::of([net(), claiming(), claim(ips)]);
    check(&[
        ("the same", world(json!(["10.0.0.5/24"])), &[]),
        ("no address yet", world(json!([])), &[]),
        (
            "others",
            world(json!(["10.0.0.6/24"])),
            &[
                "deny claim-mismatch: IPAMClaim db/a.net has 10.0.0.6, but net1 of pod db/a has 10.0.0.5",
            ],
        ),
        (
            "a pod without claim",
            World::of([net(), pod("a", &["10.0.0.5"]), claim(json!(["10.0.0.6"]))]),
            &[],
        ),
    ]);
    let world = World::of([
        net(),
        owned_by("vm", claiming()),
        claim(json!(["10.0.0.6/24"])),
    ]);
    assert_eq!(world.commands(), ["kubectl delete pod -n db a"]);
    let launcher = launcher_of("vm", claiming());
    let world = World::of([net(), launcher, claim(json!(["10.0.0.6/24"]))]);
    assert_eq!(world.commands(), ["virtctl restart -n db vm"]);
}

/// A launcher pod on a primary network: the claim is in either annotation.
fn on_primary(by: &str, primary: &str) -> Value {
    let pod = launcher_of("vm", pod_on("net", "a", json!({})));
    let pod = set(
        pod,
        "/metadata/annotations/k8s.v1.cni.cncf.io~1networks",
        "".into(),
    );
    let pod = network_status(
        pod,
        json!([
            {"name": "ovn-kubernetes", "interface": "eth0", "ips": ["10.244.1.6"], "dns": {}},
            {"name": "ovn-kubernetes", "interface": "ovn-udn1", "ips": [primary], "default": true},
        ]),
    );
    let selection = json!([{
        "name": "default", "namespace": "ovn-kubernetes", "ipam-claim-reference": "vm.podnet",
    }]);
    match by {
        "selection" => annotated(
            pod,
            "v1.multus-cni.io/default-network",
            selection.to_string(),
        ),
        _ => annotated(pod, "k8s.ovn.org/primary-udn-ipamclaim", "vm.podnet"),
    }
}

#[test]
fn the_claim_of_a_primary_network_is_not_that_of_eth0() {
    let world = |by: &str, has: &str| {
        World::of([
            ovn(json!({"role": "primary"})),
            claim_of("vm", "vm.podnet", "db_net", json!(["10.0.0.5/24"])),
            machine_with("vm", "net", "Always", "02:00:00:00:00:01"),
            on_primary(by, has),
        ])
    };
    for by in ["selection", "annotation"] {
        assert_eq!(world(by, "10.0.0.5").lines(), [""; 0], "{by}");
        assert_eq!(
            world(by, "10.0.0.6").lines(),
            [
                "deny claim-mismatch: IPAMClaim db/vm.podnet has 10.0.0.5, but ovn-udn1 of pod db/a has 10.0.0.6"
            ],
            "{by}"
        );
    }
    // Before the sandbox, OVN-Kubernetes has assigned the addresses in its own annotation.
    let assigned = |ip: &str| {
        let mut world = world("annotation", "");
        let pod = set(
            on_primary("annotation", ""),
            "/status/phase",
            "Pending".into(),
        );
        let pod = network_status(pod, json!([]));
        world.0[3] = pod_networks(
            pod,
            json!({
                "default": {"ip_addresses": ["10.244.1.6/24"], "role": "infrastructure-locked"},
                "db/net": {"ip_addresses": [ip], "role": "primary"},
            }),
        );
        world
    };
    assert_eq!(assigned("10.0.0.5/24").lines(), [""; 0]);
    assert_eq!(assigned("10.0.0.6/24").codes(), ["claim-mismatch"]);
}

#[test]
fn claims_of_secondary_networks_of_ovn() {
    let asks = || json!({"name": "net", "ipam-claim-reference": "vm.net"});
    let with = |options: Value, pod: Value| {
        let claim = claim_of("vm", "vm.net", "db_net", json!(["10.0.0.5/24"]));
        World::of([ovn(options), claim, requesting(pod, asks())]).with(machine_with(
            "vm",
            "net",
            "Always",
            "02:00:00:00:00:01",
        ))
    };
    let silent = |ip: &str| {
        let mut pod = pod_on("net", "a", json!({}));
        if let Some(annotations) = pod["metadata"]["annotations"].as_object_mut() {
            annotations.remove("k8s.v1.cni.cncf.io/network-status");
        }
        pod_networks(
            pod,
            json!({"db/net": {"ip_address": ip, "role": "secondary"}}),
        )
    };
    let of = |level: &str| {
        format!(
            "{level} claim-mismatch: IPAMClaim db/vm.net has 10.0.0.5, but net1 of pod db/a has 10.0.0.6"
        )
    };
    let localnet = || json!({"topology": "localnet", "physicalNetworkName": "p"});
    let without = || json!({"allowPersistentIPs": false});
    check(&[
        ("the same", with(json!({}), pod("a", &["10.0.0.5"])), &[]),
        (
            "others",
            with(json!({}), pod("a", &["10.0.0.6"])),
            &[&of("deny")],
        ),
        (
            "localnet",
            with(localnet(), pod("a", &["10.0.0.6"])),
            &[&of("deny")],
        ),
        (
            "assigned",
            with(json!({}), silent("10.0.0.6/24")),
            &[&of("deny")],
        ),
        (
            "the same assigned",
            with(json!({}), silent("10.0.0.5/24")),
            &[],
        ),
        (
            "OVN ignores the claim",
            with(without(), pod("a", &["10.0.0.6"])),
            &[&of("warn")],
        ),
        (
            "a pod that is being deleted",
            with(
                json!({}),
                set(
                    pod("a", &["10.0.0.6"]),
                    "/metadata/deletionTimestamp",
                    "1".into(),
                ),
            ),
            &[],
        ),
        (
            "a new pod",
            with(
                json!({}),
                set(
                    pod("a", &["10.0.0.6"]),
                    "/metadata/creationTimestamp",
                    "999999".into(),
                ),
            ),
            &[],
        ),
    ]);
    let broken = annotated(pod("a", &["10.0.0.5"]), "k8s.ovn.org/pod-networks", "[");
    assert_eq!(with(json!({}), broken).codes(), ["unreadable-record"]);
}

#[test]
fn a_second_attachment_to_a_network_has_an_index() {
    let selections = json!([
        {"name": "net", "ipam-claim-reference": "vm.one"},
        {"name": "net", "ipam-claim-reference": "vm.two"},
    ]);
    let mut pod = pod_on("net", "a", json!({}));
    if let Some(annotations) = pod["metadata"]["annotations"].as_object_mut() {
        annotations.remove("k8s.v1.cni.cncf.io/network-status");
    }
    let pod = annotated(pod, "k8s.v1.cni.cncf.io/networks", selections.to_string());
    let pod = pod_networks(
        pod,
        json!({
            "db/net": {"ip_addresses": ["10.0.0.5/24"]},
            "db/net/1": {"ip_addresses": ["10.0.0.6/24"]},
        }),
    );
    let world = |second: &str| {
        World::of([
            ovn(json!({})),
            pod.clone(),
            claim("vm.one", "db_net", json!(["10.0.0.5/24"])),
            claim("vm.two", "db_net", json!([second])),
        ])
    };
    assert_eq!(world("10.0.0.6/24").lines(), [""; 0]);
    assert_eq!(
        world("10.0.0.7/24").lines(),
        [
            "deny claim-mismatch: IPAMClaim db/vm.two has 10.0.0.7, but net2 of pod db/a has 10.0.0.6"
        ]
    );
}

#[test]
fn ovn_looks_for_the_claim_where_the_network_is() {
    let elsewhere = |object: Value| set(object, "/metadata/namespace", "shared".into());
    let asks = json!({
        "name": "net", "namespace": "shared", "ipam-claim-reference": "vm.net",
    });
    let status = json!([{"name": "shared/net", "interface": "net1", "ips": ["10.0.0.6"]}]);
    let pod = network_status(requesting(pod("a", &[]), asks), status);
    let claim = || claim("vm.net", "db_net", json!(["10.0.0.5/24"]));
    let world = |claim: Value| World::of([elsewhere(ovn(json!({}))), pod.clone(), claim]);
    assert_eq!(world(claim()).codes(), [""; 0]);
    assert_eq!(world(elsewhere(claim())).codes(), ["claim-mismatch"]);
}

#[test]
fn a_claim_outlives_the_pods_of_its_machine() {
    let machine = |strategy: &str| machine_with("vm", "net", strategy, "02:00:00:00:00:01");
    let claim = || claim_of("vm", "vm.net", "db_net", json!(["10.0.0.5/24"]));
    let orphan =
        "warn orphaned-claim: IPAMClaim db/vm.net is of VirtualMachine db/vm, which does not exist";
    check(&[
        (
            "a stopped machine",
            World::of([claim(), machine("Halted")]),
            &[],
        ),
        (
            "a claim without owner",
            World::of([super::claims::claim("x", "db_net", json!(["10.0.0.5/24"]))]),
            &[],
        ),
        (
            "an instance without machine",
            World::of([claim(), launcher_of("vm", pod("a", &[]))]),
            &[],
        ),
        ("no machine", World::of([claim()]), &[orphan]),
    ]);
    // Files may lack the machine.
    assert_eq!(audit(&World::of([claim()]).snapshot(Coverage::Files)), []);
    let unread = Coverage::Cluster {
        unread: [crate::RecordKind::VirtualMachine].into_iter().collect(),
    };
    assert_eq!(audit(&World::of([claim()]).snapshot(unread)), []);
    let resource = "ipamclaims.k8s.cni.cncf.io -n db vm.net";
    let free = format!(
        "kubectl patch {resource} --type=json -p \
         '[{{\"op\":\"test\",\"path\":\"/metadata/finalizers\",\"value\":[\"kubevirt.io/persistent-ipam\"]}},\
         {{\"op\":\"remove\",\"path\":\"/metadata/finalizers\"}}]'"
    );
    assert_eq!(
        World::of([claim()]).commands(),
        [free.clone(), format!("kubectl delete {resource}")]
    );
    let going = set(claim(), "/metadata/deletionTimestamp", "1".into());
    assert_eq!(World::of([going]).commands(), [free]);
    let kept = set(claim(), "/metadata/finalizers", json!(["example.com/x"]));
    assert_eq!(World::of([kept]).commands(), [""; 0]);
}

#[test]
fn two_claims_of_one_address() {
    let world = |networks: [&str; 2]| {
        World::of([
            ovn(json!({})),
            claim("a", networks[0], json!(["10.0.0.5/24"])),
            claim("b", networks[1], json!(["10.0.0.5"])),
        ])
    };
    let of = |level: &str, network: &str| {
        format!(
            "{level} conflicting-records: 2 claims of network {network} have 10.0.0.5: IPAMClaim db/a, IPAMClaim db/b"
        )
    };
    assert_eq!(world(["db_net"; 2]).lines(), [of("deny", "db_net")]);
    assert_eq!(world(["x"; 2]).lines(), [of("warn", "x")]);
    assert_eq!(world(["db_net", "x"]).lines(), [""; 0]);
}

#[test]
fn a_cluster_network_of_ovn_is_one_segment() {
    let network = |namespace: &str, name: &str| {
        let network = ovn(json!({"name": name}));
        set(network, "/metadata/namespace", namespace.into())
    };
    let user = |namespace: &str| {
        let status =
            json!([{"name": format!("{namespace}/net"), "interface": "net1", "ips": ["10.0.0.5"]}]);
        let pod = network_status(pod("a", &[]), status);
        set(pod, "/metadata/namespace", namespace.into())
    };
    let world = |second: &str| {
        World::of([network("db", "cluster_udn_x"), network("web", second)])
            .with(user("db"))
            .with(user("web"))
            .codes()
    };
    assert_eq!(world("cluster_udn_x"), ["duplicate-address"]);
    assert_eq!(world("cluster_udn_y"), [""; 0]);
}
