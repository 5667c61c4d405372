//! The status of pools and reservations.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use libtest_mimic::{Failed, Trial};
use nadmit::{
    allocation::{Allocation, SharedIndex, Stored, Version},
    controllers::StatusWriter,
    manifests,
    sources::catalog_of,
};
use serde_json::{Value, json};
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;

use super::support::{Kept, Told, Wall, holds, same, trial};
use crate::api_server::{ApiServer, Effect, Failure, FaultAction, Rule};

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
    ]
}

const POOLS: &str = "addresspools.nadmit.io";
const RESERVATIONS: &str = "addressreservations.nadmit.io";

const WORLD: &str = r#"
apiVersion: nadmit.io/v1alpha1
kind: AddressPool
metadata: {name: storage, generation: 3}
spec: {ranges: [{range: 192.0.2.0/24, rangeEnd: 192.0.2.20}], namespaceSelector: {}}
---
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: storage-net, namespace: db, annotations: {nadmit.io/address-pool: storage}}
spec: {config: '{"cniVersion": "0.3.1", "type": "macvlan", "capabilities": {"ips": true}, "ipam": {"type": "static"}}'}
"#;

struct Stage {
    server: ApiServer,
    wall: Wall,
    catalog: Arc<ArcSwapOption<nadmit::catalog::Catalog>>,
    index: Arc<SharedIndex>,
    leads: watch::Sender<bool>,
    told: Kept,
    version: u64,
    stop: CancellationToken,
}

impl Stage {
    fn new(more: &str) -> Result<Self, Failed> {
        let stage = Self {
            server: ApiServer::new(),
            wall: Wall::at("2026-03-01T12:00:00Z")?,
            catalog: Arc::default(),
            index: Arc::default(),
            leads: watch::Sender::new(true),
            told: Kept::default(),
            version: 0,
            stop: CancellationToken::new(),
        };
        stage.server.namespace("db", &[]);
        stage.show(more)?;
        tokio::spawn(stage.writer().run(stage.stop.clone()));
        Ok(stage)
    }

    fn writer(&self) -> StatusWriter {
        StatusWriter::new(
            self.server.client(),
            Arc::clone(&self.catalog),
            Arc::clone(&self.index),
            self.leads.subscribe(),
            Arc::new(self.told.clone()),
            self.wall.clock(),
        )
    }

    /// The world has these objects besides.
    fn show(&self, more: &str) -> Told {
        let text = format!("{WORLD}---\n{more}");
        let read = manifests::read(&text, "world.yaml");
        same(read.errors.len(), 0)?;
        let catalog = Arc::new(catalog_of([("world.yaml", read.objects)]).0);
        self.index.lock().sync(catalog.layout());
        self.catalog.store(Some(catalog));
        let objects: Vec<Value> = serde_saphyr::from_multiple(&text)?;
        for object in objects {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
            let there = [POOLS, RESERVATIONS]
                .iter()
                .any(|kind| self.server.stored(kind, namespace, name).is_some());
            if !there {
                self.server.put(object);
            }
        }
        Ok(())
    }

    /// From now on these addresses are held: `192.0.2.<last>` each, by whom.
    fn hold(&mut self, held: &[(u8, Value)]) -> Told {
        self.version += 1;
        let version = Version(self.version);
        let stored = held.iter().map(|(last, holder)| -> Result<Stored, Failed> {
            let allocation: Allocation = serde_json::from_value(json!({
                "address": format!("192.0.2.{last}"), "pool": "storage", "since": 0,
                "network": {"namespace": "db", "name": "storage-net"}, "holder": holder,
            }))?;
            Ok(Stored {
                allocation,
                version,
            })
        });
        let stored = stored.collect::<Result<Vec<_>, _>>()?;
        self.index.lock().replace(stored, version);
        Ok(())
    }

    fn hold_first(&mut self, count: u8) -> Told {
        let held: Vec<(u8, Value)> = (1..=count)
            .map(|last| (last, pod(&format!("p{last}"))))
            .collect();
        self.hold(&held)
    }

    /// How often a status was written.
    fn writes(&self, resource: &str) -> u64 {
        let key = ("patch".to_owned(), format!("{resource}.nadmit.io/status"));
        self.server.written().get(&key).copied().unwrap_or(0)
    }

    fn status(&self, name: &str) -> Result<Value, Failed> {
        let pool = self.server.stored(POOLS, "", name).ok_or("no pool")?;
        Ok(pool["status"].clone())
    }

    /// Status, reason and message of an object's only condition.
    fn condition(&self, kind: &str, namespace: &str, name: &str) -> Result<String, Failed> {
        let object = self
            .server
            .stored(kind, namespace, name)
            .ok_or("no object")?;
        let one = &object["status"]["conditions"][0];
        let text = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
        Ok(format!(
            "{} {}: {}",
            text("status"),
            text("reason"),
            text("message")
        ))
    }
}

fn pod(name: &str) -> Value {
    json!({"pod": {"namespace": "db", "name": name}})
}

async fn seconds(count: u64) {
    sleep(Duration::from_secs(count)).await;
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

    // Whoever leads next finds it written.
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
    // It is gone, and the other mended.
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

/// Written before the schema was as it is.
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
    // What was known of the one before is not said of this one.
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
