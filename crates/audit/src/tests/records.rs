//! Entries and reservations of Whereabouts, compared with pods.

use serde_json::{Value, json};

use super::world::{
    World, check, consistent, ipam, lines, network_on, own_pool, pod, pod_on, pool, requesting,
    reservation, set, whereabouts,
};
use crate::{Coverage, audit};

#[test]
fn a_consistent_world_has_no_finding() {
    assert_eq!(consistent().lines(), [""; 0]);
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
        "'[{\"op\":\"test\",\"path\":\"/metadata/resourceVersion\",\"value\":\"7\"},\
         {\"op\":\"test\",\"path\":\"/spec/range\",\"value\":\"10.0.0.0/24\"},\
         {\"op\":\"test\",\"path\":\"/spec/allocations/5/podref\",\"value\":\"db/a\"},\
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
            "printf '%s\\n' '{\"apiVersion\":\"whereabouts.cni.cncf.io/v1alpha1\",\
             \"kind\":\"OverlappingRangeIPReservation\",\
             \"metadata\":{\"name\":\"10.0.0.5\",\"namespace\":\"kube-system\"},\
             \"spec\":{\"containerid\":\"sandbox\",\"ifname\":\"net1\",\"podref\":\"db/a\"}}' \
             | kubectl create -f -"
        ]
    );
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
