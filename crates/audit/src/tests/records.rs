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
fn what_whereabouts_does_not_assign_is_not_denied() {
    let excluding = json!({"range": "10.0.0.0/24", "exclude": ["10.0.0.8/29"]});
    let narrow = json!({"range": "10.0.0.0/24", "range_start": "10.0.0.100"});
    let missing = "deny missing-entry: 10.0.0.9 of pod db/a is in no IPPool, so Whereabouts can assign it again";
    let untracked = "untracked-address: 10.0.0.9 of pod db/a was requested by ips, which Whereabouts does not record";
    let (warned, denied) = (format!("warn {untracked}"), format!("deny {untracked}"));
    let world = |options: &Value, asks: bool| {
        let selection = match asks {
            true => json!({"name": "net", "ips": ["10.0.0.9/24"]}),
            false => json!({"name": "net"}),
        };
        let net = network_on("eth1", "net", ipam(options.clone()));
        let pod = requesting(pod("a", &["10.0.0.9"]), selection);
        World::of([net, pod, own_pool(&[])])
    };
    let whole = json!({"range": "10.0.0.0/24"});
    check(&[
        ("assigned", world(&whole, false), &[missing]),
        ("assigned, requested", world(&whole, true), &[&denied]),
        ("excluded", world(&excluding, false), &[]),
        ("excluded, requested", world(&excluding, true), &[&warned]),
        ("before the start", world(&narrow, false), &[]),
        (
            "before the start, requested",
            world(&narrow, true),
            &[&warned],
        ),
        (
            "assigned by another network of the segment",
            world(&narrow, false).with(network_on("eth1", "y", ipam(whole.clone()))),
            &[missing],
        ),
        (
            "assigned elsewhere",
            world(&narrow, false).with(network_on("eth2", "y", ipam(whole))),
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
