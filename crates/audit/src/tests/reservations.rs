//! Reservations of Whereabouts, compared with pods and entries.

use serde_json::{Value, json};

use super::world::{
    World, check, consistent, ipam, network_on, own_pool, pod, pod_on, pool, reservation, set,
    whereabouts,
};

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
            &[&*format!("{orphan} has no pod and no entry in an IPPool").replace("deny", "warn")],
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
                "deny orphaned-reservation: the reservation kube-system/10.0.0.5 is of pod db/a, which has no entry in an IPPool",
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
            "printf '%s\\n' '{\"apiVersion\":\"whereabouts.cni.cncf.io/v1alpha1\",\
             \"kind\":\"OverlappingRangeIPReservation\",\
             \"metadata\":{\"name\":\"10.0.0.5\",\"namespace\":\"kube-system\"},\
             \"spec\":{\"containerid\":\"sandbox\",\"ifname\":\"net1\",\"podref\":\"db/a\"}}' \
             | kubectl create -f -"
        ]
    );
}

#[test]
fn a_reservation_follows_the_entry() {
    let patch = |name: &str, interface: &str| {
        let interface = match interface {
            "" => String::new(),
            name => format!(r#",{{"op":"add","path":"/spec/ifname","value":"{name}"}}"#),
        };
        format!(
            "kubectl patch overlappingrangeipreservations.whereabouts.cni.cncf.io -n kube-system 10.0.0.5 --type=json -p \
             '[{{\"op\":\"test\",\"path\":\"/spec/podref\",\"value\":\"db/a\"}},\
             {{\"op\":\"replace\",\"path\":\"/spec/podref\",\"value\":\"{name}\"}}{interface}]'"
        )
    };
    let deletion = "kubectl delete overlappingrangeipreservations.whereabouts.cni.cncf.io -n kube-system 10.0.0.5".to_owned();
    let of = |entries: &[(&str, &str)]| {
        World::of([
            whereabouts(),
            own_pool(entries),
            reservation("10.0.0.5", "db/a"),
        ])
    };
    let pending = set(pod("b", &[]), "/status/phase", "Pending".into());
    let renamed = set(
        own_pool(&[("5", "db/b")]),
        "/spec/allocations/5/ifname",
        "net2".into(),
    );
    let with_renamed = World::of([whereabouts(), renamed, reservation("10.0.0.5", "db/a")]);
    let table = [
        (
            "an entry of a pod that starts",
            of(&[("5", "db/b")]).with(pending.clone()),
            patch("db/b", ""),
        ),
        (
            "another interface",
            with_renamed.with(pending),
            patch("db/b", "net2"),
        ),
        (
            "an entry of a pod that is gone",
            of(&[("5", "db/b")]),
            deletion.clone(),
        ),
        ("no entry", of(&[]), deletion.clone()),
        ("an entry without pod", of(&[("5", "")]), deletion),
        (
            "the address on another pod",
            of(&[]).with(pod("b", &["10.0.0.5"])),
            patch("db/b", ""),
        ),
        (
            "a live pod without the address, and an entry of another one",
            of(&[("5", "db/b")])
                .with(pod("b", &["10.0.0.5"]))
                .with(pod("a", &[])),
            patch("db/b", ""),
        ),
        (
            "a pod that is being deleted",
            of(&[]).with(set(
                pod("b", &["10.0.0.5"]),
                "/metadata/deletionTimestamp",
                "1".into(),
            )),
            String::new(),
        ),
    ];
    for (what, world, expected) in table {
        let commands = world.findings().into_iter();
        let commands: Vec<String> = commands
            .filter(|one| one.code == crate::AuditCode::OrphanedReservation)
            .flat_map(|one| one.commands)
            .collect();
        assert_eq!(commands.concat(), expected, "{what}");
    }
}

#[test]
fn an_interface_counts_in_its_own_address_space() {
    let blue = |master: &str, options: Value| network_on(master, "blue", ipam(options));
    let named = || {
        blue(
            "eth2",
            json!({"range": "10.0.0.0/24", "network_name": "blue"}),
        )
    };
    let world = |network: Value| {
        World::of([
            whereabouts(),
            network,
            pod_on("blue", "a", json!({"ips": ["10.0.0.5"]})),
            own_pool(&[]),
            pool("blue-10.0.0.0-24", "10.0.0.0/24", &[("5", "db/a")]),
            reservation("10.0.0.5", "db/a"),
            reservation("blue-10.0.0.5", "db/a"),
        ])
    };
    let found = world(named()).lines();
    assert_eq!(
        found,
        [
            "deny orphaned-reservation: the reservation kube-system/10.0.0.5 is of pod db/a, which has no entry in an IPPool"
        ]
    );
    // A configuration on the nodes may be of any address space.
    let on_node = json!({
        "apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition",
        "metadata": {"name": "blue", "namespace": "db"},
    });
    assert_eq!(world(on_node).lines(), [""; 0]);
}
