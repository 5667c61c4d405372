//! Warnings about conflicts that only users can resolve: emitted once, and nothing is changed.

use libtest_mimic::Trial;
use serde_json::json;

use super::fixture::*;

pub(super) fn tests() -> Vec<Trial> {
    tests!["reconciler"; with paused;
        two_users_of_one_address_are_reported,
        a_pod_with_another_address_is_reported,
        a_pod_orphaned_by_its_set_is_not_a_second_user,
    ]
}

async fn two_users_of_one_address_are_reported() -> TestResult {
    let fixture = ReconcilerFixture::new();
    fixture.running("a", "192.0.2.7", "node-1");
    fixture.running("b", "192.0.2.7", "node-2");
    let leader = fixture.replica("a", true).await?;
    seconds(60).await;
    same(fixture.held(), holding(&[("192.0.2.7", "a")]))?;
    same(
        leader.events.of("DuplicateAddress"),
        ["a", "b"].map(str::to_owned).to_vec(),
    )?;
    same(leader.reconciler.pass(false).await.duplicates, 1)?;
    same(leader.is_ready(), true)?;
    // One of them is deleted: the other one holds the address then.
    fixture.delete("a").await?;
    seconds(60).await;
    same(fixture.held(), holding(&[("192.0.2.7", "b")]))?;
    same(leader.reconciler.pass(false).await.duplicates, 0)
}

async fn a_pod_with_another_address_is_reported() -> TestResult {
    let fixture = ReconcilerFixture::new();
    fixture.running("a", "192.0.2.7", "node-1");
    fixture.running("b", "192.0.2.8", "node-1");
    let leader = fixture.replica("a", true).await?;
    seconds(10).await;
    same(leader.events.of("AddressDrift"), vec![])?;
    let mut pod = fixture.server.stored("pods", "db", "a").ok_or("no pod")?;
    let status = json!([{"name": "db/storage-net", "interface": "net1", "ips": ["192.0.2.99"]}]);
    pod["metadata"]["annotations"][STATUS] = json!(status.to_string());
    fixture.server.put(pod);
    seconds(60).await;
    let drifted = leader.events.of("AddressDrift");
    same(drifted.first().map(String::as_str), Some("a"))?;
    same(drifted.iter().all(|name| name == "a"), true)?;
    same(leader.reconciler.pass(false).await.drifted, 1)
}

async fn a_pod_orphaned_by_its_set_is_not_a_second_user() -> TestResult {
    let fixture = ReconcilerFixture::new();
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
    same(fixture.held().len(), 1)?;
    let mut pod = fixture
        .server
        .stored("pods", "db", "db-0")
        .ok_or("no pod")?;
    pod["metadata"]["ownerReferences"] = json!([]);
    fixture.server.put(pod);
    seconds(600).await;
    same(fixture.held().len(), 1)?;
    same(leader.events.of("DuplicateAddress"), vec![])
}
