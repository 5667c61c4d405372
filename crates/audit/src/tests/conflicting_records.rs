//! Records that give one address to two live pods, without a network-status that shows it.

use serde_json::{Value, json};

use super::world::{
    World, check, ipam, launcher_of, network_of, network_on, own_pool, pod, pod_on, pool,
    reservation, set, whereabouts,
};

pub(super) const DENIED: &str =
    "deny conflicting-records: records give 10.0.0.5 to 2 live pods: db/a, db/b";
pub(super) const POSSIBLE: &str =
    "warn conflicting-records: records give 10.0.0.5 to 2 live pods: db/a, db/b";

/// A running pod on a network, without network-status.
pub(super) fn silent(network: &str, name: &str) -> Value {
    let mut pod = pod_on(network, name, json!({}));
    if let Some(annotations) = pod["metadata"]["annotations"].as_object_mut() {
        annotations.remove("k8s.v1.cni.cncf.io/network-status");
    }
    pod
}

/// The network `half`, whose range is the first half of that of `net`.
fn half(master: &str) -> Value {
    network_on(master, "half", ipam(json!({"range": "10.0.0.0/25"})))
}

fn half_pool(entries: &[(&str, &str)]) -> Value {
    pool("10.0.0.0-25", "10.0.0.0/25", entries)
}

/// The networks `net` and `half` with an entry of 10.0.0.5 for each of two pods.
fn two_entries(master: &str, pods: [Value; 2]) -> World {
    World::of([whereabouts(), half(master)])
        .with(own_pool(&[("5", "db/a")]))
        .with(half_pool(&[("5", "db/b")]))
        .with(reservation("10.0.0.5", "db/a"))
        .with(pods[0].clone())
        .with(pods[1].clone())
}

fn both() -> [Value; 2] {
    [silent("net", "a"), silent("half", "b")]
}

fn allocation(network: &str, name: &str) -> Value {
    json!({
        "apiVersion": "nadmit.io/v1alpha1", "kind": "AddressAllocation",
        "metadata": {"name": "10-0-0-5"},
        "spec": {
            "address": "10.0.0.5", "pool": "storage", "interface": "net1", "since": "1000",
            "network": {"namespace": "db", "name": network},
            "holder": {"pod": {"namespace": "db", "name": name}}, "pod": {"name": name},
        },
    })
}

#[test]
fn two_entries_of_one_address() {
    let [first, second] = both();
    let with = |second: Value| two_entries("eth1", [first.clone(), second]);
    let shown = pod_on("half", "b", json!({"ips": ["10.0.0.5"]}));
    check(&[
        (
            "two ranges of one address space",
            with(second.clone()),
            &[DENIED],
        ),
        (
            "on different links",
            two_entries("eth2", both()),
            &[POSSIBLE],
        ),
        ("one is shown on an interface", with(shown), &[DENIED]),
        (
            "one has ended",
            with(set(second.clone(), "/status/phase", "Succeeded".into())),
            &["deny leaked-entry: 10.0.0.5 is recorded for pod db/b, which has ended"],
        ),
        (
            "one is being deleted",
            with(set(
                second.clone(),
                "/metadata/deletionTimestamp",
                "1".into(),
            )),
            &[],
        ),
        (
            "the pod has the network no more",
            with(silent("other", "b")),
            &[POSSIBLE],
        ),
        (
            "a network on the host",
            with(set(second.clone(), "/spec/hostNetwork", true.into())),
            &["deny leaked-entry: 10.0.0.5 is recorded for pod db/b, which does not have it"],
        ),
    ]);
    // The pod with the reservation keeps the address.
    let commands = two_entries("eth1", both()).commands();
    assert_eq!(
        commands,
        [
            "kubectl patch ippools.whereabouts.cni.cncf.io -n kube-system 10.0.0.0-25 --type=json -p \
             '[{\"op\":\"test\",\"path\":\"/spec/allocations/5/podref\",\"value\":\"db/b\"},\
             {\"op\":\"remove\",\"path\":\"/spec/allocations/5\"}]'",
            "kubectl delete pod -n db b",
        ]
    );
}

#[test]
fn spaces_and_links_decide() {
    let named = |name: &str, space: &str, master: &str, range: &str| {
        let options = json!({"range": range, "network_name": space});
        network_on(master, name, ipam(options))
    };
    let world = |space: &str, master: &str| {
        World::of([
            named("net", "blue", "eth1", "10.0.0.0/24"),
            named("half", space, master, "10.0.0.0/25"),
            pool("blue-10.0.0.0-24", "10.0.0.0/24", &[("5", "db/a")]),
            pool(
                &format!("{space}-10.0.0.0-25"),
                "10.0.0.0/25",
                &[("5", "db/b")],
            ),
        ])
        .with(both()[0].clone())
        .with(both()[1].clone())
        .lines()
        .into_iter()
        .filter(|line| !line.contains("two-allocators"))
        .collect::<Vec<_>>()
    };
    assert_eq!(world("blue", "eth1"), [DENIED]);
    assert_eq!(world("blue", "eth2"), [POSSIBLE]);
    assert_eq!(world("red", "eth1"), [DENIED]);
    assert_eq!(world("red", "eth2"), [""; 0]);
    // Without reservations an address is unique in its range alone.
    let alone = |master: &str| {
        let options = json!({"range": "10.0.0.0/25", "enable_overlapping_ranges": false});
        network_on(master, "half", ipam(options))
    };
    let world = |master: &str| {
        World::of([whereabouts(), alone(master)])
            .with(own_pool(&[("5", "db/a")]))
            .with(half_pool(&[("5", "db/b")]))
            .with(both()[0].clone())
            .with(both()[1].clone())
            .codes()
    };
    assert_eq!(world("eth2"), [""; 0]);
    assert_eq!(world("eth1"), ["conflicting-records", "two-allocators"]);
}

#[test]
fn interfaces_on_different_links() {
    let shown = |network: &str, name: &str| pod_on(network, name, json!({"ips": ["10.0.0.5"]}));
    let both = || [shown("net", "a"), shown("half", "b")];
    assert_eq!(two_entries("eth2", both()).lines(), [POSSIBLE]);
    // Without records there is nothing that the address space says of them.
    let world = World::of([whereabouts(), half("eth2"), own_pool(&[]), half_pool(&[])]);
    assert_eq!(world.with_all(both()).codes(), ["missing-entry"; 2]);
}

#[test]
fn a_bridge_with_one_allocator_has_all_nodes() {
    let bridge = |name: &str, range: &str| {
        let ipam = ipam(json!({"range": range, "enable_overlapping_ranges": false}));
        network_of(
            name,
            json!({"type": "bridge", "bridge": "br1", "ipam": ipam}),
        )
    };
    let away = set(silent("half", "b"), "/spec/nodeName", "n2".into());
    let world = World::of([bridge("net", "10.0.0.0/24"), bridge("half", "10.0.0.0/25")])
        .with(own_pool(&[("5", "db/a")]))
        .with(half_pool(&[("5", "db/b")]))
        .with_all([silent("net", "a"), away]);
    assert_eq!(world.codes(), ["conflicting-records", "two-allocators"]);
}

#[test]
fn one_address_is_one_finding() {
    let world = two_entries("eth1", both())
        .with(silent("net", "c"))
        .with(reservation("10.0.0.5", "db/c"));
    let mut world = world;
    world.0.retain(|object| object["spec"]["podref"] != "db/a");
    let message =
        "deny conflicting-records: records give 10.0.0.5 to 3 live pods: db/a, db/b, db/c";
    assert_eq!(world.lines(), [message]);
}

#[test]
fn a_machine_is_restarted_once() {
    let launchers = ["b", "c"].map(|name| launcher_of("vm", silent("half", name)));
    let world = two_entries("eth1", [silent("net", "a"), launchers[0].clone()])
        .with(launchers[1].clone())
        .with(pool("10.0.0.0-26", "10.0.0.0/26", &[("5", "db/c")]));
    let commands = world.commands();
    let restarts = commands.iter().filter(|one| one.contains("restart"));
    assert_eq!(restarts.count(), 1, "{commands:?}");
}

#[test]
fn an_entry_that_nadmit_keeps_is_released_by_nadmit() {
    let mut world = two_entries("eth1", both());
    for object in &mut world.0 {
        if object["metadata"]["name"] == "10.0.0.0-25" {
            object["spec"]["allocations"]["5"]["id"] = "nadmit:sandbox".into();
        }
    }
    assert_eq!(
        (world.codes(), world.commands()),
        (vec!["conflicting-records"], vec![])
    );
    let help = &world.findings()[0].help;
    assert!(
        help.contains("release 10.0.0.5 with nadmit release"),
        "{help}"
    );
}

#[test]
fn networks_that_are_not_known() {
    let world = World::of(both())
        .with(own_pool(&[("5", "db/a")]))
        .with(half_pool(&[("5", "db/b")]));
    let lines = super::world::lines(&crate::audit(&world.snapshot(crate::Coverage::Files)));
    assert_eq!(lines, [DENIED]);
}

#[test]
fn one_key_in_two_spellings() {
    let world = World::of([whereabouts(), own_pool(&[("5", "db/a"), ("05", "db/b")])])
        .with(silent("net", "a"))
        .with(silent("net", "b"));
    assert_eq!(world.lines(), [DENIED]);
}

#[test]
fn an_entry_and_an_allocation() {
    let world = |of: &str| {
        World::of([whereabouts(), half("eth1"), own_pool(&[("5", "db/a")])])
            .with(allocation("half", of))
            .with(both()[0].clone())
            .with(both()[1].clone())
    };
    assert_eq!(world("b").lines(), [DENIED]);
    assert_eq!(world("a").lines(), [""; 0]);
    let other_pod = {
        let mut world = world("b");
        for object in &mut world.0 {
            if object["kind"] == "AddressAllocation" {
                object["spec"]["pod"]["uid"] = "another".into();
            }
        }
        world
    };
    assert_eq!(other_pod.lines(), [""; 0]);
}

#[test]
fn an_entry_and_a_reservation_of_another_pod() {
    let world = |first: Value| {
        World::of([whereabouts(), own_pool(&[("5", "db/a")])])
            .with(first)
            .with(silent("net", "b"))
            .with(reservation("10.0.0.5", "db/b"))
    };
    // The plugin of a waits for the reservation, and fails.
    let waiting = world(silent("net", "a"));
    assert_eq!(waiting.lines(), [DENIED]);
    assert_eq!(
        waiting.commands(),
        [
            "kubectl patch overlappingrangeipreservations.whereabouts.cni.cncf.io -n kube-system 10.0.0.5 --type=json -p \
             '[{\"op\":\"test\",\"path\":\"/spec/podref\",\"value\":\"db/b\"},\
             {\"op\":\"replace\",\"path\":\"/spec/podref\",\"value\":\"db/a\"}]'"
        ]
    );
    assert_eq!(world(pod("a", &["10.0.0.5"])).lines(), [POSSIBLE]);
    // A reservation that is being deleted is kept on purpose.
    let mut held = world(silent("net", "a"));
    for object in &mut held.0 {
        if object["kind"] == "OverlappingRangeIPReservation" {
            object["metadata"]["deletionTimestamp"] = "1".into();
        }
    }
    assert_eq!(held.lines(), [""; 0]);
}

#[test]
fn two_installations_of_whereabouts() {
    let elsewhere = |entries: &[(&str, &str)]| {
        set(
            own_pool(entries),
            "/metadata/namespace",
            "openshift-multus".into(),
        )
    };
    let world = |entries: &[(&str, &str)]| {
        World::of([
            whereabouts(),
            own_pool(&[("5", "db/a")]),
            elsewhere(entries),
        ])
        .with(silent("net", "a"))
        .with(silent("net", "b"))
    };
    let of = |level: &str| {
        format!(
            "{level} two-allocators: IPPool kube-system/10.0.0.0-24 and IPPool openshift-multus/10.0.0.0-24 record one range"
        )
    };
    assert_eq!(
        world(&[("5", "db/b")]).lines(),
        [DENIED.to_owned(), of("deny")]
    );
    assert_eq!(world(&[("6", "db/b")]).lines(), [of("deny")]);
    assert_eq!(world(&[]).lines(), [of("warn")]);
    assert_eq!(world(&[]).commands(), [""; 0]);
}
