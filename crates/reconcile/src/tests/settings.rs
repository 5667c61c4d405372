//! Release from the pool of a served network, which an AddressPool configures.

use std::sync::Arc;

use nadmit_allocation::{Allocation, ParsedSpec};
use nadmit_catalog::{
    InlinePools, NamespaceLabels, Ordinals, Pod, PoolDerivation, WhereaboutsMode, all_labels,
};
use nadmit_cni::Network;
use serde_json::{Value, json};

use super::fixture::*;

const ADDRESS: &str = "192.0.2.7";

/// Returns a cluster in which a pod of the served network `db/storage-net` has an address.
fn with_pod(pod: Pod) -> Cluster {
    let mut cluster = Cluster::new();
    let config = json!({"cniVersion": "0.3.1", "type": "macvlan",
        "ipam": {"type": "whereabouts", "range": "192.0.2.0/24"}});
    let network = Network::new("db", "storage-net", Some(&config.to_string()));
    cluster.catalog.set_pool_derivation(PoolDerivation {
        inline: InlinePools::Disabled,
        whereabouts: WhereaboutsMode::Serve,
    });
    cluster.catalog.put_network(Arc::new(network));
    let labels = NamespaceLabels {
        injection: true,
        ..NamespaceLabels::default()
    };
    cluster
        .catalog
        .put_namespace("db", labels, all_labels("db", []));
    let record = Allocation {
        holder: pod.holder.clone(),
        pool: "whereabouts/192.0.2.0-24".into(),
        ..cluster.allocation(ADDRESS, &pod.name)
    };
    cluster.record(record);
    cluster.put(pod);
    let workloads = cluster.catalog.workloads_mut();
    let ordinals = Ordinals {
        start: 0,
        replicas: 3,
    };
    workloads.set_stateful_set(("db", "web"), Some(ordinals));
    set(&mut cluster, &Value::Null);
    cluster.wait(200);
    let held = cluster.held(ADDRESS);
    assert_eq!(
        held.map(|held| &*held.pool),
        Some("whereabouts/192.0.2.0-24")
    );
    cluster
}

/// Replaces the AddressPool that configures the pool; null for none.
fn set(cluster: &mut Cluster, settings: &Value) {
    let settings = settings.as_object().map(|fields| {
        let mut spec = json!({"whereabouts": {"networks": ["db/storage-net"]}});
        for (key, value) in fields {
            spec[key] = value.clone();
        }
        let pool = ParsedSpec::of_pool(&spec).pool("keep");
        ("keep".into(), pool.map(Arc::new).map_err(Arc::from))
    });
    cluster.catalog.set_pools(settings, []);
}

/// Returns the number of passes until the address is freed; `None` if it is kept for an hour.
fn passes_until_freed(cluster: &mut Cluster) -> Option<u64> {
    (1..3600).find(|_| {
        cluster.pass();
        cluster.held(ADDRESS).is_none()
    })
}

#[test]
fn an_address_is_released_as_the_settings_say() {
    let pod = || running("web-1", ADDRESS, "node-1");
    let of_set = || Pod {
        holder: replica(1),
        ..pod()
    };
    let table = [
        (json!(null), pod(), Some(31)),
        (json!({}), pod(), Some(31)),
        (json!({"quarantine": "5m"}), pod(), Some(301)),
        (json!(null), of_set(), None),
        (json!({"quarantine": "5m"}), of_set(), None),
        (
            json!({"retention": "Pod", "quarantine": "5m"}),
            of_set(),
            Some(301),
        ),
    ];
    for (settings, pod, expected) in table {
        let mut cluster = with_pod(pod);
        set(&mut cluster, &settings);
        cluster.remove("web-1");
        assert_eq!(passes_until_freed(&mut cluster), expected, "{settings}");
    }
}

#[test]
fn settings_hold_at_once_for_held_addresses_and_end_with_their_object() {
    let replica = Pod {
        holder: replica(1),
        ..running("web-1", ADDRESS, "node-1")
    };
    let mut cluster = with_pod(replica);
    cluster.remove("web-1");
    cluster.wait(600);
    assert!(cluster.held(ADDRESS).is_some());
    set(
        &mut cluster,
        &json!({"retention": "Pod", "quarantine": "1h"}),
    );
    cluster.wait(600);
    assert!(cluster.held(ADDRESS).is_some());
    // The default is to retain it.
    set(&mut cluster, &Value::Null);
    assert_eq!(passes_until_freed(&mut cluster), None);
    set(&mut cluster, &json!({"retention": "Pod"}));
    assert_eq!(passes_until_freed(&mut cluster), Some(1));
}
