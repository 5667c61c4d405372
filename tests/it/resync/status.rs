//! The status of pools and reservations.

use std::time::Duration;

use libtest_mimic::{Failed, Trial};
use serde_json::{Value, json};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{
    fixture::{POOLS, RESERVATIONS, Stage, pod, seconds},
    support::{Told, holds, same, trial},
};
use crate::api_server::{Effect, Failure, FaultAction, Rule};

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial("a_status_is_written_once_and_when_it_changes", on_change),
        trial("a_pool_in_use_is_written_every_few_seconds_at_most", busy),
        trial("a_pool_says_why_it_gives_nothing", reasons),
        trial("a_reservation_says_who_has_its_address", reservations),
        trial(
            "an_object_that_refuses_its_status_holds_up_no_other",
            refusing,
        ),
        trial("only_the_leader_writes_a_status", leaders),
        trial("another_objects_status_is_not_written", recreated),
        trial("a_status_that_could_not_be_written_is_written_later", later),
        trial("a_pool_that_fills_up_is_told_once", fills),
        trial("the_next_leader_does_not_tell_it_again", succeeded),
    ]
}

async fn on_change() -> Told {
    let mut stage = Stage::new("")?;
    seconds(200).await;
    same(stage.writes("addresspools"), 1)?;
    let status = stage.status("storage")?;
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

    stage.index.lock().set_ready("storage");
    seconds(100).await;
    same(stage.writes("addresspools"), 2)?;
    let ready = stage.status("storage")?["conditions"][0].clone();
    same(
        (&ready["status"], &ready["reason"]),
        (&json!("True"), &json!("Adopted")),
    )?;
    same(&ready["lastTransitionTime"], &json!("2026-03-01T12:03:20Z"))?;

    stage.hold_first(3)?;
    seconds(100).await;
    same(stage.writes("addresspools"), 3)?;
    let status = stage.status("storage")?;
    same(
        (&status["allocated"], &status["free"]),
        (&json!(3), &json!("17")),
    )?;
    // It was ready before.
    same(&status["conditions"][0], &ready)?;

    // The next leader finds it written.
    let stop = CancellationToken::new();
    stage.stop.cancel();
    tokio::spawn(stage.writer().run(stop));
    seconds(100).await;
    same(stage.writes("addresspools"), 3)
}

async fn busy() -> Told {
    let mut stage = Stage::new("")?;
    seconds(10).await;
    let before = stage.writes("addresspools");
    for round in 0..100_u8 {
        stage.hold_first(round % 15)?;
        sleep(Duration::from_millis(500)).await;
    }
    let writes = stage.writes("addresspools") - before;
    holds((8..=11).contains(&writes), writes)?;
    seconds(10).await;
    same(&stage.status("storage")?["allocated"], &json!(99 % 15))
}

async fn reasons() -> Told {
    let faulty = "apiVersion: nadmit.io/v1alpha1\nkind: AddressPool\nmetadata: {name: odd}\n\
                  spec: {ranges: [{range: 192.0.2.0}, {range: x}]}\n";
    let old = "apiVersion: k8s.cni.cncf.io/v1\nkind: NetworkAttachmentDefinition\n\
               metadata: {name: old, namespace: db}\nspec: {config: '{\"type\": \"macvlan\", \
               \"ipam\": {\"type\": \"whereabouts\", \"range\": \"192.0.2.0/28\"}}'}\n";
    let stage = Stage::new(&format!("{faulty}---\n{old}"))?;
    stage.index.lock().set_ready("storage");
    seconds(3).await;
    let odd = stage.condition(POOLS, "", "odd")?;
    holds(odd.starts_with("False Invalid: ranges[0].range: "), &odd)?;
    holds(odd.contains("; ranges[1].range: "), &odd)?;
    let storage = stage.condition(POOLS, "", "storage")?;
    let says = "False OverlapsWhereabouts: Whereabouts gives addresses of it to pods on network \
                db/old (192.0.2.1 to 192.0.2.14)";
    holds(storage.starts_with(says), &storage)?;
    // One pool is deleted, and the other one is fixed.
    stage.show(
        &faulty
            .replace(", {range: x}", "")
            .replace("2.0}", "3.0/24}"),
    )?;
    seconds(10).await;
    same(
        stage.condition(POOLS, "", "storage")?,
        "True Adopted: it gives addresses".to_owned(),
    )?;
    let odd = stage.condition(POOLS, "", "odd")?;
    holds(odd.starts_with("False WaitingForAdoption"), odd)
}

/// A pool that was stored before its schema had today's restrictions.
async fn refusing() -> Told {
    let mut stage = Stage::new(
        "apiVersion: nadmit.io/v1alpha1\nkind: AddressPool\nmetadata: {name: ancient}\n\
         spec: {ranges: [{range: 198.51.100.0/24}], retention: Forever}\n",
    )?;
    for count in 1..10 {
        stage.hold_first(count)?;
        seconds(10).await;
        same(&stage.status("storage")?["allocated"], &json!(count))?;
    }
    same(stage.condition(POOLS, "", "ancient")?, " : ".to_owned())?;
    let asked = stage.server.asked();
    let key = ("patch".to_owned(), format!("{POOLS}/status"));
    same(asked.get(&key).copied(), Some(9 + 2))
}

async fn reservations() -> Told {
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
    let mut stage = Stage::new(&all.join("---\n"))?;
    stage.hold(&[
        (
            1,
            json!({"reservation": {"namespace": "db", "name": "kept"}}),
        ),
        (3, pod("c")),
        (4, pod("x")),
    ])?;
    seconds(8).await;
    let expected = [
        ("kept", "True Kept: it is kept until its holder comes"),
        ("waiting", "False Waiting: 192.0.2.2 will be recorded"),
        ("taken", "True Taken: 192.0.2.3 is held by pod db/c"),
        ("conflict", "False Conflict: 192.0.2.4 is held by pod db/x"),
        (
            "outside",
            "False OutsidePool: pool \"storage\" never gives 192.0.2.99",
        ),
        (
            "elsewhere",
            "False NoPool: no pool serves the network db/other-net",
        ),
    ];
    for (name, says) in expected {
        same(stage.condition(RESERVATIONS, "db", name)?, says.to_owned())?;
    }
    let invalid = stage.condition(RESERVATIONS, "db", "invalid")?;
    holds(invalid.starts_with("False Invalid: ips[0]: "), invalid)?;
    let before = stage.writes("addressreservations");
    seconds(200).await;
    same(stage.writes("addressreservations"), before)
}

async fn leaders() -> Told {
    let mut stage = Stage::new("")?;
    stage.leads.send_replace(false);
    seconds(20).await;
    same(
        stage
            .server
            .asked()
            .contains_key(&("list".to_owned(), POOLS.to_owned())),
        false,
    )?;
    stage.leads.send_replace(true);
    seconds(3).await;
    same(stage.writes("addresspools"), 1)?;
    stage.leads.send_replace(false);
    stage.hold_first(5)?;
    seconds(60).await;
    same(stage.writes("addresspools"), 1)?;
    stage.leads.send_replace(true);
    seconds(10).await;
    same(stage.writes("addresspools"), 2)
}

async fn recreated() -> Told {
    let mut stage = Stage::new("")?;
    seconds(10).await;
    let mut pool = stage.server.stored(POOLS, "", "storage").ok_or("no pool")?;
    pool["metadata"]["uid"] = json!("another");
    pool["metadata"]["generation"] = json!(1);
    pool["status"] = Value::Null;
    stage.server.put(pool);
    stage.hold_first(2)?;
    seconds(10).await;
    // The status of the deleted pool does not carry over to the new one.
    let status = stage.status("storage")?;
    same(&status["conditions"][0]["observedGeneration"], &json!(1))?;
    same(&status["allocated"], &json!(2))?;
    let since = &status["conditions"][0]["lastTransitionTime"];
    holds(*since != json!("2026-03-01T12:00:00Z"), since)
}

async fn later() -> Told {
    let stage = Stage::new("")?;
    let failures = [Failure::Forbidden, Failure::Unavailable, Failure::Conflict];
    for failure in failures {
        let action = FaultAction {
            effect: Effect::AsAnswered,
            ..failure.into()
        };
        stage
            .server
            .fault(Rule::of("patch", "addresspools/status", action).times(3));
    }
    seconds(300).await;
    same(stage.writes("addresspools"), 1)?;
    let found = stage.condition(POOLS, "", "storage")?;
    holds(found.starts_with("False WaitingForAdoption"), found)
}

async fn fills() -> Told {
    let mut stage = Stage::new("")?;
    stage.index.lock().set_ready("storage");
    for count in [17, 18, 19, 20, 20, 19, 20, 10, 20] {
        stage.hold_first(count)?;
        seconds(10).await;
    }
    let told = stage.told.take();
    let expected = [
        "Warning AddressPool storage: PoolNearlyFull: more than 90 % of 192.0.2.0/24 are taken",
        "Warning AddressPool storage: PoolExhausted: 192.0.2.0/24 has no address left to give",
        "Warning AddressPool storage: PoolExhausted: 192.0.2.0/24 has no address left to give",
    ];
    same(told, expected.map(str::to_owned).to_vec())
}

async fn succeeded() -> Told {
    let mut stage = Stage::new("")?;
    stage.index.lock().set_ready("storage");
    stage.hold_first(18)?;
    seconds(10).await;
    same(stage.told.take().len(), 1)?;
    let pressure = |stage: &Stage| -> Result<Value, Failed> {
        let status = stage.status("storage")?;
        let all = status["conditions"].as_array().cloned().unwrap_or_default();
        let found = all.into_iter().find(|one| one["type"] == "AddressPressure");
        Ok(found.map_or(Value::Null, |one| one["reason"].clone()))
    };
    same(pressure(&stage)?, json!("NearlyFull"))?;
    let writes = stage.writes("addresspools");
    // One leader after another: a new process, and one that led before.
    stage.leads.send_replace(false);
    seconds(10).await;
    stage.leads.send_replace(true);
    seconds(10).await;
    stage.stop.cancel();
    let next = CancellationToken::new();
    tokio::spawn(stage.writer().run(next.clone()));
    seconds(10).await;
    same(stage.told.take(), Vec::new())?;
    same(stage.writes("addresspools"), writes)?;
    // A worse state is reported, and so is a recovery.
    stage.hold_first(20)?;
    seconds(10).await;
    same(stage.told.take().len(), 1)?;
    same(pressure(&stage)?, json!("Exhausted"))?;
    stage.hold_first(10)?;
    seconds(10).await;
    same(pressure(&stage)?, Value::Null)?;
    // Another replica led, and the pool was emptier meanwhile.
    next.cancel();
    tokio::spawn(stage.writer().run(CancellationToken::new()));
    stage.hold_first(18)?;
    seconds(10).await;
    let told = stage.told.take();
    same(told.len(), 1)?;
    holds(told[0].contains("PoolNearlyFull"), &told)
}
