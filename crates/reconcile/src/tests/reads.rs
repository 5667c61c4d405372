//! The live reads that actions rest on, and what they permit; idle slices.

use std::{collections::BTreeSet, sync::Arc};

use nadmit_allocation::{
    Allocation, Holder, Index, Slice, Stored, Version, Write,
    reconcile::{Action, ActionReason, IdleReason},
};
use nadmit_cni::range::Subnet;
use serde_json::json;

use super::fixture::*;
use nadmit_catalog::LiveRead;

use crate::{
    Effect, PlannedAction, RequiredReads, batches, idle_slices, resync_dependencies,
    slice_dependency,
};

const ADDRESS: &str = "192.0.2.7";

fn node(name: &str) -> LiveRead {
    LiveRead::node(name)
}

fn pod_of(name: &str) -> LiveRead {
    LiveRead::pod("db", name)
}

fn pods() -> LiveRead {
    LiveRead::pods_of("db")
}

fn apply(index: &mut Index, allocation: Allocation, version: u64) {
    let version = Version(version);
    index.apply(Stored {
        allocation,
        version,
    });
}

fn release(record: &Allocation, reason: ActionReason) -> PlannedAction {
    PlannedAction::from(Action {
        write: Some(Write::Delete(record.clone(), Version(1))),
        reason,
    })
}

#[test]
fn a_release_rests_on_everything_that_could_use_the_address() {
    let cluster = Cluster::new();
    let mut blind = Cluster::new();
    blind.catalog.nodes_mut().set_known(false);
    let workloads = blind.catalog.workloads_mut();
    workloads.set_stateful_sets_known(false);
    workloads.set_machines_known(false);
    let of = |holder: Holder| Allocation {
        holder,
        ..cluster.allocation(ADDRESS, "a")
    };
    let moved = Allocation {
        former_nodes: vec!["node-2".into()],
        ..of(holder("a"))
    };
    let unbound = Allocation {
        pod: None,
        ..of(holder("a"))
    };
    let named = ("db".into(), "r".into());
    let reserved = of(Holder::Reservation {
        namespace: named.0,
        name: named.1,
    });
    let configured = of(Holder::Network {
        namespace: "db".into(),
        name: "old-net".into(),
    });
    let set = LiveRead::stateful_set("db", "web");
    let machines = LiveRead::virtual_machine("db", "vm");
    let network = LiveRead::network("db", "old-net");
    let (on, a, web) = (node("node-1"), pod_of("a"), pod_of("web-1"));
    // A record, its dependencies, and those where neither nodes nor workloads may be read.
    let table = [
        ("pod", of(holder("a")), vec![&on, &a], vec![&a]),
        ("unbound pod", unbound, vec![&a], vec![&a]),
        (
            "replica",
            of(replica(1)),
            vec![&on, &set, &a, &web],
            vec![&a, &web],
        ),
        ("reservation", reserved, vec![], vec![]),
        ("network", configured, vec![&network], vec![&network]),
    ];
    for (name, record, expected, expected_blind) in table {
        let action = release(&record, ActionReason::PodGone);
        let owned = |all: Vec<&LiveRead>| all.into_iter().cloned().collect::<BTreeSet<_>>();
        let found = action.dependencies(&record, &cluster.catalog);
        assert_eq!(found, owned(expected), "{name}");
        let found = action.dependencies(&record, &blind.catalog);
        assert_eq!(found, owned(expected_blind), "{name}, blind");
    }
    // Pods whose names do not follow from their holders are listed.
    for (record, further) in [(of(machine()), Some(machines)), (of(token()), None)] {
        let action = release(&record, ActionReason::PodGone);
        let mut expected = BTreeSet::from([on.clone(), a.clone(), pods()]);
        expected.extend(further);
        assert_eq!(action.dependencies(&record, &cluster.catalog), expected);
        let found = action.dependencies(&record, &blind.catalog);
        assert_eq!(found, [a.clone(), pods()].into());
    }
    let action = release(&moved, ActionReason::PodGone);
    let expected = [on, node("node-2"), a].into();
    assert_eq!(action.dependencies(&moved, &cluster.catalog), expected);
}

#[test]
fn a_transfer_rests_on_the_pod_that_gets_the_address_too() {
    let cluster = Cluster::new();
    let record = cluster.allocation(ADDRESS, "a");
    let heir = Write::Update(cluster.allocation(ADDRESS, "b"), Version(1));
    let action = PlannedAction::from(Action {
        write: Some(heir),
        reason: ActionReason::Transferred,
    });
    let found = action.dependencies(&record, &cluster.catalog);
    assert_eq!(found, [node("node-1"), pod_of("a"), pod_of("b")].into());
}

#[test]
fn an_action_revokes_if_it_takes_an_address_or_its_protection() {
    let cluster = Cluster::new();
    let of = |holder: Holder| Allocation {
        holder,
        ..cluster.allocation(ADDRESS, "a")
    };
    let create = |holder| Some(Write::Create(of(holder)));
    let update = |holder| Some(Write::Update(of(holder), Version(1)));
    let delete = |holder| Some(Write::Delete(of(holder), Version(1)));
    let a = || holder("a");
    use ActionReason as Reason;
    use Effect::{Record, Revoke, Warn};
    let duplicate = Reason::Duplicate {
        address: of(a()).address,
        users: Vec::new(),
    };
    let table = [
        (Reason::Adopted, create(a()), Record),
        (Reason::Reserved, create(a()), Record),
        (Reason::MacSplit, create(machine()), Record),
        (Reason::PodIdentified, update(a()), Record),
        (Reason::PodIdentified, update(replica(0)), Record),
        (Reason::PodIdentified, update(machine()), Revoke),
        (Reason::Detached, update(a()), Record),
        (Reason::Transferred, update(a()), Revoke),
        (Reason::ReturnedToReservation, update(a()), Revoke),
        (Reason::PodGone, delete(a()), Revoke),
        (Reason::ProvisionalExpired, delete(token()), Revoke),
        (Reason::WorkloadGone, delete(replica(0)), Revoke),
        (Reason::Excess, delete(a()), Revoke),
        (Reason::ReservationGone, delete(a()), Revoke),
        (Reason::NotConfigured, delete(a()), Revoke),
        (duplicate, None, Warn),
    ];
    for (reason, write, expected) in table {
        let planned = PlannedAction::from(Action { write, reason });
        assert_eq!(planned.effect, expected, "{:?}", planned.action.reason);
    }
}

/// Returns an index with a record of pod `a`, and the release of it.
fn with_release(cluster: &Cluster) -> (Index, PlannedAction) {
    let mut index = Index::of(cluster.catalog.pool_config());
    let record = cluster.allocation(ADDRESS, "a");
    apply(&mut index, record.clone(), 1);
    (index, release(&record, ActionReason::PodGone))
}

#[test]
fn a_release_is_permitted_if_everything_it_rests_on_was_read() {
    let cluster = Cluster::new();
    let (index, action) = with_release(&cluster);
    let actions = std::slice::from_ref(&action);
    let required = RequiredReads::of(actions, &index, &cluster.catalog);
    assert_eq!(required.all(), [node("node-1"), pod_of("a")].into());
    let (verified, failed) = required.verify(|_| false);
    assert!(failed.is_empty());
    assert!(verified.permit(&action, &index, &cluster.catalog));
    // Other than a revocation, nothing was verified.
    let update = PlannedAction::from(Action {
        write: Some(Write::Update(cluster.allocation(ADDRESS, "a"), Version(1))),
        reason: ActionReason::PodIdentified,
    });
    assert!(!verified.permit(&update, &index, &cluster.catalog));
    // The record names another node by now, which was not read.
    let mut later = index;
    let moved = Allocation {
        pod: Some(pod_ref("a", Some("node-2"))),
        ..cluster.allocation(ADDRESS, "a")
    };
    apply(&mut later, moved, 2);
    assert!(!verified.permit(&action, &later, &cluster.catalog));
    // The record is gone.
    assert!(!verified.permit(&action, &Index::default(), &cluster.catalog));
}

#[test]
fn a_failed_read_defers_the_release() {
    let cluster = Cluster::new();
    let (index, action) = with_release(&cluster);
    let actions = std::slice::from_ref(&action);
    let required = RequiredReads::of(actions, &index, &cluster.catalog);
    let (verified, failed) = required.verify(|read| *read == pod_of("a"));
    assert_eq!(failed, [(&action, pod_of("a"))]);
    assert!(!verified.permit(&action, &index, &cluster.catalog));
}

#[test]
fn many_pods_of_a_namespace_are_listed_together() {
    let some = |count: usize| -> BTreeSet<LiveRead> {
        (0..count).map(|n| pod_of(&format!("p-{n}"))).collect()
    };
    let few = some(15);
    let expected = few.iter().map(|one| (one.clone(), [one.clone()].into()));
    assert_eq!(batches(&few), expected.collect());
    let mut many = some(16);
    assert_eq!(batches(&many), [(pods(), many.clone())].into());
    // A list serves the pods that are read by themselves; other kinds and namespaces do not count.
    let other = LiveRead::pod("web", "p");
    many = [pod_of("a"), pods(), other.clone(), node("node-1")].into();
    let expected = [
        (node("node-1"), BTreeSet::from([node("node-1")])),
        (other.clone(), BTreeSet::from([other])),
        (pods(), BTreeSet::from([pod_of("a"), pods()])),
    ];
    assert_eq!(batches(&many), expected.into());
}

#[test]
fn a_full_resync_reads_what_is_behind_pools_and_records() {
    let mut cluster = Cluster::new();
    let (mut index, _) = with_release(&cluster);
    let elsewhere = Allocation {
        holder: Holder::Pod {
            namespace: "web".into(),
            name: "b".into(),
        },
        pod: Some(pod_ref("b", Some("node-2"))),
        ..cluster.allocation("192.0.2.8", "b")
    };
    apply(&mut index, elsewhere, 2);
    let network = LiveRead::network("db", "storage-net");
    let expected = BTreeSet::from([network, pods(), LiveRead::pods_of("web")]);
    let nodes = [node("node-1"), node("node-2")];
    let with_nodes = expected.iter().cloned().chain(nodes).collect();
    assert_eq!(resync_dependencies(&cluster.catalog, &index), with_nodes);
    cluster.catalog.nodes_mut().set_known(false);
    assert_eq!(resync_dependencies(&cluster.catalog, &index), expected);
}

#[test]
fn an_idle_slice_of_a_node_that_is_gone_is_deleted_after_a_live_read() {
    let sliced = json!({"nodeSliceSize": "/28"});
    let slice = |window: &str, node: &str| {
        let window = Subnet::parse(window).unwrap_or_else(|e| panic!("{e}"));
        Slice::new(&"storage".into(), window, &node.into())
    };
    // The node of the slice, whether all nodes are known, and a record in the slice.
    let gone = Some((IdleReason::NodeGone, Some(node("lost"))));
    let table = [
        ("node-1", true, false, None),
        ("silent", true, false, None),
        ("lost", false, false, None),
        ("lost", true, true, None),
        ("lost", true, false, gone),
    ];
    for (name, known, used, expected) in table {
        let mut cluster = Cluster::with(&sliced);
        cluster.node("silent", NodeIs::Silent);
        cluster.catalog.nodes_mut().set_known(known);
        let mut index = Index::default();
        index.enable_slices();
        index.synced(cluster.catalog.pool_config());
        index.apply_slice(slice("192.0.2.0/28", name), Version(1));
        if used {
            apply(&mut index, cluster.allocation(ADDRESS, "a"), 2);
        }
        let idle = idle_slices(&index, &cluster.catalog);
        let found = idle.first().map(|one| (one.reason, slice_dependency(one)));
        assert_eq!(found, expected, "{name}, known: {known}, used: {used}");
    }
    // A slice that does not match its pool needs no read.
    let cluster = Cluster::with(&json!({"nodeSliceSize": "/27"}));
    let mut index = Index::default();
    index.enable_slices();
    index.synced(cluster.catalog.pool_config());
    index.apply_slice(slice("192.0.2.0/28", "node-1"), Version(1));
    let idle = idle_slices(&index, &cluster.catalog);
    assert_eq!(idle.len(), 1);
    assert!(idle.iter().all(|one| slice_dependency(one).is_none()));
    assert!(Arc::ptr_eq(
        index.pool_config(),
        cluster.catalog.pool_config()
    ));
}
