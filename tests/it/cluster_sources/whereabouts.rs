//! The records of Whereabouts in the catalog.

use std::{sync::Arc, time::Duration};

use libtest_mimic::Trial;
use nadmit::{catalog::Catalog, sources::KindState};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::support::{FollowedCluster, TestResult, holds, paused, put, same, settled};
use crate::api_server::{ApiServer, FaultRule, InjectedFailure, installed};

const KINDS: [&str; 3] = [
    "ippools",
    "overlappingrangeipreservations",
    "nodeslicepools",
];

pub(super) fn tests() -> Vec<Trial> {
    tests!["cluster_sources::whereabouts"; with paused;
        records_are_followed,
        what_cannot_be_read_is_a_problem_and_stops_no_watch,
        records_that_may_not_be_listed_are_unknown,
        a_cluster_without_whereabouts_has_no_records,
    ]
}

fn record(kind: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "whereabouts.cni.cncf.io/v1alpha1", "kind": kind,
        "metadata": {"name": name, "namespace": "kube-system"}, "spec": spec,
    })
}

fn pool(range: &str, entries: &Value) -> Value {
    let name = range.replace('/', "-");
    record(
        "IPPool",
        &name,
        &json!({"range": range, "allocations": entries}),
    )
}

fn entry(pod: &str) -> Value {
    json!({"id": "c", "podref": pod, "ifname": "net1"})
}

fn furnished() -> Result<ApiServer, libtest_mimic::Failed> {
    let server = ApiServer::new();
    server.namespace("db", &[]);
    let network = json!({
        "apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition",
        "metadata": {"name": "a-net", "namespace": "db"},
        "spec": {"config": r#"{"cniVersion":"1.0.0","type":"macvlan","ipam":{"type":"whereabouts","range":"10.0.0.5-10.0.0.9/24"}}"#},
    });
    let reserved = json!({"podref": "db/a", "ifname": "net1"});
    let mut slices = record(
        "NodeSlicePool",
        "sliced",
        &json!({"range": "10.8.0.0/16", "sliceSize": "/24"}),
    );
    slices["status"] = json!({"allocations": [{"nodeName": "n1", "sliceRange": "10.8.0.0/24"}]});
    put(
        &server,
        [
            network,
            pool("10.0.0.0/24", &json!({"5": entry("db/a")})),
            pool("10.1.0.0/24", &json!({})),
            record("OverlappingRangeIPReservation", "10.0.0.5", &reserved),
            slices,
        ],
    )?;
    Ok(server)
}

/// Returns the held addresses as `address pod interface`.
fn held(catalog: &Catalog) -> Vec<String> {
    let held = catalog.whereabouts().held();
    held.map(|one| {
        let pod = one.pod.map(ToString::to_string).unwrap_or_default();
        format!("{} {pod} {}", one.address, one.interface)
    })
    .collect()
}

fn known(catalog: &Catalog) -> [bool; 3] {
    let records = catalog.whereabouts();
    [
        records.knows_pools(),
        records.knows_reservations(),
        records.knows_slice_pools(),
    ]
}

async fn records_are_followed() -> TestResult {
    let followed = FollowedCluster::synced(furnished()?).await?;
    let before = followed.catalog();
    same(&held(&before), &vec!["10.0.0.5 db/a net1".to_owned()])?;
    same(&known(&before), &[true; 3])?;
    let counts = before.whereabouts().pool("kube-system", "10.0.0.0-24");
    let counts = counts.ok_or("no pool")?.counts();
    same(&(counts.capacity, counts.used, counts.free), &(5, 1, 4))?;
    holds(
        "the slice pool",
        before.slicing().has_pool("kube-system", "sliced"),
    )?;
    let slices: Vec<_> = before.whereabouts().slice_pools().collect();
    let nodes = slices.iter().flat_map(|pool| &pool.slices);
    same(&nodes.map(|slice| &*slice.node).collect(), &vec!["n1"])?;

    let entries = json!({"5": entry("db/a"), "6": entry("db/b")});
    followed.put([pool("10.0.0.0/24", &entries)])?;
    settled().await;
    let after = followed.catalog();
    same(
        &held(&after),
        &vec![
            "10.0.0.5 db/a net1".to_owned(),
            "10.0.0.6 db/b net1".to_owned(),
        ],
    )?;
    let other = |catalog: &Catalog| {
        let found = catalog.whereabouts().pool("kube-system", "10.1.0.0-24");
        found.map(|found| Arc::clone(found.pool))
    };
    let same_pool = other(&before).zip(other(&after));
    holds(
        "the other pool is the same",
        same_pool.is_some_and(|(then, now)| Arc::ptr_eq(&then, &now)),
    )?;

    let path = "/apis/whereabouts.cni.cncf.io/v1alpha1/namespaces/kube-system";
    followed
        .delete(&format!("{path}/ippools/10.0.0.0-24"))
        .await?;
    followed
        .delete(&format!("{path}/nodeslicepools/sliced"))
        .await?;
    settled().await;
    // The reservation is left.
    same(
        &held(&followed.catalog()),
        &vec!["10.0.0.5 db/a net1".to_owned()],
    )?;
    followed
        .delete(&format!("{path}/overlappingrangeipreservations/10.0.0.5"))
        .await?;
    settled().await;
    same(&held(&followed.catalog()), &Vec::new())?;
    holds("no slice pool", !followed.catalog().slicing().has_pools())
}

async fn what_cannot_be_read_is_a_problem_and_stops_no_watch() -> TestResult {
    let followed = FollowedCluster::synced(furnished()?).await?;
    let entries = json!({"5": entry("db/a"), "x": entry("db/b"), "7": entry("nobody")});
    followed.put([
        pool("10.0.0.0/24", &entries),
        record(
            "IPPool",
            "broken",
            &json!({"range": "nonsense", "allocations": {}}),
        ),
        record(
            "OverlappingRangeIPReservation",
            "10.0.0.8",
            &json!({"podref": "nobody"}),
        ),
    ])?;
    settled().await;
    let problems = followed.source.status().problems;
    let expected = [
        "nadmit ignores IPPool kube-system/broken, because the object cannot be read: spec.range \"nonsense\"",
        "IPPool kube-system/10.0.0.0-24: spec.allocations[x] has a key that is not an offset; nadmit ignores it",
        "IPPool kube-system/10.0.0.0-24: spec.allocations[7] has podref \"nobody\", which is not namespace/name; nadmit ignores it",
        "nadmit ignores OverlappingRangeIPReservation kube-system/10.0.0.8, because the object cannot be read: has podref \"nobody\"",
    ];
    same(&problems.len(), &expected.len())?;
    for text in expected {
        let found = problems.iter().any(|problem| problem.starts_with(text));
        holds(&format!("{text} in {problems:#?}"), found)?;
    }
    same(
        &held(&followed.catalog()),
        &vec!["10.0.0.5 db/a net1".to_owned()],
    )?;
    followed.put([
        pool("10.0.0.0/24", &json!({"9": entry("db/b")})),
        record(
            "IPPool",
            "broken",
            &json!({"range": "10.9.0.0/24", "allocations": {}}),
        ),
        record(
            "OverlappingRangeIPReservation",
            "10.0.0.8",
            &json!({"podref": ""}),
        ),
    ])?;
    settled().await;
    same(&followed.source.status().problems, &Vec::new())?;
    let expected = ["10.0.0.5 db/a net1", "10.0.0.8  ", "10.0.0.9 db/b net1"];
    same(
        &held(&followed.catalog()),
        &expected.map(str::to_owned).to_vec(),
    )
}

async fn records_that_may_not_be_listed_are_unknown() -> TestResult {
    let server = furnished()?;
    for resource in KINDS {
        server.fault(FaultRule::of(
            "list",
            resource,
            InjectedFailure::Forbidden.into(),
        ));
    }
    let followed = FollowedCluster::synced(server).await?;
    same(&known(&followed.catalog()), &[false; 3])?;
    same(&held(&followed.catalog()), &Vec::new())?;
    let kind = followed.kind("ippools.whereabouts.cni.cncf.io")?;
    same(&kind.state, &KindState::Forbidden)?;
    let rule =
        r#"{apiGroups: ["whereabouts.cni.cncf.io"], resources: [ippools], verbs: [list, watch]}"#;
    let error = kind.stale.ok_or("no error")?.error;
    holds(&error, error.contains(rule))?;
    followed.server.heal();
    sleep(Duration::from_secs(31)).await;
    same(&known(&followed.catalog()), &[true; 3])?;
    same(&held(&followed.catalog()).len(), &1)
}

async fn a_cluster_without_whereabouts_has_no_records() -> TestResult {
    let server = ApiServer::new();
    let group = ".whereabouts.cni.cncf.io";
    let kinds: Vec<_> = installed()
        .into_iter()
        .filter(|kind| kind.qualified().ends_with(group))
        .collect();
    same(&kinds.len(), &3)?;
    for kind in &kinds {
        server.unregister(&kind.qualified());
    }
    let followed = FollowedCluster::synced(server).await?;
    same(&known(&followed.catalog()), &[true; 3])?;
    same(&held(&followed.catalog()), &Vec::new())?;
    let state = followed.kind("ippools.whereabouts.cni.cncf.io")?.state;
    same(&state, &KindState::Missing)?;
    // Whereabouts is installed.
    for kind in kinds {
        followed.server.register(kind);
    }
    followed.put([pool("10.0.0.0/24", &json!({"5": entry("db/a")}))])?;
    sleep(Duration::from_secs(31)).await;
    same(&held(&followed.catalog()).len(), &1)
}
