//! Records of a present pod that it does not use: of interfaces that it has no more, of other nodes and
//! of predecessors.

use nadmit_allocation::{Allocation, PodRef, reconcile::ActionReason};
use nadmit_catalog::Pod;
use serde_json::json;

use super::fixture::*;

const FIRST: &str = "192.0.2.1";
const SECOND: &str = "192.0.2.2";

/// Returns a pod with an address on each of these interfaces.
fn with_interfaces(interfaces: &[(&str, &str)]) -> Pod {
    let networks = interfaces.iter().map(|(interface, address)| {
        json!({"name": "storage-net", "interface": interface, "ips": [format!("{address}/24")]})
    });
    let status = interfaces.iter().map(|(interface, address)| {
        json!({"name": "db/storage-net", "interface": interface, "ips": [address]})
    });
    let (networks, status): (Vec<_>, Vec<_>) = (networks.collect(), status.collect());
    Pod {
        networks: Some(json!(networks).to_string().into()),
        network_status: Some(json!(status).to_string().into()),
        ..pod("a", Some("node-1"))
    }
}

#[test]
fn an_unplugged_interface_s_record_is_detached_and_freed_after_the_quarantine() {
    let mut cluster = Cluster::new();
    cluster.put(with_interfaces(&[("net1", FIRST), ("hot", SECOND)]));
    cluster.wait(200);
    cluster.put(with_interfaces(&[("net1", FIRST)]));
    assert_eq!(cluster.reasons(), [ActionReason::Detached]);
    let detached = cluster.held(SECOND).unwrap_or_else(|| panic!("freed"));
    assert_eq!((&detached.pod, detached.since), (&None, cluster.now()));
    assert_eq!(detached.former_nodes, ["node-1".into()]);
    assert_eq!(cluster.freed(SECOND), Some((30, ActionReason::Excess)));
    assert_eq!(cluster.freed(FIRST), None);
}

#[test]
fn a_young_record_is_not_detached() {
    let mut cluster = Cluster::new();
    let hot = Allocation {
        interface: "hot".into(),
        ..cluster.allocation(SECOND, "a")
    };
    cluster.record(hot);
    cluster.put(with_interfaces(&[("net1", FIRST)]));
    // Its plan may still be in progress: detached after 120 s, and freed 30 s later.
    let expected = Some((150, ActionReason::Excess));
    assert_eq!(cluster.freed(SECOND), expected);
}

#[test]
fn an_interface_that_may_still_be_attached_keeps_its_address() {
    let plugged = json!([{"name": "storage-net", "interface": "hot"}]).to_string();
    let bound = || pod("a", Some("node-1"));
    let table = [
        (
            "requested again",
            Pod {
                networks: Some(plugged.into()),
                ..bound()
            },
        ),
        (
            "an unreadable request",
            Pod {
                networks: Some("[".into()),
                ..bound()
            },
        ),
        (
            "an unreadable status",
            Pod {
                network_status: Some("{".into()),
                ..bound()
            },
        ),
        (
            "an unbound pod",
            Pod {
                networks: Some("storage-net".into()),
                ..pod("a", None)
            },
        ),
    ];
    for (name, pod) in table {
        let mut cluster = Cluster::new();
        let hot = Allocation {
            interface: "hot".into(),
            ..cluster.allocation(SECOND, "a")
        };
        cluster.record(hot);
        cluster.put(pod);
        assert_eq!(cluster.freed(SECOND), None, "{name}");
    }
}

#[test]
fn a_record_for_another_node_is_freed_once_the_pod_is_bound() {
    let records = |cluster: &mut Cluster| {
        let second = cluster.allocation("192.0.2.17", "a");
        let second = Allocation {
            pod: Some(pod_ref("a", Some("node-2"))),
            ..second
        };
        let first = cluster.allocation(FIRST, "a");
        cluster.record(first);
        cluster.record(second);
    };
    let bound = asking(pod("a", Some("node-2")), "192.0.2.17");
    let unbound = Pod {
        networks: Some("storage-net".into()),
        ..pod("a", None)
    };
    let sliced = json!({"nodeSliceSize": "/28"});
    let plain = json!({});
    let table = [
        ("bound, in a pool of slices", &sliced, &bound, Some(1)),
        ("bound, in a plain pool", &plain, &bound, Some(150)),
        ("unbound", &sliced, &unbound, None),
    ];
    for (name, pool, pod, expected) in table {
        let mut cluster = Cluster::with(pool);
        records(&mut cluster);
        cluster.put(pod.clone());
        let freed = cluster.freed(FIRST);
        let expected = expected.map(|passes| (passes, ActionReason::Excess));
        assert_eq!(freed, expected, "{name}");
        assert!(cluster.held("192.0.2.17").is_some(), "{name}");
    }
}

#[test]
fn a_surplus_record_is_kept_while_a_predecessor_may_run() {
    // Two schedulers bind a pod at once. The binding to node-2, with the address that its predecessor
    // has there, fails; the other gives the pod an address on node-1.
    let sliced = json!({"nodeSliceSize": "/28"});
    let plain = json!({});
    // A plain pool detaches the record first, after 120 s.
    let table = [
        ("sliced, ready", &sliced, NodeIs::Ready, 31),
        ("sliced, silent", &sliced, NodeIs::Silent, 601),
        ("sliced, gone", &sliced, NodeIs::Gone, 30),
        ("plain, ready", &plain, NodeIs::Ready, 150),
        ("plain, silent", &plain, NodeIs::Silent, 631),
    ];
    for (name, pool, node, expected) in table {
        let mut cluster = Cluster::with(pool);
        cluster.node("node-2", node);
        let taken_over = Allocation {
            pod: Some(pod_ref("a", Some("node-2"))),
            former_nodes: vec!["node-2".into()],
            ..cluster.allocation("192.0.2.17", "a")
        };
        let own = cluster.allocation(FIRST, "a");
        cluster.record(taken_over);
        cluster.record(own);
        cluster.put(asking(pod("a", Some("node-1")), FIRST));
        let freed = cluster.freed("192.0.2.17");
        assert_eq!(freed, Some((expected, ActionReason::Excess)), "{name}");
        assert!(cluster.held(FIRST).is_some(), "{name}");
    }
}

#[test]
fn a_predecessor_s_extra_address_is_kept_while_it_may_run() {
    let successor = || Pod {
        uid: Some("u-a-2".into()),
        ..running("a", FIRST, "node-2")
    };
    // Its holder guarantees nothing beyond the quarantine of the pod that is gone.
    for (silent, expected) in [(false, 31), (true, 601)] {
        let mut cluster = Cluster::new();
        cluster.put(with_interfaces(&[("net1", FIRST), ("net2", SECOND)]));
        cluster.wait(200);
        if silent {
            cluster.node("node-1", NodeIs::Silent);
        }
        cluster.put(successor());
        let expected = Some((expected, ActionReason::PodGone));
        assert_eq!(cluster.freed(SECOND), expected, "silent: {silent}");
        assert!(cluster.held(FIRST).is_some());
    }
}

#[test]
fn records_of_a_pod_that_never_came_are_freed_despite_a_namesake() {
    let unnamed = |cluster: &Cluster, interface: &str| Allocation {
        pod: Some(PodRef {
            uid: None,
            ..pod_ref("a", Some("node-2"))
        }),
        interface: interface.into(),
        ..cluster.allocation(SECOND, "a")
    };
    let waiting = Pod {
        networks: Some("storage-net,storage-net".into()),
        ..pod("a", None)
    };
    let bound = running("a", FIRST, "node-1");
    let table = [
        ("has another", &bound, "net1", 150, ActionReason::Excess),
        ("has no net2", &bound, "net2", 150, ActionReason::Excess),
        (
            "may wait for ever",
            &waiting,
            "net1",
            121,
            ActionReason::ProvisionalExpired,
        ),
    ];
    for (name, namesake, interface, passes, reason) in table {
        let mut cluster = Cluster::new();
        cluster.put(namesake.clone());
        let record = unnamed(&cluster, interface);
        cluster.record(record);
        // No plan foresees it: the age of a record and the absence of its pod differ by a second.
        let freed = cluster.release_of(SECOND);
        let freed = freed.map(|(passes, reason, _)| (passes, reason));
        assert_eq!(freed, Some((passes, reason)), "{name}");
    }
}
