//! Entries, reservations, allocations, claims, slices and pools, compared with pods.

use serde_json::{Value, json};

use super::world::{
    World, consistent, ipam, lines, network_on, own_pool, pod, pod_on, pool, requesting,
    reservation, set, whereabouts,
};
use crate::{Coverage, audit};

#[test]
fn a_consistent_world_has_no_finding() {
    assert_eq!(consistent().lines(), [""; 0]);
}

/// A table of worlds: what it is, the world, and the lines of its findings.
fn check(table: &[(&str, World, &[&str])]) {
    for (what, world, expected) in table {
        assert_eq!(world.lines(), *expected, "{what}");
    }
}

#[test]
fn leaked_entries() {
    let gone = || World::of([whereabouts(), own_pool(&[("5", "db/a")])]);
    let ended = |phase: &str| set(pod("a", &["10.0.0.5"]), "/status/phase", phase.into());
    let absent = "deny leaked-entry: 10.0.0.5 is recorded for pod db/a, which does not exist";
    let other = "deny leaked-entry: 10.0.0.5 is recorded for pod db/a, which does not have it";
    let bare = |status: Value| pod_on("net", "a", status);
    check(&[
        ("no pod", gone(), &[absent]),
        (
            "a pod that has ended",
            gone().with(ended("Succeeded")),
            &["deny leaked-entry: 10.0.0.5 is recorded for pod db/a, which has ended"],
        ),
        (
            "a pod that is Pending",
            gone()
                .with(set(ended("Pending"), "/metadata/annotations", json!({})))
                .with(reservation("10.0.0.5", "db/a")),
            &[],
        ),
        (
            "a new pod",
            gone().with(set(
                pod("a", &[]),
                "/metadata/creationTimestamp",
                "999950".into(),
            )),
            &[],
        ),
        (
            "an address kept from others",
            World::of([whereabouts(), own_pool(&[("5", "")])]),
            &[],
        ),
        (
            "a second entry of a pod",
            consistent().with(pool("10.0.0.0-24", "10.0.0.0/24", &[])),
            &[
                "warn unreadable-record: IPPool kube-system/10.0.0.0-24 has a value that cannot be read: is defined twice; the first definition counts",
            ],
        ),
        (
            "two entries of one interface",
            World::of([
                whereabouts(),
                pod("a", &["10.0.0.5"]),
                own_pool(&[("5", "db/a"), ("6", "db/a")]),
                reservation("10.0.0.5", "db/a"),
            ]),
            &["deny leaked-entry: 10.0.0.6 is recorded for pod db/a, which does not have it"],
        ),
        (
            "an interface that is not there",
            gone().with(bare(json!({"interface": "net2"}))),
            &[other],
        ),
    ]);
    assert_eq!(
        gone().commands(),
        [
            "kubectl patch ippools.whereabouts.cni.cncf.io -n kube-system 10.0.0.0-24 --type=json -p \
             '[{\"op\":\"test\",\"path\":\"/spec/allocations/5/podref\",\"value\":\"db/a\"},\
             {\"op\":\"remove\",\"path\":\"/spec/allocations/5\"}]'"
        ]
    );
}

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
        "'[{\"op\":\"test\",\"path\":\"/spec/allocations/5/podref\",\"value\":\"db/a\"},\
         {\"from\":\"/spec/allocations/5\",\"op\":\"move\",\"path\":\"/spec/allocations/6\"}]'"
    ));
}

#[test]
fn missing_entries() {
    let without = || World::of([whereabouts(), pod("a", &["10.0.0.5"]), own_pool(&[])]);
    let message = "deny missing-entry: 10.0.0.5 of pod db/a is in no IPPool, so Whereabouts can assign it again";
    let configured = json!({"range": "10.0.0.0/24", "addresses": [{"address": "10.0.0.5/24"}]});
    let two_minutes = 999_881;
    let aged = |created: i64| {
        let created = created.to_string().into();
        set(
            pod("a", &["10.0.0.5"]),
            "/metadata/creationTimestamp",
            created,
        )
    };
    check(&[
        ("no entry", without(), &[message]),
        (
            "no IPPool",
            World::of([whereabouts(), pod("a", &["10.0.0.5"])]),
            &[message],
        ),
        (
            "a new pod",
            World::of([whereabouts(), aged(two_minutes), own_pool(&[])]),
            &[],
        ),
        (
            "two minutes",
            World::of([whereabouts(), aged(two_minutes - 1), own_pool(&[])]),
            &[message],
        ),
        (
            "out of the range",
            World::of([whereabouts(), pod("a", &["10.9.0.5"]), own_pool(&[])]),
            &[],
        ),
        (
            "a configured address",
            World::of([
                network_on("eth1", "net", ipam(configured)),
                pod("a", &["10.0.0.5"]),
                own_pool(&[("5", "")]),
            ]),
            &[],
        ),
        (
            "a network that was not requested",
            World::of([
                whereabouts(),
                requesting(pod("a", &["10.0.0.5"]), json!({"name": "other"})),
                own_pool(&[]),
            ]),
            &[],
        ),
    ]);
    assert_eq!(
        without().commands(),
        [
            "kubectl patch ippools.whereabouts.cni.cncf.io -n kube-system 10.0.0.0-24 --type=json -p \
             '[{\"op\":\"test\",\"path\":\"/metadata/resourceVersion\",\"value\":\"7\"},\
             {\"op\":\"test\",\"path\":\"/spec/range\",\"value\":\"10.0.0.0/24\"},\
             {\"op\":\"add\",\"path\":\"/spec/allocations/5\",\
             \"value\":{\"id\":\"\",\"ifname\":\"net1\",\"podref\":\"db/a\"}}]'"
        ]
    );
}

#[test]
fn untracked_addresses() {
    let asks = |ips: &[&str], has: &[&str]| {
        let selection = json!({"name": "net", "ips": ips});
        let pod = requesting(pod("a", has), selection);
        World::of([
            whereabouts(),
            pod,
            own_pool(&[("5", "db/a")]),
            reservation("10.0.0.5", "db/a"),
        ])
    };
    let message = "untracked-address: 10.0.0.9 of pod db/a was requested by ips, which Whereabouts does not record";
    let world = asks(&["10.0.0.9/24"], &["10.0.0.5", "10.0.0.9"]);
    assert_eq!(world.lines(), [format!("deny {message}")]);
    // The entry names no interface: Whereabouts adopts entries by interface.
    assert!(world.commands()[0].contains(r#"{"id":"","ifname":"","podref":"db/a"}"#));
    let outside = asks(&["10.9.0.9/24"], &["10.0.0.5", "10.9.0.9"]).lines();
    assert_eq!(
        outside,
        [format!("warn {}", message.replace("10.0.0.9", "10.9.0.9"))]
    );
    assert_eq!(asks(&["10.0.0.5/24"], &["10.0.0.5"]).lines(), [""; 0]);
}

#[test]
fn reservations() {
    let without = |name: &str| {
        let mut world = consistent();
        world.0.retain(|object| object["kind"] != name);
        world
    };
    let orphan = "deny orphaned-reservation: the reservation kube-system/10.0.0.7";
    let on = |options: Value| network_on("eth1", "net", ipam(options));
    check(&[
        (
            "no pod",
            consistent().with(reservation("10.0.0.7", "db/b")),
            &[&*format!("{orphan} is of pod db/b, which does not exist")],
        ),
        (
            "no entry",
            consistent().with(reservation("10.0.0.7", "db/a")),
            &[&*format!(
                "{orphan} is of pod db/a, which has no entry in an IPPool"
            )],
        ),
        (
            "a finalizer keeps it",
            consistent().with(set(
                reservation("10.0.0.7", "db/b"),
                "/metadata/deletionTimestamp",
                "1".into(),
            )),
            &[],
        ),
        (
            "an unnamed hold",
            consistent().with(reservation("10.0.0.7", "")),
            &[&*format!("{orphan} has no pod and no entry in an IPPool")],
        ),
        (
            "an unnamed hold with an entry",
            World::of([
                whereabouts(),
                own_pool(&[("7", "")]),
                reservation("10.0.0.7", ""),
            ]),
            &[],
        ),
        (
            "no reservation",
            without("OverlappingRangeIPReservation"),
            &[
                "warn missing-reservation: 10.0.0.5 of pod db/a has no reservation, so another range can assign it, too",
            ],
        ),
        (
            "none is made",
            World::of([
                on(json!({"range": "10.0.0.0/24", "enable_overlapping_ranges": false})),
                pod("a", &["10.0.0.5"]),
                own_pool(&[("5", "db/a")]),
            ]),
            &[],
        ),
        (
            "another address space",
            World::of([
                on(json!({"range": "10.0.0.0/24", "network_name": "blue"})),
                pod("a", &["10.0.0.5"]),
                pool("blue-10.0.0.0-24", "10.0.0.0/24", &[("5", "db/a")]),
                reservation("10.0.0.5", "db/a"),
            ]),
            &[
                "warn missing-reservation: 10.0.0.5 of pod db/a has no reservation, so another range can assign it, too",
            ],
        ),
        (
            "its address space",
            World::of([
                on(json!({"range": "10.0.0.0/24", "network_name": "blue"})),
                pod("a", &["10.0.0.5"]),
                pool("blue-10.0.0.0-24", "10.0.0.0/24", &[("5", "db/a")]),
                reservation("blue-10.0.0.5", "db/a"),
            ]),
            &[],
        ),
    ]);
    let commands = consistent()
        .with(reservation("10.0.0.7", "db/b"))
        .commands();
    assert_eq!(
        commands,
        [
            "kubectl delete overlappingrangeipreservations.whereabouts.cni.cncf.io -n kube-system 10.0.0.7"
        ]
    );
    assert_eq!(
        without("OverlappingRangeIPReservation").commands(),
        [
            "echo '{\"apiVersion\":\"whereabouts.cni.cncf.io/v1alpha1\",\
             \"kind\":\"OverlappingRangeIPReservation\",\
             \"metadata\":{\"name\":\"10.0.0.5\",\"namespace\":\"kube-system\"},\
             \"spec\":{\"containerid\":\"sandbox\",\"ifname\":\"net1\",\"podref\":\"db/a\"}}' \
             | kubectl create -f -"
        ]
    );
}

fn allocation(address: &str, holder: Value, since: &str) -> Value {
    json!({
        "apiVersion": "nadmit.io/v1alpha1", "kind": "AddressAllocation",
        "metadata": {"name": address},
        "spec": {
            "address": address, "pool": "storage", "network": {"namespace": "db", "name": "net"},
            "interface": "net1", "holder": holder, "pod": {"name": "a"}, "since": since,
        },
    })
}

#[test]
fn allocations() {
    let net = || network_on("eth1", "net", json!({"type": "static"}));
    let of_pod = || json!({"pod": {"namespace": "db", "name": "a"}});
    let replica = json!({"replica": {"namespace": "db", "statefulSet": "a", "ordinal": 0}});
    let old = "1000";
    check(&[
        (
            "no pod",
            World::of([allocation("10.0.0.5", of_pod(), old)]),
            &["warn leaked-allocation: 10.0.0.5 is held by pod db/a, which does not exist"],
        ),
        (
            "in quarantine",
            World::of([allocation("10.0.0.5", of_pod(), "999500")]),
            &[],
        ),
        (
            "kept by its workload",
            World::of([allocation("10.0.0.5", replica, old)]),
            &[],
        ),
        (
            "another address",
            World::of([
                net(),
                pod("a", &["10.0.0.6"]),
                allocation("10.0.0.5", of_pod(), old),
            ]),
            &[
                "deny drift: 10.0.0.5 is recorded for pod db/a, whose interface has 10.0.0.6 instead",
            ],
        ),
        (
            "the address",
            World::of([
                net(),
                pod("a", &["10.0.0.5"]),
                allocation("10.0.0.5", of_pod(), old),
            ]),
            &[],
        ),
    ]);
    assert_eq!(
        World::of([allocation("10.0.0.5", of_pod(), old)]).commands(),
        ["nadmit release 10.0.0.5 --pool storage --cluster --yes"]
    );
}

#[test]
fn claims() {
    let claim = |ips: Value| {
        json!({
            "apiVersion": "k8s.cni.cncf.io/v1alpha1", "kind": "IPAMClaim",
            "metadata": {"name": "a.net", "namespace": "db"},
            "spec": {"network": "net", "interface": "net1"}, "status": {"ips": ips},
        })
    };
    let net = || network_on("eth1", "net", json!({"type": "static"}));
    let selection = json!({"name": "net", "ipam-claim-reference": "a.net"});
    let claiming = || requesting(pod("a", &["10.0.0.5"]), selection.clone());
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
    let owner = json!([{"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance", "name": "vm", "controller": true}]);
    let launcher = set(claiming(), "/metadata/ownerReferences", owner);
    let world = World::of([net(), launcher, claim(json!(["10.0.0.6/24"]))]);
    assert_eq!(world.commands(), ["virtctl restart -n db vm"]);
}

#[test]
fn slices() {
    let node = |name: &str| json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}});
    let pool = |nodes: &[&str]| {
        let slices = nodes
            .iter()
            .map(|node| json!({"nodeName": node, "sliceRange": "10.0.0.0/28"}));
        json!({
            "apiVersion": "whereabouts.cni.cncf.io/v1alpha1", "kind": "NodeSlicePool",
            "metadata": {"name": "net", "namespace": "kube-system"},
            "spec": {"range": "10.0.0.0/24", "sliceSize": "/28"},
            "status": {"allocations": slices.collect::<Vec<_>>()},
        })
    };
    let gone = World::of([node("n1"), pool(&["n1", "n2", ""])]);
    check(&[
        (
            "slices are left",
            World::of([node("n1"), pool(&["n1", ""])]),
            &[],
        ),
        (
            "none is left",
            World::of([node("n1"), pool(&["n1"])]),
            &[
                "warn exhausted-slice: NodeSlicePool kube-system/net has no free slice, so a new node gets no addresses",
            ],
        ),
        (
            "a node has none",
            World::of([node("n1"), node("n2"), pool(&["n1"])]),
            &["deny exhausted-slice: NodeSlicePool kube-system/net has no free slice for node n2"],
        ),
        (
            "no such node",
            gone.clone(),
            &[
                "warn slice-of-missing-node: slice 10.0.0.0/28 of NodeSlicePool kube-system/net belongs to node n2, which does not exist",
            ],
        ),
    ]);
    assert_eq!(
        gone.commands(),
        [
            "kubectl patch nodeslicepools.whereabouts.cni.cncf.io -n kube-system net --type=json -p \
             '[{\"op\":\"test\",\"path\":\"/status/allocations/1/nodeName\",\"value\":\"n2\"},\
             {\"op\":\"replace\",\"path\":\"/status/allocations/1/nodeName\",\"value\":\"\"}]'"
        ]
    );
}

#[test]
fn unused_pools() {
    let old = || pool("old-10.9.0.0-24", "10.9.0.0/24", &[]);
    let on_node = json!({
        "apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition",
        "metadata": {"name": "file", "namespace": "db"},
    });
    let message = "warn unused-pool: no network uses IPPool kube-system/old-10.9.0.0-24, so its address space is read from its name";
    check(&[
        ("no network", consistent().with(old()), &[message]),
        (
            "a configuration on the nodes",
            consistent().with(old()).with(on_node),
            &[],
        ),
    ]);
}

#[test]
fn absence_in_files_proves_little() {
    let of_files = |world: &World| lines(&audit(&world.snapshot(Coverage::Files)));
    let elsewhere = World::of([whereabouts(), own_pool(&[("5", "db/a")])]);
    assert_eq!(of_files(&elsewhere), [""; 0]);
    // The files have a pod of the namespace, so they are expected to have all of them.
    let expected = ["deny leaked-entry: 10.0.0.5 is recorded for pod db/a, which does not exist"];
    assert_eq!(
        of_files(&elsewhere.with(pod_on("net", "b", json!({"ips": []})))),
        expected
    );
    let no_pool = World::of([
        whereabouts(),
        pod("a", &["10.0.0.5"]),
        pool("x-10.9.0.0-24", "10.9.0.0/24", &[]),
    ]);
    assert!(
        of_files(&no_pool)
            .iter()
            .all(|line| line.contains("unused-pool"))
    );
}

#[test]
fn kinds_that_could_not_be_listed_are_left_out() {
    use crate::RecordKind::{IpPool, Network, OverlappingReservation, Pod};
    let world = World::of([
        whereabouts(),
        pod("a", &["10.0.0.6"]),
        own_pool(&[("5", "db/b")]),
        reservation("10.0.0.7", "db/c"),
    ]);
    for (unread, expected) in [
        (
            vec![],
            &["missing-entry", "leaked-entry", "orphaned-reservation"][..],
        ),
        (vec![Pod], &["missing-entry"]),
        (vec![IpPool], &["leaked-entry", "orphaned-reservation"]),
        (vec![Pod, IpPool, Network, OverlappingReservation], &[]),
    ] {
        let unread = unread.into_iter().collect();
        let found = audit(&world.snapshot(Coverage::Cluster { unread }));
        let codes: Vec<&str> = found.iter().map(|one| one.code.name()).collect();
        assert_eq!(codes, expected);
    }
}
