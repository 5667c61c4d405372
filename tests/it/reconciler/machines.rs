//! The addresses that virtual machines retain, and the pod that uses them.

use libtest_mimic::Trial;
use nadmit::{
    allocation::{Allocation, Holder},
    network::mac::Mac,
};
use serde_json::{Value, json};

use super::fixture::*;

pub(super) fn tests() -> Vec<Trial> {
    tests!["reconciler"; with paused;
        a_machine_s_mac_is_retained_until_the_machine_is_deleted,
        a_mac_of_an_older_release_is_split_from_its_address,
        a_machine_s_mac_is_adopted_by_itself,
        a_second_launcher_is_not_backfilled,
        the_target_of_a_migration_is_backfilled_with_the_same,
        without_migrations_in_the_cluster_no_launcher_shares,
    ]
}

const MACHINES: &str = "virtualmachines.kubevirt.io";
const MIGRATIONS: &str = "virtualmachineinstancemigrations.kubevirt.io";

fn fixture() -> ReconcilerFixture {
    let fixture = ReconcilerFixture::with(&json!({
        "ranges": [{"range": "192.0.2.0/24"}], "macs": {"prefix": "02:5e:00"}, "quarantine": "30s",
        "namespaceSelector": {},
    }));
    fixture.server.put(json!({
        "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine",
        "metadata": {"name": "vm", "namespace": "db"}, "spec": {"template": {}},
    }));
    fixture
}

/// Creates a launcher of the machine on a node.
fn launcher(fixture: &ReconcilerFixture, name: &str, annotations: Value, labels: Value) {
    fixture.server.put(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": "db", "annotations": annotations, "labels": labels,
            "ownerReferences": [{"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance",
                "name": "vm", "uid": "u", "controller": true}],
        },
        "spec": {"nodeName": "node-1", "containers": []}, "status": {"phase": "Running"},
    }));
}

fn networks(fixture: &ReconcilerFixture, pod: &str) -> String {
    let stored = fixture.server.stored("pods", "db", pod).unwrap_or_default();
    text(&stored["metadata"]["annotations"][NETWORKS])
}

fn plain() -> Value {
    json!({NETWORKS: "storage-net"})
}

const ASSIGNED: &str =
    r#"[{"name":"storage-net","ips":["192.0.2.1/24"],"mac":"02:5e:00:00:01:00"}]"#;

/// Returns the records of the machine, ordered by name.
fn held(fixture: &ReconcilerFixture) -> Vec<String> {
    fixture
        .held()
        .into_iter()
        .map(|(address, _)| address)
        .collect()
}

async fn a_machine_s_mac_is_retained_until_the_machine_is_deleted() -> TestResult {
    let fixture = fixture();
    let _leader = fixture.replica("a", true).await?;
    seconds(5).await;
    launcher(&fixture, "a", plain(), json!({}));
    seconds(5).await;
    same(networks(&fixture, "a"), ASSIGNED.to_owned())?;
    same(held(&fixture), own(&["192.0.2.1", "02:5e:00:00:01:00"]))?;
    fixture.delete("a").await?;
    seconds(300).await;
    same(held(&fixture), own(&["02:5e:00:00:01:00"]))?;
    // Another pod has the address now.
    fixture.pod("other", plain(), Some("node-1"));
    seconds(5).await;
    launcher(&fixture, "b", plain(), json!({}));
    seconds(5).await;
    let next = r#"[{"name":"storage-net","ips":["192.0.2.2/24"],"mac":"02:5e:00:00:01:00"}]"#;
    same(networks(&fixture, "b"), next.to_owned())?;
    fixture.delete("b").await?;
    fixture.delete("other").await?;
    remove(&fixture, MACHINES, "vm").await?;
    seconds(60).await;
    same(held(&fixture), vec![])
}

fn own(addresses: &[&str]) -> Vec<String> {
    addresses.iter().map(|one| (*one).to_owned()).collect()
}

async fn remove(fixture: &ReconcilerFixture, resource: &str, name: &str) -> TestResult {
    let plural = resource.split('.').next().unwrap_or_default();
    let path = format!("/apis/kubevirt.io/v1/namespaces/db/{plural}/{name}");
    let request = http::Request::delete(path).body(Vec::new())?;
    fixture.server.client().request_text(request).await?;
    Ok(())
}

/// Returns a record in the format of an older release.
fn before(fixture: &ReconcilerFixture) -> Allocation {
    Allocation {
        holder: Holder::VirtualMachine {
            namespace: "db".into(),
            name: "vm".into(),
        },
        mac: Some(Mac([2, 0x5e, 0, 0, 0, 7])),
        ..fixture.record("192.0.2.7", "a", &fixture.uid("a"), "node-1")
    }
}

async fn a_mac_of_an_older_release_is_split_from_its_address() -> TestResult {
    let fixture = fixture();
    let both =
        json!([{"name": "storage-net", "ips": ["192.0.2.7/24"], "mac": "02:5e:00:00:00:07"}]);
    launcher(
        &fixture,
        "a",
        json!({NETWORKS: both.to_string(), STATUS: "[]"}),
        json!({}),
    );
    let follower = fixture.replica("b", false).await?;
    follower.write(before(&fixture)).await?;
    let _leader = fixture.replica("a", true).await?;
    seconds(10).await;
    same(held(&fixture), own(&["192.0.2.7", "02:5e:00:00:00:07"]))?;
    fixture.delete("a").await?;
    seconds(60).await;
    same(held(&fixture), own(&["02:5e:00:00:00:07"]))?;
    remove(&fixture, MACHINES, "vm").await?;
    seconds(60).await;
    same(held(&fixture), vec![])
}

async fn a_machine_s_mac_is_adopted_by_itself() -> TestResult {
    let fixture = fixture();
    let own_mac =
        json!([{"name": "storage-net", "ips": ["192.0.2.7/24"], "mac": "02:5e:00:00:00:09"}]);
    launcher(
        &fixture,
        "a",
        json!({NETWORKS: own_mac.to_string(), STATUS: "[]"}),
        json!({}),
    );
    let leader = fixture.replica("a", true).await?;
    seconds(10).await;
    same(held(&fixture), own(&["192.0.2.7", "02:5e:00:00:00:09"]))?;
    // The next holder of the address that the MAC is derived from gets another MAC.
    let asked = json!([{"name": "storage-net", "ips": ["192.0.2.9/24"]}]).to_string();
    fixture.pod("other", json!({NETWORKS: asked}), Some("node-1"));
    seconds(5).await;
    let other: Value = serde_json::from_str(&networks(&fixture, "other"))?;
    same(other[0]["mac"].clone(), json!("02:5e:00:00:01:00"))?;
    drop(leader);
    Ok(())
}

async fn a_second_launcher_is_not_backfilled() -> TestResult {
    let fixture = fixture();
    let leader = fixture.replica("a", true).await?;
    seconds(5).await;
    launcher(&fixture, "a", plain(), json!({}));
    seconds(5).await;
    launcher(
        &fixture,
        "b",
        plain(),
        json!({"kubevirt.io/migrationJobUID": "guessed"}),
    );
    seconds(60).await;
    same(networks(&fixture, "b"), "storage-net".to_owned())?;
    same(leader.events.of("NoAddresses"), own(&["b"]))?;
    // Once the first pod is gone, the second one holds the first's addresses.
    fixture.delete("a").await?;
    seconds(60).await;
    same(networks(&fixture, "b"), ASSIGNED.to_owned())
}

fn target(fixture: &ReconcilerFixture) {
    let annotations = json!({NETWORKS: "storage-net", "kubevirt.io/migrationJobName": "m"});
    let migration = fixture
        .server
        .stored(MIGRATIONS, "db", "m")
        .unwrap_or_default();
    let uid = text(&migration["metadata"]["uid"]);
    launcher(
        fixture,
        "b",
        annotations,
        json!({"kubevirt.io/migrationJobUID": uid}),
    );
}

fn migration(fixture: &ReconcilerFixture, phase: &str) {
    fixture.server.put(json!({
        "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstanceMigration",
        "metadata": {"name": "m", "namespace": "db"}, "spec": {"vmiName": "vm"},
        "status": {"phase": phase},
    }));
}

async fn the_target_of_a_migration_is_backfilled_with_the_same() -> TestResult {
    for (phase, given) in [("Scheduling", ASSIGNED), ("Failed", "storage-net")] {
        let fixture = fixture();
        let _leader = fixture.replica("a", true).await?;
        seconds(5).await;
        launcher(&fixture, "a", plain(), json!({}));
        seconds(5).await;
        migration(&fixture, phase);
        target(&fixture);
        seconds(10).await;
        same(networks(&fixture, "b"), given.to_owned())?;
    }
    Ok(())
}

async fn without_migrations_in_the_cluster_no_launcher_shares() -> TestResult {
    let fixture = fixture();
    fixture.server.unregister(MIGRATIONS);
    let leader = fixture.replica("a", true).await?;
    seconds(5).await;
    launcher(&fixture, "a", plain(), json!({}));
    seconds(5).await;
    let annotations = json!({NETWORKS: "storage-net", "kubevirt.io/migrationJobName": "m"});
    launcher(
        &fixture,
        "b",
        annotations,
        json!({"kubevirt.io/migrationJobUID": "m-1"}),
    );
    seconds(10).await;
    same(networks(&fixture, "b"), "storage-net".to_owned())?;
    same(leader.events.of("NoAddresses"), own(&["b"]))
}
