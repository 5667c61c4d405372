//! A pool allocates nothing until everything in use in its ranges is recorded, on each replica.

use libtest_mimic::Trial;
use serde_json::json;

use super::fixture::*;

pub(super) fn tests() -> Vec<Trial> {
    tests!["reconciler"; with paused;
        addresses_in_use_are_recorded_before_any_replica_allocates,
        a_network_that_joins_a_pool_is_adopted_first,
        a_network_of_the_pool_s_wire_joins_a_pool_that_stays_ready,
        a_pool_allocates_nothing_while_whereabouts_uses_it,
        a_pool_waits_until_its_pods_can_be_listed,
        a_plan_changes_nothing,
        a_full_pass_reads_everything_afresh,
        an_address_in_use_is_transferred_in_one_write,
        a_requested_address_stays_its_holder_s,
        a_status_of_an_unrequested_network_takes_no_address,
        a_status_takes_no_address_that_another_holds,
    ]
}

/// A scaled-down replica and a reservation keep their addresses, whatever a forged status says.
async fn a_status_takes_no_address_that_another_holds() -> TestResult {
    let fixture = ReconcilerFixture::new();
    let set = "StatefulSet";
    fixture.server.put(json!({
        "apiVersion": "apps/v1", "kind": set, "metadata": {"name": "db", "namespace": "db"},
        "spec": {"replicas": 1},
    }));
    let owner = json!([{"apiVersion": "apps/v1", "kind": set, "name": "db", "controller": true}]);
    fixture.server.put(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "db-0", "namespace": "db", "annotations": carrying("192.0.2.7"),
            "ownerReferences": owner},
        "spec": {"nodeName": "node-1", "containers": []},
    }));
    fixture.server.put(json!({
        "apiVersion": "nadmit.io/v1alpha1", "kind": "AddressReservation",
        "metadata": {"name": "set-aside", "namespace": "db"},
        "spec": {"network": "storage-net", "holder": {"pod": "later"}, "ips": ["192.0.2.9"]},
    }));
    let _leader = fixture.replica("a", true).await?;
    seconds(5).await;
    fixture.delete("db-0").await?;
    let ips = ["192.0.2.7", "192.0.2.8", "192.0.2.9"];
    let status = json!([{"name": "db/storage-net", "interface": "net1", "ips": ips}]);
    let annotations = json!({NETWORKS: asking("192.0.2.8"), STATUS: status.to_string()});
    fixture.pod("thief", annotations, Some("node-2"));
    seconds(300).await;
    let all = fixture.server.all(RECORDS);
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
async fn a_status_of_an_unrequested_network_takes_no_address() -> TestResult {
    let fixture = ReconcilerFixture::new();
    fixture.running("a", "192.0.2.7", "node-1");
    let status =
        json!([{"name": "db/storage-net", "interface": "net1", "ips": ["192.0.2.8", "192.0.2.9"]}]);
    fixture.pod("thief", json!({STATUS: status.to_string()}), Some("node-1"));
    let _leader = fixture.replica("a", true).await?;
    seconds(60).await;
    same(fixture.held(), holding(&[("192.0.2.7", "a")]))
}

async fn a_pool_allocates_nothing_while_whereabouts_uses_it() -> TestResult {
    const KIND: &str = "network-attachment-definitions.k8s.cni.cncf.io";
    let fixture = ReconcilerFixture::new();
    let old = fixture.server.stored(KIND, "db", "storage-net");
    let mut old = old.ok_or("no network")?;
    let config = json!({
        "cniVersion": "0.3.1", "type": "macvlan",
        "ipam": {"type": "whereabouts", "range": "192.0.2.0/28"},
    });
    old["metadata"] = json!({"name": "old-net", "namespace": "db"});
    old["spec"]["config"] = json!(config.to_string());
    fixture.server.put(old.clone());
    let leader = fixture.replica("a", true).await?;
    seconds(60).await;
    same(leader.is_ready(), false)?;
    // The attachment is removed, and comes back without a review.
    let mut mended = old.clone();
    mended["spec"]["config"] = json!(config.to_string().replace("192.0.2.", "198.51.100."));
    fixture.server.put(mended);
    seconds(5).await;
    same(leader.is_ready(), true)?;
    fixture.server.put(old);
    seconds(5).await;
    same(leader.is_ready(), false)
}

async fn addresses_in_use_are_recorded_before_any_replica_allocates() -> TestResult {
    let fixture = ReconcilerFixture::new();
    fixture.running("a", "192.0.2.7", "node-1");
    fixture.running("b", "192.0.2.9", "node-2");
    let first = fixture.replica("a", false).await?;
    let second = fixture.replica("b", false).await?;
    seconds(30).await;
    same((first.is_ready(), second.is_ready()), (false, false))?;
    same(fixture.held(), vec![])?;
    first.lead(true);
    seconds(5).await;
    same(
        fixture.held(),
        holding(&[("192.0.2.7", "a"), ("192.0.2.9", "b")]),
    )?;
    same((first.is_ready(), second.is_ready()), (true, true))?;
    let stored = fixture.server.stored(RECORDS, "", "192.0.2.7");
    let pod = &stored.ok_or("gone")?["spec"]["pod"];
    same(
        pod,
        &json!({"name": "a", "uid": fixture.uid("a"), "node": "node-1"}),
    )
}

/// Creates a network without a pool, and a pod with an address on it.
fn unpooled(
    fixture: &ReconcilerFixture,
    master: Option<&str>,
) -> Result<serde_json::Value, libtest_mimic::Failed> {
    let stored = fixture.server.stored(
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
    fixture.server.put(other.clone());
    let status = json!([{"name": "db/old-net", "interface": "net1", "ips": ["192.0.2.1"]}]);
    fixture.pod(
        "old",
        json!({NETWORKS: "old-net", STATUS: status.to_string()}),
        Some("node-1"),
    );
    other["metadata"]["annotations"] = json!({"nadmit.io/address-pool": "storage"});
    Ok(other)
}

async fn a_network_that_joins_a_pool_is_adopted_first() -> TestResult {
    let fixture = ReconcilerFixture::new();
    let leader = fixture.replica("a", true).await?;
    seconds(5).await;
    same(leader.is_ready(), true)?;
    // Others have used the range before, on a wire of their own.
    let other = unpooled(&fixture, Some("eth9"))?;
    seconds(5).await;
    same(fixture.held(), vec![])?;
    leader.lead(false);
    fixture.server.put(other);
    seconds(5).await;
    same(leader.is_ready(), false)?;
    leader.lead(true);
    seconds(5).await;
    same(fixture.held(), holding(&[("192.0.2.1", "old")]))?;
    same(leader.is_ready(), true)
}

/// The pool skips what is used on its wire, so no conflict is left to report.
async fn a_network_of_the_pool_s_wire_joins_a_pool_that_stays_ready() -> TestResult {
    let fixture = ReconcilerFixture::new();
    let leader = fixture.replica("a", true).await?;
    seconds(5).await;
    let other = unpooled(&fixture, None)?;
    seconds(5).await;
    same(fixture.held(), holding(&[("192.0.2.1", "old")]))?;
    leader.lead(false);
    fixture.server.put(other);
    seconds(5).await;
    same(leader.is_ready(), true)?;
    leader.lead(true);
    seconds(5).await;
    same(fixture.held(), holding(&[("192.0.2.1", "old")]))
}

async fn a_pool_waits_until_its_pods_can_be_listed() -> TestResult {
    use crate::api_server::{FaultRule, InjectedFailure};
    let fixture = ReconcilerFixture::new();
    let lists = |path: &str| path.contains("/namespaces/db/pods?");
    let refused = FaultRule::of("list", "pods", InjectedFailure::Internal.into());
    let leader = fixture.replica("a", true).await?;
    seconds(5).await;
    same(leader.is_ready(), true)?;
    same(
        fixture
            .server
            .request_paths()
            .iter()
            .any(|path| lists(path)),
        true,
    )?;
    fixture.server.fault(refused);
    fixture.server.put(json!({
        "apiVersion": "nadmit.io/v1alpha1", "kind": "AddressPool", "metadata": {"name": "storage"},
        "spec": {"ranges": [{"range": "192.0.0.0/16"}], "namespaceSelector": {}},
    }));
    seconds(60).await;
    same(leader.is_ready(), false)?;
    fixture.server.heal();
    seconds(20).await;
    same(leader.is_ready(), true)
}

async fn a_plan_changes_nothing() -> TestResult {
    let fixture = ReconcilerFixture::new();
    fixture.running("a", "192.0.2.7", "node-1");
    let replica = fixture.replica("a", false).await?;
    let plan = replica.reconciler.plan().await;
    let descriptions: Vec<String> = plan.iter().map(ToString::to_string).collect();
    let expected = "192.0.2.7 of pool storage is in use by pod db/a; record the address";
    same(descriptions, vec![expected.to_owned()])?;
    seconds(5).await;
    same(fixture.held(), vec![])
}

async fn a_full_pass_reads_everything_afresh() -> TestResult {
    let fixture = ReconcilerFixture::new();
    fixture.running("a", "192.0.2.7", "node-1");
    let leader = fixture.replica("a", true).await?;
    seconds(5).await;
    let report = leader.reconciler.pass(true).await;
    same(
        (report.is_leader, report.full, report.records),
        (true, true, 1),
    )?;
    let errors: Vec<String> = report.errors.iter().map(ToString::to_string).collect();
    same((errors, &report.unready), (vec![], &vec![]))?;
    // No event reports a record deleted during the outage: the list shows it.
    let seen = fixture.server.request_paths();
    let looked = |part: &str| seen.iter().any(|path| path.contains(part));
    same(
        looked("nodes?&fieldSelector=metadata.name%3Dnode-1&limit=500"),
        true,
    )
}

/// Creates a ledger as after a restore: an address is recorded for a pod that is gone.
async fn of_long_ago() -> Result<(ReconcilerFixture, String), libtest_mimic::Failed> {
    let fixture = ReconcilerFixture::new();
    let first = fixture.replica("a", false).await?;
    let record = fixture.record("192.0.2.7", "a", "of-long-ago", "node-1");
    first.write(record).await?;
    drop(first);
    let uid = uid_of_record(&fixture)?;
    Ok((fixture, uid))
}

fn uid_of_record(fixture: &ReconcilerFixture) -> Result<String, libtest_mimic::Failed> {
    let all = fixture.server.all(RECORDS);
    let record = all.first().ok_or("no record")?;
    Ok(text(&record["metadata"]["uid"]))
}

async fn an_address_in_use_is_transferred_in_one_write() -> TestResult {
    let (fixture, uid) = of_long_ago().await?;
    fixture.running("b", "192.0.2.7", "node-2");
    let replica = fixture.replica("b", false).await?;
    seconds(60).await;
    same(
        (fixture.held(), replica.is_ready()),
        (holding(&[("192.0.2.7", "a")]), false),
    )?;
    replica.lead(true);
    seconds(5).await;
    same(
        (fixture.held(), replica.is_ready()),
        (holding(&[("192.0.2.7", "b")]), true),
    )?;
    same(uid_of_record(&fixture)?, uid)
}

async fn a_requested_address_stays_its_holder_s() -> TestResult {
    let (fixture, _) = of_long_ago().await?;
    fixture.pod("a", json!({NETWORKS: "storage-net"}), Some("node-1"));
    fixture.pod("b", json!({NETWORKS: asking("192.0.2.7")}), None);
    let replica = fixture.replica("b", true).await?;
    seconds(5).await;
    same(
        (fixture.held(), replica.is_ready()),
        (holding(&[("192.0.2.7", "a")]), true),
    )
}
