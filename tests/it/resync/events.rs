//! The events that the reconciler emits.

use std::{sync::Arc, time::Duration};

use libtest_mimic::Trial;
use nadmit::controllers::{EventRecorder, EventSink, EventType, ObjectRef};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::support::{MetricReader, SettableClock, TestResult, holds, paused, same};
use crate::api_server::{ApiServer, FaultRule, InjectedFailure};

pub(super) fn tests() -> Vec<Trial> {
    tests!["resync"; with paused;
        a_notification_becomes_an_event_of_its_object,
        the_same_event_is_emitted_once_in_ten_minutes,
        emitting_an_event_never_blocks,
        an_event_that_could_not_be_written_may_be_emitted_again,
    ]
}

const EVENTS: &str = "events.events.k8s.io";

struct EventFixture {
    server: ApiServer,
    events: EventRecorder,
    metrics: MetricReader,
    stop: CancellationToken,
}

fn fixture() -> Result<EventFixture, libtest_mimic::Failed> {
    let server = ApiServer::new();
    server.namespace("db", &[]);
    let wall = SettableClock::at("2026-03-01T12:00:00Z")?;
    let (events, writer) = EventRecorder::new(server.client(), "nadmit-0", wall.clock());
    let stop = CancellationToken::new();
    tokio::spawn(writer.run(stop.clone()));
    Ok(EventFixture {
        server,
        metrics: MetricReader::of(|registry| events.register(registry)),
        events,
        stop,
    })
}

impl EventFixture {
    fn emit(&self, pod: &str, message: &str) {
        let about = ObjectRef::pod("db", pod, Some("1-2-3"));
        let reason = "DuplicateAddress";
        self.events
            .emit(about, EventType::Warning, reason, message.to_owned());
    }

    async fn written(&self) -> Vec<Arc<Value>> {
        sleep(Duration::from_secs(1)).await;
        self.server.all(EVENTS)
    }

    fn count(&self, outcome: &str) -> Result<i64, libtest_mimic::Failed> {
        let name = format!("notices_total{{outcome=\"{outcome}\"}}");
        self.metrics.value(&name)
    }
}

async fn a_notification_becomes_an_event_of_its_object() -> TestResult {
    let fixture = fixture()?;
    fixture.emit("db-0", "192.0.2.5 is used by two");
    let pool = ObjectRef {
        api_version: "nadmit.io/v1alpha1",
        kind: "AddressPool",
        namespace: String::new(),
        name: "storage".to_owned(),
        uid: None,
    };
    let long = "ä".repeat(2_000);
    fixture
        .events
        .emit(pool, EventType::Normal, "Adopted", long);
    let written = fixture.written().await;
    let of = |name: &str| {
        written
            .iter()
            .find(|event| event["regarding"]["name"] == name)
    };
    let event = of("db-0").ok_or("no event of the pod")?;
    same(&event["metadata"]["namespace"], &json!("db"))?;
    same(
        &event["regarding"],
        &json!({"apiVersion": "v1", "kind": "Pod", "namespace": "db", "name": "db-0", "uid": "1-2-3"}),
    )?;
    same(
        (&event["type"], &event["reason"]),
        (&json!("Warning"), &json!("DuplicateAddress")),
    )?;
    same(&event["note"], &json!("192.0.2.5 is used by two"))?;
    same(&event["reportingInstance"], &json!("nadmit-0"))?;
    // As `kubectl describe` looks up the events of a cluster-scoped object.
    let event = of("storage").ok_or("no event of the pool")?;
    same(
        (&event["metadata"]["namespace"], &event["type"]),
        (&json!("default"), &json!("Normal")),
    )?;
    let note = event["note"].as_str().unwrap_or_default();
    holds(note.len() <= 1_024 && note.ends_with('…'), note)?;
    fixture.stop.cancel();
    Ok(())
}

async fn the_same_event_is_emitted_once_in_ten_minutes() -> TestResult {
    let fixture = fixture()?;
    for _ in 0..500 {
        fixture.emit("db-0", "the same");
        sleep(Duration::from_secs(1)).await;
    }
    same(fixture.written().await.len(), 1)?;
    fixture.emit("db-0", "something else");
    fixture.emit("db-1", "the same");
    same(fixture.written().await.len(), 3)?;
    sleep(Duration::from_secs(100)).await;
    fixture.emit("db-0", "the same");
    same(fixture.written().await.len(), 4)?;
    same(
        (fixture.count("written")?, fixture.count("repeated")?),
        (4, 499),
    )
}

async fn emitting_an_event_never_blocks() -> TestResult {
    let fixture = fixture()?;
    fixture.server.fault(FaultRule::of(
        "create",
        "events",
        InjectedFailure::Silence.into(),
    ));
    let start = Instant::now();
    for number in 0..1_000 {
        fixture.emit("db-0", &number.to_string());
    }
    same(start.elapsed(), Duration::ZERO)?;
    sleep(Duration::from_secs(1)).await;
    let dropped = fixture.count("dropped")?;
    holds((700..1_000).contains(&dropped), dropped)?;
    fixture.server.heal();
    sleep(Duration::from_secs(60)).await;
    let (written, failed) = (fixture.count("written")?, fixture.count("failed")?);
    same(written + failed + dropped, 1_000)?;
    same(i64::try_from(fixture.server.all(EVENTS).len())?, written)
}

async fn an_event_that_could_not_be_written_may_be_emitted_again() -> TestResult {
    let fixture = fixture()?;
    fixture.server.fault(FaultRule::of(
        "create",
        "events",
        InjectedFailure::Forbidden.into(),
    ));
    fixture.emit("db-0", "the same");
    same(fixture.written().await.len(), 0)?;
    same(fixture.count("failed")?, 1)?;
    fixture.server.heal();
    fixture.emit("db-0", "the same");
    same(fixture.written().await.len(), 1)
}
