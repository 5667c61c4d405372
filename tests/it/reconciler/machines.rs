//! The addresses that virtual machines retain, and the pod that uses them.

use libtest_mimic::Trial;
use nadmit::{
    allocation::{Allocation, Holder},
    network::mac::Mac,
};
use serde_json::{Value, json};

use super::fixture::*;

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial("a_machine_s_mac_stays_until_the_machine_goes", outlives),
        trial("a_mac_of_before_is_parted_from_its_address", parted),
        trial("a_machine_s_mac_is_adopted_by_itself", adopted),
        trial("a_second_launcher_gets_nothing_late", second),
        trial("the_target_of_a_migration_gets_the_same_late", migrated),
        trial("without_migrations_in_the_cluster_none_shares", no_kind),
    ]
}

const MACHINES: &str = "virtualmachines.kubevirt.io";
const MIGRATIONS: &str = "virtualmachineinstancemigrations.kubevirt.io";

fn world() -> World {
    let world = World::with(&json!({
        "ranges": [{"range": "192.0.2.0/24"}], "macs": {"prefix": "02:5e:00"}, "quarantine": "30s",
        "namespaceSelector": {},
    }));
    world.server.put(json!({
        "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine",
        "metadata": {"name": "vm", "namespace": "db"}, "spec": {"template": {}},
    }));
    world
}

/// Creates a launcher of the machine on a node.
fn launcher(world: &World, name: &str, annotations: Value, labels: Value) {
    world.server.put(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": "db", "annotations": annotations, "labels": labels,
            "ownerReferences": [{"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance",
                "name": "vm", "uid": "u", "controller": true}],
        },
        "spec": {"nodeName": "node-1", "containers": []}, "status": {"phase": "Running"},
    }));
}

fn networks(world: &World, pod: &str) -> String {
    let stored = world.server.stored("pods", "db", pod).unwrap_or_default();
    text(&stored["metadata"]["annotations"][NETWORKS])
}

fn plain() -> Value {
    json!({NETWORKS: "storage-net"})
}

const GIVEN: &str = r#"[{"name":"storage-net","ips":["192.0.2.1/24"],"mac":"02:5e:00:00:01:00"}]"#;

/// Returns the records of the machine, ordered by name.
fn held(world: &World) -> Vec<String> {
    world
        .held()
        .into_iter()
        .map(|(address, _)| address)
        .collect()
}

async fn outlives() -> Told {
    let world = world();
    let _leader = world.replica("a", true).await?;
    seconds(5).await;
    launcher(&world, "a", plain(), json!({}));
    seconds(5).await;
    same(networks(&world, "a"), GIVEN.to_owned())?;
    same(held(&world), own(&["192.0.2.1", "02:5e:00:00:01:00"]))?;
    world.delete("a").await?;
    seconds(300).await;
    same(held(&world), own(&["02:5e:00:00:01:00"]))?;
    // Another pod has the address now.
    world.pod("other", plain(), Some("node-1"));
    seconds(5).await;
    launcher(&world, "b", plain(), json!({}));
    seconds(5).await;
    let next = r#"[{"name":"storage-net","ips":["192.0.2.2/24"],"mac":"02:5e:00:00:01:00"}]"#;
    same(networks(&world, "b"), next.to_owned())?;
    world.delete("b").await?;
    world.delete("other").await?;
    remove(&world, MACHINES, "vm").await?;
    seconds(60).await;
    same(held(&world), vec![])
}

fn own(addresses: &[&str]) -> Vec<String> {
    addresses.iter().map(|one| (*one).to_owned()).collect()
}

async fn remove(world: &World, resource: &str, name: &str) -> Told {
    let plural = resource.split('.').next().unwrap_or_default();
    let path = format!("/apis/kubevirt.io/v1/namespaces/db/{plural}/{name}");
    let request = http::Request::delete(path).body(Vec::new())?;
    world.server.client().request_text(request).await?;
    Ok(())
}

/// Returns a record in the format of an older release.
fn before(world: &World) -> Allocation {
    Allocation {
        holder: Holder::Machine {
            namespace: "db".into(),
            name: "vm".into(),
        },
        mac: Some(Mac([2, 0x5e, 0, 0, 0, 7])),
        ..world.record("192.0.2.7", "a", &world.uid("a"), "node-1")
    }
}

async fn parted() -> Told {
    let world = world();
    let both =
        json!([{"name": "storage-net", "ips": ["192.0.2.7/24"], "mac": "02:5e:00:00:00:07"}]);
    launcher(
        &world,
        "a",
        json!({NETWORKS: both.to_string(), STATUS: "[]"}),
        json!({}),
    );
    let follower = world.replica("b", false).await?;
    follower.write(before(&world)).await?;
    let _leader = world.replica("a", true).await?;
    seconds(10).await;
    same(held(&world), own(&["192.0.2.7", "02:5e:00:00:00:07"]))?;
    world.delete("a").await?;
    seconds(60).await;
    same(held(&world), own(&["02:5e:00:00:00:07"]))?;
    remove(&world, MACHINES, "vm").await?;
    seconds(60).await;
    same(held(&world), vec![])
}

async fn adopted() -> Told {
    let world = world();
    let own_mac =
        json!([{"name": "storage-net", "ips": ["192.0.2.7/24"], "mac": "02:5e:00:00:00:09"}]);
    launcher(
        &world,
        "a",
        json!({NETWORKS: own_mac.to_string(), STATUS: "[]"}),
        json!({}),
    );
    let leader = world.replica("a", true).await?;
    seconds(10).await;
    same(held(&world), own(&["192.0.2.7", "02:5e:00:00:00:09"]))?;
    // The next holder of the address that the MAC is derived from gets another MAC.
    let asked = json!([{"name": "storage-net", "ips": ["192.0.2.9/24"]}]).to_string();
    world.pod("other", json!({NETWORKS: asked}), Some("node-1"));
    seconds(5).await;
    let other: Value = serde_json::from_str(&networks(&world, "other"))?;
    same(other[0]["mac"].clone(), json!("02:5e:00:00:01:00"))?;
    drop(leader);
    Ok(())
}

async fn second() -> Told {
    let world = world();
    let leader = world.replica("a", true).await?;
    seconds(5).await;
    launcher(&world, "a", plain(), json!({}));
    seconds(5).await;
    launcher(
        &world,
        "b",
        plain(),
        json!({"kubevirt.io/migrationJobUID": "guessed"}),
    );
    seconds(60).await;
    same(networks(&world, "b"), "storage-net".to_owned())?;
    same(leader.said.of("NoAddresses"), own(&["b"]))?;
    // Once the first pod is gone, the second one holds the first's addresses.
    world.delete("a").await?;
    seconds(60).await;
    same(networks(&world, "b"), GIVEN.to_owned())
}

fn target(world: &World) {
    let annotations = json!({NETWORKS: "storage-net", "kubevirt.io/migrationJobName": "m"});
    let migration = world
        .server
        .stored(MIGRATIONS, "db", "m")
        .unwrap_or_default();
    let uid = text(&migration["metadata"]["uid"]);
    launcher(
        world,
        "b",
        annotations,
        json!({"kubevirt.io/migrationJobUID": uid}),
    );
}

fn migration(world: &World, phase: &str) {
    world.server.put(json!({
        "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstanceMigration",
        "metadata": {"name": "m", "namespace": "db"}, "spec": {"vmiName": "vm"},
        "status": {"phase": phase},
    }));
}

async fn migrated() -> Told {
    for (phase, given) in [("Scheduling", GIVEN), ("Failed", "storage-net")] {
        let world = world();
        let _leader = world.replica("a", true).await?;
        seconds(5).await;
        launcher(&world, "a", plain(), json!({}));
        seconds(5).await;
        migration(&world, phase);
        target(&world);
        seconds(10).await;
        same(networks(&world, "b"), given.to_owned())?;
    }
    Ok(())
}

async fn no_kind() -> Told {
    let world = world();
    world.server.unregister(MIGRATIONS);
    let leader = world.replica("a", true).await?;
    seconds(5).await;
    launcher(&world, "a", plain(), json!({}));
    seconds(5).await;
    let annotations = json!({NETWORKS: "storage-net", "kubevirt.io/migrationJobName": "m"});
    launcher(
        &world,
        "b",
        annotations,
        json!({"kubevirt.io/migrationJobUID": "m-1"}),
    );
    seconds(10).await;
    same(networks(&world, "b"), "storage-net".to_owned())?;
    same(leader.said.of("NoAddresses"), own(&["b"]))
}
