//! Allocations of a pod that it no longer needs.

use libtest_mimic::Trial;
use nadmit::allocation::{Allocation, PodRef};
use serde_json::json;

use super::fixture::*;

pub(super) fn tests() -> Vec<Trial> {
    tests!["reconciler"; with paused;
        addresses_for_another_node_are_released_after_binding,
        an_unbound_pod_may_go_to_either_node,
        an_unplugged_interface_s_address_is_detached_and_then_released,
        an_interface_plugged_in_again_keeps_its_address,
        a_predecessor_s_extra_addresses_are_released,
        addresses_of_a_pod_never_created_are_released_despite_a_namesake,
    ]
}

/// Creates two records for one pod, as when its binding to node-1 has failed.
async fn twice_bound(
    node: Option<&str>,
) -> Result<(ReconcilerFixture, ReconcilerReplica), libtest_mimic::Failed> {
    let fixture = ReconcilerFixture::sliced();
    let leader = fixture.replica("a", true).await?;
    let annotations = match node {
        Some(_) => json!({NETWORKS: asking("192.0.2.17")}),
        None => json!({NETWORKS: "storage-net"}),
    };
    let uid = fixture.pod("a", annotations, node);
    leader
        .write(fixture.record("192.0.2.1", "a", &uid, "node-1"))
        .await?;
    leader
        .write(fixture.record("192.0.2.17", "a", &uid, "node-2"))
        .await?;
    Ok((fixture, leader))
}

async fn addresses_for_another_node_are_released_after_binding() -> TestResult {
    let (fixture, _leader) = twice_bound(Some("node-2")).await?;
    seconds(5).await;
    same(fixture.held(), holding(&[("192.0.2.17", "a")]))
}

async fn an_unbound_pod_may_go_to_either_node() -> TestResult {
    let (fixture, _leader) = twice_bound(None).await?;
    seconds(600).await;
    same(
        fixture.held(),
        holding(&[("192.0.2.1", "a"), ("192.0.2.17", "a")]),
    )
}

/// Creates a pod with two interfaces, of which one is removed.
async fn with_one_less() -> Result<(ReconcilerFixture, ReconcilerReplica), libtest_mimic::Failed> {
    let fixture = ReconcilerFixture::new();
    let leader = fixture.replica("a", true).await?;
    let plug = |name: &str, ip: &str| json!({"name": "storage-net", "interface": name, "ips": [format!("{ip}/24")]});
    let has =
        |name: &str, ip: &str| json!({"name": "db/storage-net", "interface": name, "ips": [ip]});
    let both = json!({
        NETWORKS: json!([plug("net1", "192.0.2.1"), plug("hot", "192.0.2.2")]).to_string(),
        STATUS: json!([has("net1", "192.0.2.1"), has("hot", "192.0.2.2")]).to_string(),
    });
    fixture.pod("a", both, Some("node-1"));
    seconds(200).await;
    let one = json!({
        NETWORKS: json!([plug("net1", "192.0.2.1")]).to_string(),
        STATUS: json!([has("net1", "192.0.2.1")]).to_string(),
    });
    annotate(&fixture, one)?;
    Ok((fixture, leader))
}

fn annotate(fixture: &ReconcilerFixture, annotations: serde_json::Value) -> TestResult {
    let mut pod = fixture.server.stored("pods", "db", "a").ok_or("no pod")?;
    pod["metadata"]["annotations"] = annotations;
    fixture.server.put(pod);
    Ok(())
}

async fn an_unplugged_interface_s_address_is_detached_and_then_released() -> TestResult {
    let (fixture, _leader) = with_one_less().await?;
    seconds(20).await;
    same(
        fixture.held(),
        holding(&[("192.0.2.1", "a"), ("192.0.2.2", "a")]),
    )?;
    seconds(30).await;
    same(fixture.held(), holding(&[("192.0.2.1", "a")]))
}

async fn an_interface_plugged_in_again_keeps_its_address() -> TestResult {
    let (fixture, _leader) = with_one_less().await?;
    seconds(20).await;
    let networks = json!([
        {"name": "storage-net", "interface": "net1", "ips": ["192.0.2.1/24"]},
        {"name": "storage-net", "interface": "hot"},
    ]);
    annotate(&fixture, json!({NETWORKS: networks.to_string()}))?;
    seconds(600).await;
    same(fixture.held().len(), 2)
}

/// A new pod of the same name requests one interface less, without interface names.
async fn a_predecessor_s_extra_addresses_are_released() -> TestResult {
    let fixture = ReconcilerFixture::new();
    let _leader = fixture.replica("a", true).await?;
    let ask = |ip: &str| json!({"name": "storage-net", "ips": [format!("{ip}/24")]});
    let has =
        |name: &str, ip: &str| json!({"name": "db/storage-net", "interface": name, "ips": [ip]});
    let both = json!({
        NETWORKS: json!([ask("192.0.2.1"), ask("192.0.2.2")]).to_string(),
        STATUS: json!([has("net1", "192.0.2.1"), has("net2", "192.0.2.2")]).to_string(),
    });
    fixture.pod("a", both, Some("node-1"));
    seconds(5).await;
    fixture.node("node-1", false);
    seconds(5).await;
    fixture.delete("a").await?;
    fixture.running("a", "192.0.2.1", "node-2");
    // The previous pod may still run on a node that does not respond.
    seconds(550).await;
    let two = holding(&[("192.0.2.1", "a"), ("192.0.2.2", "a")]);
    same(fixture.held(), two)?;
    seconds(200).await;
    same(fixture.held(), holding(&[("192.0.2.1", "a")]))
}

async fn addresses_of_a_pod_never_created_are_released_despite_a_namesake() -> TestResult {
    let fixture = ReconcilerFixture::sliced();
    let leader = fixture.replica("a", true).await?;
    let uid = fixture.running("a", "192.0.2.1", "node-1");
    // A pending pod may wait forever.
    fixture.pod(
        "waiting",
        json!({NETWORKS: "storage-net,storage-net"}),
        None,
    );
    let mut third = fixture.record("192.0.2.19", "waiting", "", "node-2");
    third.pod = third.pod.map(|pod| PodRef { uid: None, ..pod });
    leader.write(third).await?;
    let kept = fixture.record("192.0.2.1", "a", &uid, "node-1");
    // Another "a" was to be created on node-2, with two interfaces.
    let [first, second] = ["192.0.2.17", "192.0.2.18"].map(|ip| {
        let mut record = fixture.record(ip, "a", "", "node-2");
        record.pod = record.pod.map(|pod| PodRef { uid: None, ..pod });
        record
    });
    let second = Allocation {
        interface: "net2".into(),
        ..second
    };
    for record in [kept, first, second] {
        leader.write(record).await?;
    }
    // Its plan may still be in progress.
    seconds(100).await;
    same(fixture.held().len(), 4)?;
    seconds(70).await;
    same(fixture.held(), holding(&[("192.0.2.1", "a")]))
}
