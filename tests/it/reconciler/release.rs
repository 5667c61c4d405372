//! Release of addresses: only after the pod is confirmed to be gone.

use libtest_mimic::Trial;
use nadmit::allocation::{Allocation, Holder, PodRef};
use serde_json::json;

use super::fixture::*;

pub(super) fn tests() -> Vec<Trial> {
    tests!["reconciler"; with paused;
        a_pod_s_address_is_free_after_the_quarantine,
        a_pod_recreated_meanwhile_keeps_its_address,
        nothing_is_released_without_a_live_read,
        an_evicted_pod_s_address_is_freed,
        a_finished_pod_releases_its_address,
        an_address_on_a_silent_node_is_kept_for_its_quarantine,
        a_pod_moved_from_a_silent_node_keeps_its_address_reserved_there,
        a_returning_node_has_time_to_end_deleted_pods,
        a_node_that_is_gone_or_out_of_service_runs_nothing,
        a_record_without_a_pod_is_released,
        a_late_pod_keeps_the_addresses_of_its_token,
        a_token_s_record_gets_the_pod_s_name,
        a_replica_s_address_is_released_with_its_set,
        a_follower_releases_nothing,
        an_unrecorded_pod_may_run_on_a_silent_node,
        a_pending_pod_keeps_its_predecessor_s_address_during_the_quarantine,
    ]
}

/// Returns a leader, and a pod with a record.
async fn with_pod() -> Result<(ReconcilerFixture, ReconcilerReplica), libtest_mimic::Failed> {
    let fixture = ReconcilerFixture::new();
    fixture.running("a", "192.0.2.7", "node-1");
    let leader = fixture.replica("a", true).await?;
    seconds(5).await;
    same(fixture.held(), kept())?;
    Ok((fixture, leader))
}

fn kept() -> Vec<(String, String)> {
    holding(&[("192.0.2.7", "a")])
}

async fn a_pod_s_address_is_free_after_the_quarantine() -> TestResult {
    let (fixture, _leader) = with_pod().await?;
    fixture.delete("a").await?;
    seconds(28).await;
    same(fixture.held(), kept())?;
    seconds(5).await;
    same(fixture.held(), vec![])
}

async fn a_pod_recreated_meanwhile_keeps_its_address() -> TestResult {
    let (fixture, _leader) = with_pod().await?;
    fixture.delete("a").await?;
    seconds(10).await;
    // From here on the watch delivers nothing.
    fixture
        .server
        .lag("a", std::time::Duration::from_secs(3600));
    fixture.running("a", "192.0.2.7", "node-2");
    seconds(600).await;
    same(fixture.held(), kept())
}

async fn nothing_is_released_without_a_live_read() -> TestResult {
    use crate::api_server::{FaultRule, InjectedFailure};
    let (fixture, _leader) = with_pod().await?;
    let rule = FaultRule::of("list", "nodes", InjectedFailure::Internal.into());
    fixture.server.fault(rule);
    fixture.delete("a").await?;
    seconds(120).await;
    same(fixture.held(), kept())?;
    fixture.server.heal();
    seconds(30).await;
    same(fixture.held(), vec![])
}

async fn an_evicted_pod_s_address_is_freed() -> TestResult {
    let (fixture, _leader) = with_pod().await?;
    let params = kube::api::EvictParams::default();
    fixture.pods().evict("a", &params).await?;
    // It is terminating, and exists until its kubelet confirms its end.
    seconds(300).await;
    same(fixture.held(), kept())?;
    fixture.delete("a").await?;
    seconds(40).await;
    same(fixture.held(), vec![])
}

async fn a_finished_pod_releases_its_address() -> TestResult {
    let (fixture, _leader) = with_pod().await?;
    let mut pod = fixture.server.stored("pods", "db", "a").ok_or("no pod")?;
    pod["status"]["phase"] = json!("Succeeded");
    fixture.server.put(pod);
    seconds(40).await;
    same(fixture.held(), vec![])
}

async fn an_address_on_a_silent_node_is_kept_for_its_quarantine() -> TestResult {
    let (fixture, _leader) = with_pod().await?;
    fixture.node("node-1", false);
    seconds(5).await;
    fixture.delete("a").await?;
    seconds(580).await;
    same(fixture.held(), kept())?;
    seconds(40).await;
    same(fixture.held(), vec![])
}

async fn a_pod_moved_from_a_silent_node_keeps_its_address_reserved_there() -> TestResult {
    let (fixture, _leader) = with_pod().await?;
    fixture.node("node-1", false);
    seconds(5).await;
    fixture.delete("a").await?;
    // Its successor of the same name has the address on another node, and ends there.
    fixture.running("a", "192.0.2.7", "node-2");
    seconds(60).await;
    let record = fixture.server.all(RECORDS).into_iter().next();
    let record = record.ok_or("no record")?;
    same(&record["spec"]["formerNodes"], &json!(["node-1"]))?;
    fixture.delete("a").await?;
    seconds(500).await;
    same(fixture.held(), kept())?;
    seconds(60).await;
    same(fixture.held(), vec![])
}

async fn a_returning_node_has_time_to_end_deleted_pods() -> TestResult {
    let (fixture, _leader) = with_pod().await?;
    fixture.node("node-1", false);
    seconds(5).await;
    fixture.delete("a").await?;
    seconds(300).await;
    fixture.node("node-1", true);
    seconds(25).await;
    same(fixture.held(), kept())?;
    seconds(10).await;
    same(fixture.held(), vec![])
}

async fn a_node_that_is_gone_or_out_of_service_runs_nothing() -> TestResult {
    for gone in [true, false] {
        let (fixture, _leader) = with_pod().await?;
        fixture.node("node-1", false);
        seconds(5).await;
        fixture.delete("a").await?;
        seconds(60).await;
        same(fixture.held(), kept())?;
        if gone {
            let nodes: kube::Api<k8s_openapi::api::core::v1::Node> =
                kube::Api::all(fixture.server.client());
            nodes.delete("node-1", &Default::default()).await?;
        } else {
            let mut node = fixture
                .server
                .stored("nodes", "", "node-1")
                .ok_or("no node")?;
            node["spec"]["taints"] =
                json!([{"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}]);
            fixture.server.put(node);
        }
        seconds(5).await;
        same(fixture.held(), vec![])?;
    }
    Ok(())
}

fn token() -> Holder {
    Holder::Unnamed {
        namespace: "db".into(),
        generate_name: "web-".into(),
        token: "t-1".into(),
    }
}

async fn a_record_without_a_pod_is_released() -> TestResult {
    let fixture = ReconcilerFixture::new();
    let leader = fixture.replica("a", true).await?;
    let record = fixture.record("192.0.2.1", "", "", "");
    leader
        .write(Allocation {
            holder: token(),
            pod: None,
            ..record
        })
        .await?;
    seconds(115).await;
    same(fixture.held(), holding(&[("192.0.2.1", "t-1")]))?;
    seconds(10).await;
    same(fixture.held(), vec![])
}

fn unnamed(fixture: &ReconcilerFixture) {
    fixture.server.put(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "web-x", "generateName": "web-", "namespace": "db", "annotations": {
            NETWORKS: asking("192.0.2.1"), "nadmit.io/holder-token": "t-1",
        }},
        "spec": {"nodeName": "node-1", "containers": []},
    }));
}

async fn a_late_pod_keeps_the_addresses_of_its_token() -> TestResult {
    let fixture = ReconcilerFixture::new();
    let leader = fixture.replica("a", true).await?;
    let record = fixture.record("192.0.2.1", "", "", "");
    leader
        .write(Allocation {
            holder: token(),
            pod: None,
            ..record
        })
        .await?;
    seconds(60).await;
    fixture
        .server
        .lag("a", std::time::Duration::from_secs(3600));
    unnamed(&fixture);
    seconds(600).await;
    same(fixture.held(), holding(&[("192.0.2.1", "t-1")]))
}

async fn a_token_s_record_gets_the_pod_s_name() -> TestResult {
    let fixture = ReconcilerFixture::new();
    let leader = fixture.replica("a", true).await?;
    let record = fixture.record("192.0.2.1", "", "", "");
    leader
        .write(Allocation {
            holder: token(),
            pod: None,
            ..record
        })
        .await?;
    unnamed(&fixture);
    seconds(5).await;
    let stored = fixture
        .server
        .stored(RECORDS, "", "192.0.2.1")
        .ok_or("gone")?;
    let uid = fixture.uid("web-x");
    same(
        &stored["spec"]["pod"],
        &json!({"name": "web-x", "uid": uid, "node": "node-1"}),
    )?;
    same(
        &stored["metadata"]["labels"]["nadmit.io/pod-uid"],
        &json!(uid),
    )
}

async fn a_replica_s_address_is_released_with_its_set() -> TestResult {
    let fixture = ReconcilerFixture::new();
    let set = json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet",
        "metadata": {"name": "db", "namespace": "db"}, "spec": {"replicas": 1},
    });
    fixture.server.put(set);
    let owner = json!([{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db",
        "controller": true}]);
    fixture.server.put(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "db-0", "namespace": "db", "annotations": carrying("192.0.2.7"),
            "ownerReferences": owner},
        "spec": {"nodeName": "node-1", "containers": []},
    }));
    let leader = fixture.replica("a", true).await?;
    seconds(5).await;
    fixture.delete("db-0").await?;
    seconds(300).await;
    same(fixture.held().len(), 1)?;
    let sets: kube::Api<k8s_openapi::api::apps::v1::StatefulSet> =
        kube::Api::namespaced(fixture.server.client(), "db");
    sets.delete("db", &Default::default()).await?;
    seconds(10).await;
    same(fixture.held(), vec![])?;
    same(leader.is_ready(), true)
}

async fn a_follower_releases_nothing() -> TestResult {
    let (fixture, leader) = with_pod().await?;
    leader.lead(false);
    fixture.delete("a").await?;
    seconds(300).await;
    same(fixture.held(), kept())?;
    // It has seen the pod being deleted: as leader it does not restart the wait.
    leader.lead(true);
    seconds(5).await;
    same(fixture.held(), vec![])
}

async fn a_pending_pod_keeps_its_predecessor_s_address_during_the_quarantine() -> TestResult {
    let (fixture, _leader) = with_pod().await?;
    fixture.delete("a").await?;
    fixture.pod("a", json!({NETWORKS: "storage-net,storage-net"}), None);
    seconds(28).await;
    same(fixture.held(), kept())?;
    seconds(5).await;
    same(fixture.held(), vec![])
}

/// The record was created before the pod and has no UID, and perhaps no node.
async fn an_unrecorded_pod_may_run_on_a_silent_node() -> TestResult {
    for node in [Some("node-1"), None] {
        let fixture = ReconcilerFixture::new();
        fixture.node("node-1", false);
        let leader = fixture.replica("a", true).await?;
        let mut record = fixture.record("192.0.2.7", "a", "", "");
        record.pod = record.pod.map(|pod| PodRef {
            uid: None,
            node: node.map(Into::into),
            ..pod
        });
        leader.write(record).await?;
        seconds(500).await;
        same(fixture.held(), kept())?;
        seconds(120).await;
        same(fixture.held(), vec![])?;
    }
    Ok(())
}
