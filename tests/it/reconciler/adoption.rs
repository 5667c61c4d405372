//! A pool allocates nothing until everything in use in its ranges is recorded, on each replica.

use libtest_mimic::Trial;
use serde_json::json;

use super::fixture::*;

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial(
            "what_is_in_use_is_recorded_before_any_replica_gives",
            before,
        ),
        trial("a_network_that_joins_a_pool_is_looked_at_first", joins),
        trial(
            "a_network_of_the_pool_s_wire_joins_a_pool_that_stays_ready",
            joins_on_the_wire,
        ),
        trial(
            "a_pool_gives_nothing_while_whereabouts_gives_of_it",
            contested,
        ),
        trial("a_pool_waits_until_its_pods_can_be_listed", listed),
        trial("a_plan_changes_nothing", plan),
        trial("a_full_pass_reads_everything_afresh", full),
        trial(
            "what_a_pod_uses_passes_to_it_from_another_s_record_in_one_write",
            handed_over,
        ),
        trial("what_a_pod_only_asks_for_stays_another_s", asked_for),
        trial(
            "a_status_of_a_network_never_asked_for_takes_nothing",
            forged,
        ),
        trial(
            "a_status_takes_nothing_that_another_holds",
            forged_of_another,
        ),
    ]
}

/// A scaled-down replica and a reservation keep their addresses, whatever a forged status says.
async fn forged_of_another() -> Told {
    let world = World::new();
    let set = "StatefulSet";
    world.server.put(json!({
        "apiVersion": "apps/v1", "kind": set, "metadata": {"name": "db", "namespace": "db"},
        "spec": {"replicas": 1},
    }));
    let owner = json!([{"apiVersion": "apps/v1", "kind": set, "name": "db", "controller": true}]);
    world.server.put(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "db-0", "namespace": "db", "annotations": carrying("192.0.2.7"),
            "ownerReferences": owner},
        "spec": {"nodeName": "node-1", "containers": []},
    }));
    world.server.put(json!({
        "apiVersion": "nadmit.io/v1alpha1", "kind": "AddressReservation",
        "metadata": {"name": "set-aside", "namespace": "db"},
        "spec": {"network": "storage-net", "holder": {"pod": "later"}, "ips": ["192.0.2.9"]},
    }));
    let _leader = world.replica("a", true).await?;
    seconds(5).await;
    world.delete("db-0").await?;
    let ips = ["192.0.2.7", "192.0.2.8", "192.0.2.9"];
    let status = json!([{"name": "db/storage-net", "interface": "net1", "ips": ips}]);
    let annotations = json!({NETWORKS: asking("192.0.2.8"), STATUS: status.to_string()});
    world.pod("thief", annotations, Some("node-2"));
    seconds(300).await;
    let all = world.server.all(RECORDS);
    let held = all.iter().map(|record| {
        let spec = &record["spec"];
        let of = spec["holder"].as_object().and_then(|of| of.keys().next());
        (text(&spec["address"]), of.cloned().unwrap_or_default())
    });
    let mut held: Vec<(String, String)> = held.collect();
    held.sort();
    let expected = [
        ("192.0.2.7", "replica"),
        ("192.0.2.8", "pod"),
        ("192.0.2.9", "reservation"),
    ];
    same(held, holding(&expected))
}

/// A user who may create a pod may write a status into it.
async fn forged() -> Told {
    let world = World::new();
    world.running("a", "192.0.2.7", "node-1");
    let status =
        json!([{"name": "db/storage-net", "interface": "net1", "ips": ["192.0.2.8", "192.0.2.9"]}]);
    world.pod("thief", json!({STATUS: status.to_string()}), Some("node-1"));
    let _leader = world.replica("a", true).await?;
    seconds(60).await;
    same(world.held(), holding(&[("192.0.2.7", "a")]))
}

async fn contested() -> Told {
    const KIND: &str = "network-attachment-definitions.k8s.cni.cncf.io";
    let world = World::new();
    let old = world.server.stored(KIND, "db", "storage-net");
    let mut old = old.ok_or("no network")?;
    let config = json!({
        "cniVersion": "0.3.1", "type": "macvlan",
        "ipam": {"type": "whereabouts", "range": "192.0.2.0/28"},
    });
    old["metadata"] = json!({"name": "old-net", "namespace": "db"});
    old["spec"]["config"] = json!(config.to_string());
    world.server.put(old.clone());
    let leader = world.replica("a", true).await?;
    seconds(60).await;
    same(leader.is_ready(), false)?;
    // The attachment is removed, and comes back without a review.
    let mut mended = old.clone();
    mended["spec"]["config"] = json!(config.to_string().replace("192.0.2.", "198.51.100."));
    world.server.put(mended);
    seconds(5).await;
    same(leader.is_ready(), true)?;
    world.server.put(old);
    seconds(5).await;
    same(leader.is_ready(), false)
}

async fn before() -> Told {
    let world = World::new();
    world.running("a", "192.0.2.7", "node-1");
    world.running("b", "192.0.2.9", "node-2");
    let first = world.replica("a", false).await?;
    let second = world.replica("b", false).await?;
    seconds(30).await;
    same((first.is_ready(), second.is_ready()), (false, false))?;
    same(world.held(), vec![])?;
    first.lead(true);
    seconds(5).await;
    same(
        world.held(),
        holding(&[("192.0.2.7", "a"), ("192.0.2.9", "b")]),
    )?;
    same((first.is_ready(), second.is_ready()), (true, true))?;
    let stored = world.server.stored(RECORDS, "", "192.0.2.7");
    let pod = &stored.ok_or("gone")?["spec"]["pod"];
    same(
        pod,
        &json!({"name": "a", "uid": world.uid("a"), "node": "node-1"}),
    )
}

/// Creates a network without a pool, and a pod with an address on it.
fn unpooled(
    world: &World,
    master: Option<&str>,
) -> Result<serde_json::Value, libtest_mimic::Failed> {
    let stored = world.server.stored(
        "network-attachment-definitions.k8s.cni.cncf.io",
        "db",
        "storage-net",
    );
    let mut other = stored.ok_or("no network")?;
    other["metadata"] = json!({"name": "old-net", "namespace": "db"});
    let config = other["spec"]["config"].as_str().unwrap_or_default();
    let mut config: serde_json::Value = serde_json::from_str(config)?;
    if let Some(master) = master {
        config["master"] = json!(master);
    }
    other["spec"]["config"] = json!(config.to_string());
    world.server.put(other.clone());
    let status = json!([{"name": "db/old-net", "interface": "net1", "ips": ["192.0.2.1"]}]);
    world.pod(
        "old",
        json!({NETWORKS: "old-net", STATUS: status.to_string()}),
        Some("node-1"),
    );
    other["metadata"]["annotations"] = json!({"nadmit.io/address-pool": "storage"});
    Ok(other)
}

async fn joins() -> Told {
    let world = World::new();
    let leader = world.replica("a", true).await?;
    seconds(5).await;
    same(leader.is_ready(), true)?;
    // Others have used the range before, on a wire of their own.
    let other = unpooled(&world, Some("eth9"))?;
    seconds(5).await;
    same(world.held(), vec![])?;
    leader.lead(false);
    world.server.put(other);
    seconds(5).await;
    same(leader.is_ready(), false)?;
    leader.lead(true);
    seconds(5).await;
    same(world.held(), holding(&[("192.0.2.1", "old")]))?;
    same(leader.is_ready(), true)
}

/// The pool skips what is used on its wire, so no conflict is left to report.
async fn joins_on_the_wire() -> Told {
    let world = World::new();
    let leader = world.replica("a", true).await?;
    seconds(5).await;
    let other = unpooled(&world, None)?;
    seconds(5).await;
    same(world.held(), holding(&[("192.0.2.1", "old")]))?;
    leader.lead(false);
    world.server.put(other);
    seconds(5).await;
    same(leader.is_ready(), true)?;
    leader.lead(true);
    seconds(5).await;
    same(world.held(), holding(&[("192.0.2.1", "old")]))
}

async fn listed() -> Told {
    use crate::api_server::{Failure, Rule};
    let world = World::new();
    let lists = |path: &str| path.contains("/namespaces/db/pods?");
    let refused = Rule::of("list", "pods", Failure::Internal.into());
    let leader = world.replica("a", true).await?;
    seconds(5).await;
    same(leader.is_ready(), true)?;
    same(world.server.seen().iter().any(|path| lists(path)), true)?;
    world.server.fault(refused);
    world.server.put(json!({
        "apiVersion": "nadmit.io/v1alpha1", "kind": "AddressPool", "metadata": {"name": "storage"},
        "spec": {"ranges": [{"range": "192.0.0.0/16"}], "namespaceSelector": {}},
    }));
    seconds(60).await;
    same(leader.is_ready(), false)?;
    world.server.heal();
    seconds(20).await;
    same(leader.is_ready(), true)
}

async fn plan() -> Told {
    let world = World::new();
    world.running("a", "192.0.2.7", "node-1");
    let replica = world.replica("a", false).await?;
    let plan = replica.steward.plan().await;
    let words: Vec<&str> = plan.iter().map(|intent| &*intent.words).collect();
    let expected = "192.0.2.7 of pool storage is in use by pod db/a: record it";
    same(words, vec![expected])?;
    seconds(5).await;
    same(world.held(), vec![])
}

async fn full() -> Told {
    let world = World::new();
    world.running("a", "192.0.2.7", "node-1");
    let leader = world.replica("a", true).await?;
    seconds(5).await;
    let report = leader.steward.pass(true).await;
    same((report.led, report.full, report.records), (true, true, 1))?;
    same((&report.errors, &report.unready), (&vec![], &vec![]))?;
    // No event reports a record deleted during the outage: the list shows it.
    let seen = world.server.seen();
    let looked = |part: &str| seen.iter().any(|path| path.contains(part));
    same(
        looked("nodes?limit=500&fieldSelector=metadata.name%3Dnode-1"),
        true,
    )
}

/// Creates a ledger as after a restore: an address is recorded for a pod that is gone.
async fn of_long_ago() -> Result<(World, String), libtest_mimic::Failed> {
    let world = World::new();
    let first = world.replica("a", false).await?;
    let record = world.record("192.0.2.7", "a", "of-long-ago", "node-1");
    first.write(record).await?;
    drop(first);
    let uid = uid_of_record(&world)?;
    Ok((world, uid))
}

fn uid_of_record(world: &World) -> Result<String, libtest_mimic::Failed> {
    let all = world.server.all(RECORDS);
    let record = all.first().ok_or("no record")?;
    Ok(text(&record["metadata"]["uid"]))
}

async fn handed_over() -> Told {
    let (world, uid) = of_long_ago().await?;
    world.running("b", "192.0.2.7", "node-2");
    let replica = world.replica("b", false).await?;
    seconds(60).await;
    same(
        (world.held(), replica.is_ready()),
        (holding(&[("192.0.2.7", "a")]), false),
    )?;
    replica.lead(true);
    seconds(5).await;
    same(
        (world.held(), replica.is_ready()),
        (holding(&[("192.0.2.7", "b")]), true),
    )?;
    same(uid_of_record(&world)?, uid)
}

async fn asked_for() -> Told {
    let (world, _) = of_long_ago().await?;
    world.pod("a", json!({NETWORKS: "storage-net"}), Some("node-1"));
    world.pod("b", json!({NETWORKS: asking("192.0.2.7")}), None);
    let replica = world.replica("b", true).await?;
    seconds(5).await;
    same(
        (world.held(), replica.is_ready()),
        (holding(&[("192.0.2.7", "a")]), true),
    )
}
