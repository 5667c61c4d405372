//! Adoption of addresses in use, transfers, and the readiness of pools that depends on both.

use nadmit_allocation::{
    Allocation, Index, PodRef, Stored, Version, Write, reconcile::ActionReason,
};
use nadmit_catalog::LiveRead;
use serde_json::json;

use super::fixture::*;
use crate::{Effect, NotReady, ReadinessCheck};

const ADDRESS: &str = "192.0.2.7";

#[test]
fn an_address_in_use_is_adopted_with_its_pod() {
    let mut cluster = Cluster::new();
    cluster.put(running("a", ADDRESS, "node-1"));
    let plan = cluster.pass();
    let descriptions: Vec<String> = plan.actions.iter().map(ToString::to_string).collect();
    let expected = "192.0.2.7 of pool storage is in use by pod db/a; record the address";
    assert_eq!(descriptions, [expected]);
    let record = cluster.held(ADDRESS).and_then(|record| record.pod.clone());
    assert_eq!(record, Some(pod_ref("a", Some("node-1"))));
    assert_eq!(cluster.reasons(), []);
}

#[test]
fn an_adoption_in_progress_is_not_planned_again() {
    let mut cluster = Cluster::new();
    cluster.put(running("a", ADDRESS, "node-1"));
    let mut index = Index::default();
    index.synced(cluster.catalog.pool_config());
    let mut plan = cluster.plan();
    plan.drop_pending(&index);
    assert_eq!(plan.actions.len(), 1);
    index.apply(Stored {
        allocation: cluster.allocation(ADDRESS, "a"),
        version: Version(1),
    });
    plan.drop_pending(&index);
    assert_eq!(plan.actions, []);
}

#[test]
fn the_pod_that_uses_an_address_becomes_its_holder() {
    let asks = asking(pod("b", None), ADDRESS);
    let has = running("b", ADDRESS, "node-2");
    // The holder's own pod exists, and uses something else.
    for (name, user, passes_on) in [("it has it", has, true), ("it only asks", asks, false)] {
        let mut cluster = Cluster::new();
        cluster.put(running("a", "192.0.2.8", "node-1"));
        let record = cluster.allocation(ADDRESS, "a");
        cluster.record(record);
        cluster.put(user);
        let plan = cluster.pass();
        let transferred = plan
            .actions
            .iter()
            .find(|planned| planned.action.reason == ActionReason::Transferred);
        assert_eq!(transferred.is_some(), passes_on, "{name}");
        let Some(planned) = transferred else { continue };
        assert_eq!(planned.effect, Effect::Revoke);
        let write = planned.action.write.as_ref().map(Write::allocation);
        let write = write.unwrap_or_else(|| panic!("no write"));
        assert_eq!(write.holder, holder("b"));
        // The former holder's containers may still have it.
        assert_eq!(write.former_nodes, ["node-1".into()]);
    }
}

#[test]
fn a_record_gets_what_becomes_known_of_its_pod() {
    let named = pod_ref("a", None);
    let bound = pod_ref("a", Some("node-1"));
    let other_uid = PodRef {
        uid: Some("u-other".into()),
        ..bound.clone()
    };
    let without_uid = PodRef {
        uid: None,
        ..bound.clone()
    };
    for (name, before, identified) in [
        ("nothing", None, true),
        ("no node", Some(named), true),
        ("no UID", Some(without_uid), true),
        ("a predecessor", Some(other_uid), true),
        ("everything", Some(bound.clone()), false),
    ] {
        let mut cluster = Cluster::new();
        cluster.put(running("a", ADDRESS, "node-1"));
        let record = Allocation {
            pod: before,
            ..cluster.allocation(ADDRESS, "a")
        };
        cluster.record(record);
        let expected: &[ActionReason] = match identified {
            true => &[ActionReason::PodIdentified],
            false => &[],
        };
        assert_eq!(cluster.reasons(), expected, "{name}");
        let record = cluster.held(ADDRESS).and_then(|record| record.pod.clone());
        assert_eq!(record.as_ref(), Some(&bound), "{name}");
    }
}

#[test]
fn a_pool_is_ready_once_everything_in_use_is_recorded_and_read() {
    let pods = LiveRead::pods_of("db");
    let unrecorded = || NotReady::Unrecorded(ADDRESS.parse().unwrap_or_else(|e| panic!("{e}")));
    // An unrecorded pod, another allocator, a change meanwhile, and the reads that succeeded.
    let table = [
        ("as it should be", [false; 3], true, Ok(())),
        (
            "a pod's address is not recorded",
            [true, false, false],
            true,
            Err(unrecorded()),
        ),
        (
            "Whereabouts allocates too",
            [false, true, false],
            true,
            Err(NotReady::Contested),
        ),
        (
            "the pool is another",
            [false, false, true],
            true,
            Err(NotReady::Changed),
        ),
        (
            "its pods are not read",
            [false; 3],
            false,
            Err(NotReady::Unread([pods.clone()].into())),
        ),
        ("first things first", [true; 3], false, Err(unrecorded())),
    ];
    for (name, [in_use, contested, changed], is_read, expected) in table {
        let mut cluster = Cluster::new();
        if in_use {
            cluster.put(running("a", ADDRESS, "node-1"));
        }
        let config = cluster.catalog.pool_config();
        let pool = config.pool("storage").cloned();
        let pool = pool.unwrap_or_else(|| panic!("no pool"));
        if changed {
            cluster.configure(&json!({"quarantine": "31s"}), []);
        }
        let plan = cluster.plan();
        let check = ReadinessCheck {
            catalog: &cluster.catalog,
            plan: &plan,
            planner: &cluster.planner,
        };
        let found = check.check(&pool, |_| contested, |read| is_read && *read == pods);
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn readiness_rests_on_the_namespaces_of_networks_and_users() {
    let mut cluster = Cluster::new();
    let config =
        json!([{"name": "storage-net", "namespace": "db", "ips": ["192.0.2.9/24"]}]).to_string();
    cluster.put(nadmit_catalog::Pod {
        namespace: "web".into(),
        holder: nadmit_allocation::Holder::Pod {
            namespace: "web".into(),
            name: "b".into(),
        },
        networks: Some(config.into()),
        ..pod("b", Some("node-1"))
    });
    let plan = cluster.plan();
    let check = ReadinessCheck {
        catalog: &cluster.catalog,
        plan: &plan,
        planner: &cluster.planner,
    };
    let pool = cluster.catalog.pool_config().pool("storage");
    let pool = pool.unwrap_or_else(|| panic!("no pool"));
    let expected = ["db", "web"].map(LiveRead::pods_of);
    assert_eq!(check.dependencies(pool), expected.into());
}
