//! Addresses that outlive their pods: of replicas of StatefulSets, of virtual machines, of reservations.

use nadmit_allocation::{Address, Allocation, Holder, NetworkRef, reconcile::ActionReason};
use nadmit_catalog::{Ordinals, Pod};
use nadmit_cni::mac::Mac;
use serde_json::{Value, json};

use super::fixture::*;
use crate::Effect;

const ADDRESS: &str = "192.0.2.7";

/// The state of a StatefulSet.
#[derive(Debug, Clone, Copy)]
enum Set {
    Has(Ordinals),
    Deleted,
    Unknown,
}

/// Returns a cluster in which the pod of `web-1` has an address.
fn with_replica(pool: &Value) -> Cluster {
    let mut cluster = Cluster::with(pool);
    cluster.put(Pod {
        holder: replica(1),
        ..running("web-1", ADDRESS, "node-1")
    });
    cluster.wait(200);
    cluster
}

#[test]
fn a_replica_s_address_is_retained_as_the_pool_says() {
    let replicas = |start, replicas| Set::Has(Ordinals { start, replicas });
    let by_default = json!({});
    let inverse = json!({"workloadRetention": {"whenScaled": "Release", "whenDeleted": "Retain"}});
    let by_pod = json!({"retention": "Pod"});
    let workload_gone = Some(ActionReason::WorkloadGone);
    let table = [
        (&by_default, replicas(0, 2), None),
        (&by_default, replicas(1, 1), None),
        (&by_default, replicas(0, 1), None),
        (&by_default, replicas(2, 5), None),
        (&by_default, Set::Deleted, workload_gone.clone()),
        (&by_default, Set::Unknown, None),
        (&inverse, replicas(0, 2), None),
        (&inverse, replicas(0, 1), workload_gone.clone()),
        (&inverse, replicas(2, 5), workload_gone),
        (&inverse, Set::Deleted, None),
        (&inverse, Set::Unknown, None),
        (&by_pod, replicas(0, 2), Some(ActionReason::PodGone)),
        (&by_pod, Set::Unknown, Some(ActionReason::PodGone)),
    ];
    for (pool, set, expected) in table {
        let mut cluster = with_replica(pool);
        let workloads = cluster.catalog.workloads_mut();
        match set {
            Set::Has(ordinals) => drop(workloads.set_stateful_set(("db", "web"), Some(ordinals))),
            Set::Deleted => {}
            Set::Unknown => drop(workloads.set_stateful_sets_known(false)),
        }
        cluster.remove("web-1");
        let freed = cluster.freed(ADDRESS);
        let expected = expected.map(|reason| (31, reason));
        assert_eq!(freed, expected, "{pool} {set:?}");
    }
}

#[test]
fn a_scaled_down_replica_is_released_after_the_quarantine_of_its_pod() {
    let scaled = json!({"workloadRetention": {"whenScaled": "Release", "whenDeleted": "Release"}});
    let mut cluster = with_replica(&scaled);
    let two = Ordinals {
        start: 0,
        replicas: 2,
    };
    let one = Ordinals { replicas: 1, ..two };
    let workloads = cluster.catalog.workloads_mut();
    workloads.set_stateful_set(("db", "web"), Some(two));
    cluster.remove("web-1");
    cluster.wait(600);
    let workloads = cluster.catalog.workloads_mut();
    workloads.set_stateful_set(("db", "web"), Some(one));
    let expected = Some((1, ActionReason::WorkloadGone));
    assert_eq!(cluster.freed(ADDRESS), expected);
}

#[test]
fn a_pending_replica_keeps_its_address() {
    let mut cluster = with_replica(&json!({}));
    cluster.remove("web-1");
    cluster.put(Pod {
        holder: replica(1),
        uid: Some("u-2".into()),
        networks: Some("storage-net".into()),
        ..pod("web-1", None)
    });
    assert_eq!(cluster.freed(ADDRESS), None);
}

fn launcher(name: &str, node: &str) -> Pod {
    Pod {
        holder: machine(),
        ..with_mac(pod(name, Some(node)))
    }
}

/// Returns the pod with an address and a MAC that does not derive from it.
fn with_mac(pod: Pod) -> Pod {
    let networks = json!([{"name": "storage-net", "ips": ["192.0.2.7/24"],
        "mac": "02:5e:00:00:01:00"}]);
    let status = json!([{"name": "db/storage-net", "interface": "net1", "ips": [ADDRESS],
        "mac": "02:5e:00:00:01:00"}]);
    Pod {
        networks: Some(networks.to_string().into()),
        network_status: Some(status.to_string().into()),
        ..pod
    }
}

const MAC: &str = "02:5e:00:00:01:00";

fn with_launcher() -> Cluster {
    let mut cluster = Cluster::with(&json!({"macs": {"prefix": "02:5e:00"}}));
    cluster
        .catalog
        .workloads_mut()
        .set_machine(("db", "vm"), true);
    cluster.put(launcher("vm-1", "node-1"));
    cluster.wait(200);
    assert_eq!(cluster.records.len(), 2);
    cluster
}

#[test]
fn a_machine_s_mac_outlives_its_pod_and_its_address_does_not() {
    let mut cluster = with_launcher();
    cluster.remove("vm-1");
    let expected = Some((31, ActionReason::PodGone));
    assert_eq!(cluster.freed(ADDRESS), expected);
    assert_eq!(cluster.freed(MAC), None);
    let workloads = cluster.catalog.workloads_mut();
    workloads.set_machine(("db", "vm"), false);
    let expected = Some((1, ActionReason::WorkloadGone));
    assert_eq!(cluster.freed(MAC), expected);
}

#[test]
fn a_machine_is_deleted_only_if_neither_kind_has_it() {
    // The VirtualMachine, the VirtualMachineInstance, and whether both kinds may be read.
    for (machine, instance, known, freed) in [
        (true, false, true, false),
        (false, true, true, false),
        (false, false, false, false),
        (false, false, true, true),
    ] {
        let mut cluster = with_launcher();
        let workloads = cluster.catalog.workloads_mut();
        workloads.set_machine(("db", "vm"), machine);
        workloads.set_instance(("db", "vm"), instance);
        workloads.set_instances_known(known);
        cluster.remove("vm-1");
        let found = cluster.freed(MAC).is_some();
        assert_eq!(found, freed, "{machine} {instance} {known}");
    }
}

#[test]
fn a_machine_s_mac_is_recorded_by_itself_before_its_address_is_freed() {
    let mut cluster = with_launcher();
    // As an older release recorded it.
    let mac = cluster
        .held(MAC)
        .cloned()
        .unwrap_or_else(|| panic!("no MAC"));
    cluster.records.remove(&mac.address);
    let both = cluster.held(ADDRESS).cloned();
    let both = both.unwrap_or_else(|| panic!("no address"));
    cluster.record(Allocation {
        mac: Some(Mac([2, 0x5e, 0, 0, 1, 0])),
        ..both
    });
    cluster.remove("vm-1");
    assert_eq!(cluster.reasons(), [ActionReason::MacSplit]);
    let expected = Some((30, ActionReason::PodGone));
    assert_eq!(cluster.freed(ADDRESS), expected);
    assert!(cluster.held(MAC).is_some());
}

#[test]
fn a_migration_passes_the_record_to_the_next_launcher() {
    let mut cluster = with_launcher();
    // While both run, neither is a second user, and the record names the first.
    cluster.put(launcher("vm-2", "node-2"));
    assert_eq!(cluster.reasons(), []);
    cluster.remove("vm-1");
    let plan = cluster.pass();
    let found: Vec<_> = plan
        .actions
        .iter()
        .map(|planned| (&planned.action.reason, planned.effect))
        .collect();
    // The record keeps others from starting a launcher: naming the next one is verified live.
    let identified = (&ActionReason::PodIdentified, Effect::Revoke);
    assert_eq!(found, [identified, identified]);
    let record = cluster
        .held(ADDRESS)
        .unwrap_or_else(|| panic!("no address"));
    assert_eq!(record.pod, Some(pod_ref("vm-2", Some("node-2"))));
    assert_eq!(record.former_nodes, ["node-1".into()]);
    assert_eq!(cluster.freed(ADDRESS), None);
}

fn set_aside() -> Holder {
    Holder::Reservation {
        namespace: "db".into(),
        name: "r".into(),
    }
}

#[test]
fn a_reservation_is_recorded_and_deleted_with_its_object() {
    let mut cluster = Cluster::new();
    cluster.configure(&json!({}), [reservation(ADDRESS)]);
    assert_eq!(cluster.reasons(), [ActionReason::Reserved]);
    assert_eq!(
        cluster.held(ADDRESS).map(|record| &record.holder),
        Some(&set_aside())
    );
    assert_eq!(cluster.freed(ADDRESS), None);
    cluster.configure(&json!({}), []);
    let expected = Some((1, ActionReason::ReservationGone));
    assert_eq!(cluster.freed(ADDRESS), expected);
}

#[test]
fn a_reserved_address_returns_to_its_reservation() {
    for (reserved, expected) in [
        (true, ActionReason::ReturnedToReservation),
        (false, ActionReason::PodGone),
    ] {
        let mut cluster = Cluster::new();
        cluster.configure(&json!({}), [reservation(ADDRESS)]);
        let taken = Allocation {
            reservation: Some(NetworkRef {
                namespace: "db".into(),
                name: "r".into(),
            }),
            ..cluster.allocation(ADDRESS, "a")
        };
        cluster.record(taken);
        cluster.put(running("a", ADDRESS, "node-1"));
        cluster.wait(200);
        if !reserved {
            cluster.configure(&json!({}), []);
        }
        cluster.remove("a");
        assert_eq!(cluster.freed(ADDRESS), Some((31, expected)));
        let holder = cluster.held(ADDRESS).map(|record| record.holder.clone());
        assert_eq!(holder, reserved.then(set_aside));
    }
}

#[test]
fn an_address_of_a_network_s_configuration_is_freed_when_it_is_removed() {
    let mut cluster = Cluster::new();
    let configured = Allocation {
        holder: Holder::Network {
            namespace: "db".into(),
            name: "old-net".into(),
        },
        interface: "".into(),
        pod: None,
        ..cluster.allocation(ADDRESS, "")
    };
    cluster.record(configured);
    let expected = Some((1, ActionReason::NotConfigured));
    let address: Address = ADDRESS.parse().unwrap_or_else(|e| panic!("{e}"));
    assert!(cluster.records.contains_key(&address));
    assert_eq!(cluster.freed(ADDRESS), expected);
}
