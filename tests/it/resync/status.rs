//! The status of pools and reservations.

use std::{sync::Arc, time::Duration};

use libtest_mimic::{Failed, Trial};
use nadmit::catalog::{Catalog, InlinePools, PoolDerivation, WhereaboutsMode};
use serde_json::{Value, json};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{
    fixture::{POOLS, RESERVATIONS, StatusFixture, pod, seconds},
    support::{TestResult, holds, paused, same},
};
use crate::api_server::{FaultAction, FaultEffect, FaultRule, InjectedFailure};

pub(super) fn tests() -> Vec<Trial> {
    tests!["resync"; with paused;
        a_status_is_written_once_and_when_it_changes,
        a_pool_in_use_is_written_every_few_seconds_at_most,
        a_pool_reports_why_it_allocates_nothing,
        settings_of_networks_report_what_they_configure,
        a_reservation_reports_the_holder_of_its_address,
        an_object_that_rejects_its_status_blocks_no_other,
        only_the_leader_writes_a_status,
        another_objects_status_is_not_written,
        a_status_that_could_not_be_written_is_written_later,
        a_pool_that_fills_up_is_reported_once,
        the_next_leader_does_not_repeat_it,
    ]
}

async fn a_status_is_written_once_and_when_it_changes() -> TestResult {
    let mut fixture = StatusFixture::new("")?;
    seconds(200).await;
    same(fixture.writes("addresspools"), 1)?;
    let status = fixture.status("storage")?;
    let counts = ["capacity", "allocated", "reserved", "free"].map(|key| status[key].clone());
    same(counts, [json!("20"), json!(0), json!(0), json!("20")])?;
    let first = status["conditions"][0].clone();
    same(
        (
            &first["type"],
            &first["status"],
            &first["reason"],
            &first["observedGeneration"],
        ),
        (
            &json!("Ready"),
            &json!("False"),
            &json!("WaitingForAdoption"),
            &json!(3),
        ),
    )?;
    same(&first["lastTransitionTime"], &json!("2026-03-01T12:00:00Z"))?;

    fixture.index.lock().set_ready("storage");
    seconds(100).await;
    same(fixture.writes("addresspools"), 2)?;
    let ready = fixture.status("storage")?["conditions"][0].clone();
    same(
        (&ready["status"], &ready["reason"]),
        (&json!("True"), &json!("Adopted")),
    )?;
    same(&ready["lastTransitionTime"], &json!("2026-03-01T12:03:20Z"))?;

    fixture.hold_first(3)?;
    seconds(100).await;
    same(fixture.writes("addresspools"), 3)?;
    let status = fixture.status("storage")?;
    same(
        (&status["allocated"], &status["free"]),
        (&json!(3), &json!("17")),
    )?;
    // It was ready before.
    same(&status["conditions"][0], &ready)?;

    // The next leader finds it written.
    let stop = CancellationToken::new();
    fixture.stop.cancel();
    tokio::spawn(fixture.writer().run(stop));
    seconds(100).await;
    same(fixture.writes("addresspools"), 3)
}

async fn a_pool_in_use_is_written_every_few_seconds_at_most() -> TestResult {
    let mut fixture = StatusFixture::new("")?;
    seconds(10).await;
    let before = fixture.writes("addresspools");
    for round in 0..100_u8 {
        fixture.hold_first(round % 15)?;
        sleep(Duration::from_millis(500)).await;
    }
    let writes = fixture.writes("addresspools") - before;
    holds((8..=11).contains(&writes), writes)?;
    seconds(10).await;
    same(&fixture.status("storage")?["allocated"], &json!(99 % 15))
}

async fn a_pool_reports_why_it_allocates_nothing() -> TestResult {
    let faulty = "apiVersion: nadmit.io/v1alpha1\nkind: AddressPool\nmetadata: {name: odd}\n\
                  spec: {ranges: [{range: 192.0.2.0}, {range: x}]}\n";
    let old = "apiVersion: k8s.cni.cncf.io/v1\nkind: NetworkAttachmentDefinition\n\
               metadata: {name: old, namespace: db}\nspec: {config: '{\"type\": \"macvlan\", \
               \"ipam\": {\"type\": \"whereabouts\", \"range\": \"192.0.2.0/28\"}}'}\n";
    let fixture = StatusFixture::new(&format!("{faulty}---\n{old}"))?;
    fixture.index.lock().set_ready("storage");
    seconds(3).await;
    let odd = fixture.condition(POOLS, "", "odd")?;
    holds(odd.starts_with("False Invalid: ranges[0].range: "), &odd)?;
    holds(odd.contains("; ranges[1].range: "), &odd)?;
    let storage = fixture.condition(POOLS, "", "storage")?;
    let says = "False OverlapsWhereabouts: Whereabouts assigns addresses of pool \"storage\" on \
                network db/old (192.0.2.1 to 192.0.2.14)";
    holds(storage.starts_with(says), &storage)?;
    // One pool is deleted, and the other one is fixed.
    fixture.show(
        &faulty
            .replace(", {range: x}", "")
            .replace("2.0}", "3.0/24}"),
    )?;
    seconds(10).await;
    same(
        fixture.condition(POOLS, "", "storage")?,
        "True Adopted: pool \"storage\" assigns addresses".to_owned(),
    )?;
    let odd = fixture.condition(POOLS, "", "odd")?;
    holds(odd.starts_with("False WaitingForAdoption"), odd)
}

async fn settings_of_networks_report_what_they_configure() -> TestResult {
    let settings = "apiVersion: nadmit.io/v1alpha1\nkind: AddressPool\nmetadata: {name: keep}\n\
                    spec: {whereabouts: {networks: [db/old]}, retention: Pod}\n";
    let network = "apiVersion: k8s.cni.cncf.io/v1\nkind: NetworkAttachmentDefinition\n\
                   metadata: {name: old, namespace: db}\nspec: {config: '{\"type\": \"macvlan\", \
                   \"ipam\": {\"type\": \"whereabouts\", \"range\": \"198.51.100.0/24\"}}'}\n";
    let fixture = StatusFixture::new(settings)?;
    seconds(3).await;
    let status = |start: &str| {
        let found = fixture.condition(POOLS, "", "keep")?;
        holds(found.starts_with(start), found)
    };
    status("False NetworkNotFound: network db/old does not exist")?;
    fixture.show(&format!("{settings}---\n{network}"))?;
    seconds(10).await;
    status("False NetworkWithoutPool: network db/old is one of Whereabouts")?;
    let catalog = fixture.catalog.load_full().ok_or("no catalog")?;
    let served = Catalog::clone(&catalog).deriving_pools(PoolDerivation {
        inline: InlinePools::Disabled,
        whereabouts: WhereaboutsMode::Serve,
    });
    drop(fixture.index.synced(served.pool_config()));
    fixture.catalog.store(Some(Arc::new(served)));
    seconds(10).await;
    status("True Configures: the settings are those of pool \"whereabouts/198.51.100.0-24\"")?;
    // It has no numbers, and nothing that could be exhausted.
    let status = fixture.status("keep")?;
    same(
        (&status["capacity"], &status["free"]),
        (&json!(null), &json!(null)),
    )?;
    same(status["conditions"].as_array().map(Vec::len), Some(1))
}

/// A pool that was stored before its schema had today's restrictions.
async fn an_object_that_rejects_its_status_blocks_no_other() -> TestResult {
    let mut fixture = StatusFixture::new(
        "apiVersion: nadmit.io/v1alpha1\nkind: AddressPool\nmetadata: {name: ancient}\n\
         spec: {ranges: [{range: 198.51.100.0/24}], retention: Forever}\n",
    )?;
    for count in 1..10 {
        fixture.hold_first(count)?;
        seconds(10).await;
        same(&fixture.status("storage")?["allocated"], &json!(count))?;
    }
    same(fixture.condition(POOLS, "", "ancient")?, " : ".to_owned())?;
    let asked = fixture.server.request_counts();
    let key = ("patch".to_owned(), format!("{POOLS}/status"));
    same(asked.get(&key).copied(), Some(9 + 2))
}

async fn a_reservation_reports_the_holder_of_its_address() -> TestResult {
    let one = |name: &str, pod: &str, ip: &str| {
        format!(
            "apiVersion: nadmit.io/v1alpha1\nkind: AddressReservation\n\
             metadata: {{name: {name}, namespace: db, generation: 1}}\n\
             spec: {{network: storage-net, holder: {{pod: {pod}}}, ips: [{ip}]}}\n"
        )
    };
    let all = [
        one("kept", "a", "192.0.2.1/24"),
        one("waiting", "b", "192.0.2.2/24"),
        one("taken", "c", "192.0.2.3/24"),
        one("conflict", "d", "192.0.2.4/24"),
        one("outside", "e", "192.0.2.99/24"),
        one("invalid", "f", "192.0.2.6.7"),
        one("elsewhere", "g", "192.0.2.7").replace("storage-net", "other-net"),
    ];
    let mut fixture = StatusFixture::new(&all.join("---\n"))?;
    fixture.hold(&[
        (
            1,
            json!({"reservation": {"namespace": "db", "name": "kept"}}),
        ),
        (3, pod("c")),
        (4, pod("x")),
    ])?;
    seconds(8).await;
    let expected = [
        (
            "kept",
            "True Kept: the addresses are reserved until their holder requests them",
        ),
        (
            "waiting",
            "False Waiting: nadmit will record 192.0.2.2; no action needed",
        ),
        ("taken", "True Taken: 192.0.2.3 is held by pod db/c"),
        ("conflict", "False Conflict: 192.0.2.4 is held by pod db/x"),
        (
            "outside",
            "False OutsidePool: pool \"storage\" never assigns 192.0.2.99",
        ),
        (
            "elsewhere",
            "False NoPool: no address pool serves network db/other-net",
        ),
    ];
    for (name, says) in expected {
        same(
            fixture.condition(RESERVATIONS, "db", name)?,
            says.to_owned(),
        )?;
    }
    let invalid = fixture.condition(RESERVATIONS, "db", "invalid")?;
    holds(invalid.starts_with("False Invalid: ips[0]: "), invalid)?;
    let before = fixture.writes("addressreservations");
    seconds(200).await;
    same(fixture.writes("addressreservations"), before)
}

async fn only_the_leader_writes_a_status() -> TestResult {
    let mut fixture = StatusFixture::new("")?;
    fixture.leads.send_replace(false);
    seconds(20).await;
    same(
        fixture
            .server
            .request_counts()
            .contains_key(&("list".to_owned(), POOLS.to_owned())),
        false,
    )?;
    fixture.leads.send_replace(true);
    seconds(3).await;
    same(fixture.writes("addresspools"), 1)?;
    fixture.leads.send_replace(false);
    fixture.hold_first(5)?;
    seconds(60).await;
    same(fixture.writes("addresspools"), 1)?;
    fixture.leads.send_replace(true);
    seconds(10).await;
    same(fixture.writes("addresspools"), 2)
}

async fn another_objects_status_is_not_written() -> TestResult {
    let mut fixture = StatusFixture::new("")?;
    seconds(10).await;
    let mut pool = fixture
        .server
        .stored(POOLS, "", "storage")
        .ok_or("no pool")?;
    pool["metadata"]["uid"] = json!("another");
    pool["metadata"]["generation"] = json!(1);
    pool["status"] = Value::Null;
    fixture.server.put(pool);
    fixture.hold_first(2)?;
    seconds(10).await;
    // The status of the deleted pool does not carry over to the new one.
    let status = fixture.status("storage")?;
    same(&status["conditions"][0]["observedGeneration"], &json!(1))?;
    same(&status["allocated"], &json!(2))?;
    let since = &status["conditions"][0]["lastTransitionTime"];
    holds(*since != json!("2026-03-01T12:00:00Z"), since)
}

async fn a_status_that_could_not_be_written_is_written_later() -> TestResult {
    let fixture = StatusFixture::new("")?;
    let failures = [
        InjectedFailure::Forbidden,
        InjectedFailure::Unavailable,
        InjectedFailure::Conflict,
    ];
    for failure in failures {
        let action = FaultAction {
            effect: FaultEffect::AsAnswered,
            ..failure.into()
        };
        fixture
            .server
            .fault(FaultRule::of("patch", "addresspools/status", action).times(3));
    }
    seconds(300).await;
    same(fixture.writes("addresspools"), 1)?;
    let found = fixture.condition(POOLS, "", "storage")?;
    holds(found.starts_with("False WaitingForAdoption"), found)
}

async fn a_pool_that_fills_up_is_reported_once() -> TestResult {
    let mut fixture = StatusFixture::new("")?;
    fixture.index.lock().set_ready("storage");
    for count in [17, 18, 19, 20, 20, 19, 20, 10, 20] {
        fixture.hold_first(count)?;
        seconds(10).await;
    }
    let events = fixture.events.take();
    let expected = [
        "PoolNearlyFull: range 192.0.2.0/24 of pool \"storage\" is at least 90 % full; extend the \
         pool, or release addresses",
        "PoolExhausted: range 192.0.2.0/24 of pool \"storage\" is full; new pods stay Pending",
        "PoolExhausted: range 192.0.2.0/24 of pool \"storage\" is full; new pods stay Pending",
    ];
    let expected = expected.map(|event| format!("Warning AddressPool storage: {event}"));
    same(events, expected.to_vec())
}

async fn the_next_leader_does_not_repeat_it() -> TestResult {
    let mut fixture = StatusFixture::new("")?;
    fixture.index.lock().set_ready("storage");
    fixture.hold_first(18)?;
    seconds(10).await;
    same(fixture.events.take().len(), 1)?;
    let pressure = |fixture: &StatusFixture| -> Result<Value, Failed> {
        let status = fixture.status("storage")?;
        let all = status["conditions"].as_array().cloned().unwrap_or_default();
        let found = all.into_iter().find(|one| one["type"] == "AddressPressure");
        Ok(found.map_or(Value::Null, |one| one["reason"].clone()))
    };
    same(pressure(&fixture)?, json!("NearlyFull"))?;
    let writes = fixture.writes("addresspools");
    // One leader after another: a new process, and one that led before.
    fixture.leads.send_replace(false);
    seconds(10).await;
    fixture.leads.send_replace(true);
    seconds(10).await;
    fixture.stop.cancel();
    let next = CancellationToken::new();
    tokio::spawn(fixture.writer().run(next.clone()));
    seconds(10).await;
    same(fixture.events.take(), Vec::new())?;
    same(fixture.writes("addresspools"), writes)?;
    // A worse state is reported, and so is a recovery.
    fixture.hold_first(20)?;
    seconds(10).await;
    same(fixture.events.take().len(), 1)?;
    same(pressure(&fixture)?, json!("Exhausted"))?;
    fixture.hold_first(10)?;
    seconds(10).await;
    same(pressure(&fixture)?, Value::Null)?;
    // Another replica led, and the pool was emptier meanwhile.
    next.cancel();
    tokio::spawn(fixture.writer().run(CancellationToken::new()));
    fixture.hold_first(18)?;
    seconds(10).await;
    let events = fixture.events.take();
    same(events.len(), 1)?;
    holds(events[0].contains("PoolNearlyFull"), &events)
}
