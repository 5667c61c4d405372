//! Release of addresses of pods that are gone: after the quarantine, once their containers have ended.

use core::time::Duration;

use nadmit_allocation::{Allocation, PodRef, reconcile::ActionReason};
use nadmit_catalog::Pod;
use serde_json::json;

use super::fixture::*;
use crate::cluster_view::{MayStillRun, PodVerdict};

const ADDRESS: &str = "192.0.2.7";

/// Returns a cluster in which pod `a` on node-1 has an address, long enough for everything to be settled.
fn with_pod() -> Cluster {
    let mut cluster = Cluster::new();
    cluster.put(running("a", ADDRESS, "node-1"));
    cluster.wait(200);
    assert!(cluster.held(ADDRESS).is_some());
    cluster
}

/// A step of a scenario.
#[derive(Debug, Clone, Copy)]
enum Step {
    Wait(u64),
    Delete,
    Node(NodeIs),
    /// The kind of nodes may not be read any more.
    NodesUnknown,
}
use Step::{Delete, Node, NodesUnknown, Wait};

#[test]
fn a_gone_pod_s_address_is_freed_once_its_containers_have_ended() {
    use NodeIs::{Gone, OutOfService, Ready, Silent};
    // The steps, and the number of passes after them at which the address is freed. An absence, or a
    // state of a node, is observed in the first pass after it.
    let table: [(&str, &[Step], u64); 12] = [
        ("after the quarantine", &[Delete], 31),
        ("while the quarantine runs", &[Delete, Wait(20)], 11),
        (
            "the node is silent already",
            &[Node(Silent), Wait(5), Delete],
            596,
        ),
        (
            "the node becomes silent with it",
            &[Delete, Node(Silent)],
            601,
        ),
        (
            "the node becomes silent later",
            &[Delete, Wait(20), Node(Silent)],
            601,
        ),
        (
            "the silent node is back, and still has to end its pods",
            &[Node(Silent), Wait(5), Delete, Wait(300), Node(Ready)],
            31,
        ),
        (
            "the silent node was back before the pod went",
            &[Node(Silent), Wait(5), Node(Ready), Wait(60), Delete],
            31,
        ),
        (
            "the silent node is deleted",
            &[Node(Silent), Delete, Wait(60), Node(Gone)],
            1,
        ),
        (
            "the silent node is deleted within the quarantine",
            &[Node(Silent), Delete, Wait(20), Node(Gone)],
            11,
        ),
        (
            "the silent node is out of service",
            &[Node(Silent), Delete, Wait(60), Node(OutOfService)],
            1,
        ),
        ("nodes may not be read", &[NodesUnknown, Delete], 31),
        (
            "nodes may not be read, and this one was never seen",
            &[Node(Gone), NodesUnknown, Delete],
            601,
        ),
    ];
    for (name, steps, expected) in table {
        let mut cluster = with_pod();
        for step in steps {
            match *step {
                Wait(seconds) => cluster.wait(seconds),
                Delete => cluster.remove("a"),
                Node(state) => cluster.node("node-1", state),
                NodesUnknown => drop(cluster.catalog.nodes_mut().set_known(false)),
            }
        }
        let freed = cluster.freed(ADDRESS);
        assert_eq!(freed, Some((expected, ActionReason::PodGone)), "{name}");
    }
}

#[test]
fn a_kept_address_has_a_reason() {
    use NodeIs::{Ready, Silent};
    let ended = |seconds| PodVerdict::Ended(Duration::from_secs(seconds));
    let may_run = |node: &str, left: u64| {
        let (node, left) = (node.into(), Duration::from_secs(left));
        PodVerdict::MayRun(MayStillRun { node, left })
    };
    let named = || Some(pod_ref("a", Some("node-1")));
    let without_uid = || PodRef {
        uid: None,
        ..pod_ref("a", None)
    };
    // The pod of the record, the state of node-1, and the time for which both are so.
    let table = [
        (named(), Ready, 0, ended(0)),
        (named(), Ready, 29, ended(29)),
        (named(), Silent, 0, may_run("node-1", 600)),
        (named(), Silent, 599, may_run("node-1", 1)),
        (named(), Silent, 600, ended(600)),
        (named(), NodeIs::Gone, 5, ended(5)),
        (named(), NodeIs::OutOfService, 5, ended(5)),
        (None, Ready, 119, PodVerdict::Provisional),
        (None, Ready, 120, PodVerdict::NeverCame),
        (Some(without_uid()), Ready, 120, PodVerdict::NeverCame),
        (Some(without_uid()), Silent, 120, may_run("node-1", 480)),
    ];
    for (pod, node, seconds, expected) in table {
        let mut cluster = Cluster::new();
        cluster.node("node-1", node);
        let record = Allocation {
            pod,
            ..cluster.allocation(ADDRESS, "a")
        };
        cluster.record(record.clone());
        // The first of these passes sees both begin.
        for _ in 0..=seconds {
            cluster.elapse();
            cluster.plan();
        }
        assert_eq!(cluster.verdict(&record), expected, "{record:?}");
    }
    let mut cluster = Cluster::with(&json!({"quarantine": "5m"}));
    let record = Allocation {
        pod: None,
        ..cluster.allocation(ADDRESS, "a")
    };
    cluster.record(record.clone());
    cluster.wait(200);
    assert_eq!(cluster.verdict(&record), PodVerdict::InQuarantine);
    // A pod of its name that does not use it may wait for ever; the pod that it names keeps it.
    cluster.put(pod("a", None));
    assert_eq!(cluster.verdict(&record), PodVerdict::InQuarantine);
    let named = cluster.allocation(ADDRESS, "a");
    assert_eq!(cluster.verdict(&named), PodVerdict::Present);
    // A record that no plan has seen.
    let unseen = cluster.allocation("192.0.2.9", "b");
    assert_eq!(cluster.verdict(&unseen), PodVerdict::Untracked);
}

#[test]
fn a_pod_that_is_there_keeps_its_address() {
    let terminating = Pod {
        terminating: true,
        ..running("a", ADDRESS, "node-1")
    };
    let unread = Pod {
        network_status: Some("{".into()),
        ..pod("a", Some("node-1"))
    };
    let table = [
        ("as it is", running("a", ADDRESS, "node-1")),
        ("evicted, until its kubelet has ended it", terminating),
        (
            "not reporting its interface yet",
            asking(pod("a", Some("node-1")), ADDRESS),
        ),
        ("with an unreadable status", unread),
        ("unbound, without a request", pod("a", None)),
    ];
    for (name, pod) in table {
        let mut cluster = with_pod();
        cluster.put(pod);
        assert_eq!(cluster.freed(ADDRESS), None, "{name}");
    }
}

#[test]
fn a_record_that_is_renewed_starts_the_quarantine_again() {
    let mut cluster = with_pod();
    cluster.remove("a");
    cluster.wait(25);
    let renewed = Allocation {
        since: cluster.now(),
        ..cluster.allocation(ADDRESS, "a")
    };
    cluster.record(renewed);
    assert_eq!(cluster.freed(ADDRESS), Some((31, ActionReason::PodGone)));
}

#[test]
fn a_pod_that_comes_back_during_the_quarantine_keeps_its_address() {
    let mut cluster = with_pod();
    cluster.remove("a");
    cluster.wait(29);
    cluster.put(Pod {
        uid: Some("u-a-2".into()),
        ..running("a", ADDRESS, "node-2")
    });
    assert_eq!(cluster.freed(ADDRESS), None);
    let pod = cluster.held(ADDRESS).and_then(|record| record.pod.clone());
    let pod = pod.unwrap_or_else(|| panic!("no pod"));
    assert_eq!(
        (pod.uid.as_deref(), pod.node.as_deref()),
        (Some("u-a-2"), Some("node-2"))
    );
}

#[test]
fn a_successor_does_not_vouch_for_the_node_of_its_predecessor() {
    let mut cluster = with_pod();
    cluster.node("node-1", NodeIs::Silent);
    cluster.wait(5);
    cluster.put(Pod {
        uid: Some("u-a-2".into()),
        ..running("a", ADDRESS, "node-2")
    });
    cluster.wait(60);
    let former = cluster.held(ADDRESS).map(|record| &record.former_nodes[..]);
    assert_eq!(former, Some(&["node-1".into()][..]));
    cluster.remove("a");
    // The first node was seen silent 64 s ago.
    let expected = Some((600 - 64, ActionReason::PodGone));
    assert_eq!(cluster.freed(ADDRESS), expected);
}

#[test]
fn a_pending_namesake_keeps_nothing_beyond_the_quarantine() {
    let pending = Pod {
        uid: Some("u-a-2".into()),
        networks: Some("storage-net,storage-net".into()),
        ..pod("a", None)
    };
    let mut cluster = with_pod();
    cluster.remove("a");
    cluster.put(pending);
    assert_eq!(cluster.freed(ADDRESS), Some((31, ActionReason::PodGone)));
}

#[test]
fn a_provisional_record_is_freed_once_no_pod_can_come() {
    let unnamed = |cluster: &Cluster, pod: Option<PodRef>| Allocation {
        holder: token(),
        pod,
        ..cluster.allocation(ADDRESS, "")
    };
    let named_only = PodRef {
        name: "web-x".into(),
        uid: None,
        node: None,
    };
    let on_node = PodRef {
        node: Some("node-1".into()),
        ..named_only.clone()
    };
    let silent = Some("node-1");
    let long = json!({"quarantine": "5m"});
    let table = [
        ("without a pod", None, None, json!({}), 121),
        ("named", Some(named_only.clone()), None, json!({}), 121),
        ("bound", Some(on_node.clone()), None, json!({}), 121),
        ("a long quarantine", None, None, long, 301),
        ("it may run anywhere", None, silent, json!({}), 601),
        ("named, no node", Some(named_only), silent, json!({}), 601),
        ("on a silent node", Some(on_node), silent, json!({}), 601),
    ];
    for (name, pod, silent, pool, expected) in table {
        let mut cluster = Cluster::with(&pool);
        if let Some(node) = silent {
            cluster.node(node, NodeIs::Silent);
        }
        let record = unnamed(&cluster, pod);
        cluster.record(record);
        let freed = cluster.freed(ADDRESS);
        let expected = Some((expected, ActionReason::ProvisionalExpired));
        assert_eq!(freed, expected, "{name}");
    }
}

#[test]
fn a_record_of_the_future_waits_for_its_time() {
    let mut cluster = Cluster::new();
    let ahead = Allocation {
        since: cluster.now().plus(Duration::from_secs(100)),
        ..cluster.allocation(ADDRESS, "a")
    };
    cluster.record(ahead);
    // The clock of the replica that wrote it is ahead by 100 s. No plan foresees that.
    let expected = Some((130, ActionReason::PodGone, None));
    assert_eq!(cluster.release_of(ADDRESS), expected);
}

#[test]
fn a_token_is_one_pod_s() {
    let mut cluster = Cluster::new();
    let record = Allocation {
        holder: token(),
        pod: None,
        ..cluster.allocation(ADDRESS, "")
    };
    cluster.record(record);
    cluster.wait(100);
    let of_token = |name: &str| Pod {
        holder: token(),
        ..asking(pod(name, Some("node-1")), ADDRESS)
    };
    // Its pod is late, and there before the record expires.
    cluster.put(of_token("web-x"));
    assert_eq!(cluster.reasons(), [ActionReason::PodIdentified]);
    let named = cluster.held(ADDRESS).and_then(|record| record.pod.clone());
    assert_eq!(named, Some(pod_ref("web-x", Some("node-1"))));
    cluster.wait(600);
    // A pod with a copied token does not get the record.
    cluster.remove("web-x");
    cluster.put(Pod {
        networks: Some("storage-net".into()),
        ..of_token("web-y")
    });
    assert_eq!(cluster.freed(ADDRESS), Some((31, ActionReason::PodGone)));
}
