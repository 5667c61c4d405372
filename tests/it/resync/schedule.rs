//! The schedule of full resyncs.

use std::{cell::RefCell, rc::Rc, sync::Arc, time::Duration};

use libtest_mimic::{Failed, Trial};
use nadmit::controllers::{ResyncHistory, ResyncScheduler};
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    task::{JoinHandle, LocalSet, spawn_local},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use super::support::{MetricReader, RecordingSink, SettableClock, TestResult, holds, paused, same};
use crate::api_server::ApiServer;

pub(super) fn tests() -> Vec<Trial> {
    tests!["resync"; with local;
        it_runs_each_night_in_utc,
        missed_runs_are_caught_up_once,
        a_clock_set_back_repeats_no_run,
        an_invalid_edit_keeps_the_previous_schedule,
        a_new_schedule_begins_with_its_next_time,
        only_the_leader_runs,
        a_missed_run_is_caught_up_once_by_the_next_leader,
        a_run_ends_with_leadership_and_is_caught_up,
        a_run_that_fails_is_recorded_and_waits_for_its_next_time,
    ]
}

/// Returns a test that is run in paused time, with its tasks on one thread.
fn local<F: Future<Output = TestResult> + 'static>(name: &str, run: fn() -> F) -> Trial {
    paused(name, move || async move {
        LocalSet::new().run_until(run()).await
    })
}

/// A replica with a schedule.
struct ScheduledReplica {
    leads: watch::Sender<bool>,
    written: watch::Sender<Option<String>>,
    events: RecordingSink,
    metrics: MetricReader,
    /// The start times of its runs, and the number of finished runs.
    runs: Rc<RefCell<(Vec<String>, usize)>>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl ScheduledReplica {
    /// Returns a replica whose runs take this long and have this result.
    fn of(
        server: &ApiServer,
        wall: &SettableClock,
        lasts: Duration,
        ends: Result<&str, &str>,
    ) -> Self {
        let (leads, leading) = watch::channel(false);
        let (written, text) = watch::channel(None);
        let events = RecordingSink::default();
        let journal = ResyncHistory::new(server.client(), "nadmit", "nadmit");
        let notices = Arc::new(events.clone());
        let rounds = ResyncScheduler::new(text, leading, journal, notices, "nadmit", wall.clock());
        let metrics = MetricReader::of(|registry| rounds.register(registry));
        let runs: Rc<RefCell<(Vec<String>, usize)>> = Rc::default();
        let stop = CancellationToken::new();
        let ends = ends.map(str::to_owned).map_err(str::to_owned);
        let (seen, wall, cancel) = (Rc::clone(&runs), wall.clone(), stop.clone());
        let compare = move || {
            let (seen, ends) = (Rc::clone(&seen), ends.clone());
            // In whole seconds, as in a schedule.
            let now = wall.now().as_second();
            let now = jiff::Timestamp::from_second(now).unwrap_or_default();
            seen.borrow_mut().0.push(now.to_string());
            async move {
                sleep(lasts).await;
                seen.borrow_mut().1 += 1;
                ends
            }
        };
        let task = spawn_local(rounds.run(compare, cancel));
        Self {
            leads,
            written,
            events,
            metrics,
            runs,
            stop,
            task,
        }
    }

    fn quick(server: &ApiServer, wall: &SettableClock) -> Self {
        Self::of(server, wall, Duration::from_secs(1), Ok("done"))
    }

    fn lead(&self, leads: bool) {
        self.leads.send_replace(leads);
    }

    fn write(&self, text: &str) {
        self.written.send_replace(Some(text.to_owned()));
    }

    /// Returns the start times of runs since the last call.
    fn runs(&self) -> Vec<String> {
        std::mem::take(&mut self.runs.borrow_mut().0)
    }

    fn ended(&self) -> usize {
        self.runs.borrow().1
    }
}

fn server() -> ApiServer {
    let server = ApiServer::new();
    server.namespace("nadmit", &[]);
    server.put(json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "nadmit", "namespace": "nadmit"}, "spec": {},
    }));
    server
}

/// Returns the last run, as every replica reads it.
fn recorded(server: &ApiServer) -> Result<Value, Failed> {
    let lease = server.stored("leases.coordination.k8s.io", "nadmit", "nadmit");
    let lease = lease.ok_or("no lease")?;
    let text = lease["metadata"]["annotations"]["nadmit.io/full-comparison"].as_str();
    Ok(serde_json::from_str(text.ok_or("no record")?)?)
}

async fn it_runs_each_night_in_utc() -> TestResult {
    let (server, wall) = (server(), SettableClock::at("2026-02-27T23:59:30Z")?);
    let replica = ScheduledReplica::quick(&server, &wall);
    replica.lead(true);
    wall.until("2026-03-02T12:00:00Z").await?;
    let nights = [
        "2026-02-28T04:30:00Z",
        "2026-03-01T04:30:00Z",
        "2026-03-02T04:30:00Z",
    ];
    same(replica.runs(), nights.map(str::to_owned).to_vec())?;
    let next: jiff::Timestamp = "2026-03-03T04:30:00Z".parse()?;
    let metric = |name: &str| replica.metrics.value(name);
    same(
        metric("full_comparison_next_timestamp_seconds")?,
        next.as_second(),
    )?;
    same(metric("full_comparisons_total{outcome=\"succeeded\"}")?, 3)?;
    let took = metric("full_comparison_ended_timestamp_seconds")?
        - metric("full_comparison_started_timestamp_seconds")?;
    same(took, 1)?;
    let run = recorded(&server)?;
    same(&run["due"], &json!("2026-03-02T04:30:00Z"))?;
    same(
        (&run["succeeded"], &run["message"]),
        (&json!(true), &json!("done")),
    )?;
    replica.stop.cancel();
    replica.task.await?;
    Ok(())
}

async fn missed_runs_are_caught_up_once() -> TestResult {
    let (server, wall) = (server(), SettableClock::at("2026-03-01T12:00:00Z")?);
    let replica = ScheduledReplica::quick(&server, &wall);
    replica.lead(true);
    wall.until("2026-03-01T20:00:00Z").await?;
    // The machine is suspended for three nights.
    wall.set(3 * 86_400);
    sleep(Duration::from_secs(60)).await;
    same(replica.runs().len(), 1)?;
    same(&recorded(&server)?["due"], &json!("2026-03-04T04:30:00Z"))?;
    wall.until("2026-03-05T12:00:00Z").await?;
    same(replica.runs(), vec!["2026-03-05T04:30:00Z".to_owned()])
}

async fn a_clock_set_back_repeats_no_run() -> TestResult {
    let (server, wall) = (server(), SettableClock::at("2026-03-01T04:00:00Z")?);
    let replica = ScheduledReplica::quick(&server, &wall);
    replica.lead(true);
    wall.until("2026-03-01T05:00:00Z").await?;
    same(replica.runs().len(), 1)?;
    wall.set(-2 * 3_600);
    wall.until("2026-03-01T12:00:00Z").await?;
    same(replica.runs(), Vec::new())?;
    // By a year: a replica that waited for this time would wait for a year.
    wall.set(-365 * 86_400);
    wall.until("2025-03-02T12:00:00Z").await?;
    same(replica.runs(), vec!["2025-03-02T04:30:00Z".to_owned()])
}

async fn an_invalid_edit_keeps_the_previous_schedule() -> TestResult {
    let (server, wall) = (server(), SettableClock::at("2026-03-01T00:00:00Z")?);
    let replica = ScheduledReplica::quick(&server, &wall);
    replica.lead(true);
    replica.write("0 6 * * *\n");
    wall.until("2026-03-01T01:00:00Z").await?;
    same(replica.events.take(), Vec::new())?;
    replica.write("0 */15 * * * *");
    wall.until("2026-03-01T12:00:00Z").await?;
    same(replica.runs(), vec!["2026-03-01T06:00:00Z".to_owned()])?;
    same(replica.metrics.value("schedule_invalid")?, 1)?;
    let events = replica.events.take();
    same(events.len(), 1)?;
    holds(
        events[0].starts_with("Warning ConfigMap nadmit-config: InvalidSchedule: ")
            && events[0].contains("has 6 fields")
            && events[0].contains("nadmit still uses \"0 6 * * *\""),
        &events,
    )?;
    replica.write("0 18 * * *");
    wall.until("2026-03-02T00:00:00Z").await?;
    same(replica.metrics.value("schedule_invalid")?, 0)?;
    same(replica.runs(), vec!["2026-03-01T18:00:00Z".to_owned()])?;
    // Without the file the default applies again.
    replica.written.send_replace(None);
    wall.until("2026-03-02T12:00:00Z").await?;
    same(replica.runs(), vec!["2026-03-02T04:30:00Z".to_owned()])?;
    same(replica.events.take(), Vec::new())
}

async fn a_new_schedule_begins_with_its_next_time() -> TestResult {
    let (server, wall) = (server(), SettableClock::at("2026-03-01T03:00:00Z")?);
    let replica = ScheduledReplica::quick(&server, &wall);
    replica.lead(true);
    wall.until("2026-03-01T12:10:00Z").await?;
    same(replica.runs().len(), 1)?;
    // By this schedule there were runs from 05:00 to 12:00, which were not scheduled at that time.
    replica.write("0 * * * *");
    wall.until("2026-03-01T13:30:00Z").await?;
    same(replica.runs(), vec!["2026-03-01T13:00:00Z".to_owned()])
}

async fn only_the_leader_runs() -> TestResult {
    let (server, wall) = (server(), SettableClock::at("2026-03-01T00:00:00Z")?);
    let [a, b] = [(); 2].map(|()| ScheduledReplica::quick(&server, &wall));
    a.lead(true);
    wall.until("2026-03-02T00:00:00Z").await?;
    a.lead(false);
    b.lead(true);
    wall.until("2026-03-03T00:00:00Z").await?;
    same(a.runs(), vec!["2026-03-01T04:30:00Z".to_owned()])?;
    same(b.runs(), vec!["2026-03-02T04:30:00Z".to_owned()])?;
    // Without leader election information no replica leads.
    drop(b.leads);
    sleep(Duration::from_secs(2 * 86_400)).await;
    same(b.runs.borrow().0.len(), 0)
}

async fn a_missed_run_is_caught_up_once_by_the_next_leader() -> TestResult {
    let (server, wall) = (server(), SettableClock::at("2026-03-01T04:00:00Z")?);
    let a = ScheduledReplica::quick(&server, &wall);
    // Ten minutes behind.
    let behind = wall.ahead(-600);
    let b = ScheduledReplica::quick(&server, &behind);
    a.lead(true);
    wall.until("2026-03-01T04:31:00Z").await?;
    a.lead(false);
    b.lead(true);
    wall.until("2026-03-01T12:00:00Z").await?;
    same((a.runs().len(), b.runs()), (1, Vec::new()))?;
    // For more than a night no replica leads.
    b.lead(false);
    wall.until("2026-03-03T12:00:00Z").await?;
    a.lead(true);
    wall.until("2026-03-03T12:01:00Z").await?;
    same(a.runs().len(), 1)?;
    same(&recorded(&server)?["due"], &json!("2026-03-03T04:30:00Z"))?;
    a.lead(false);
    b.lead(true);
    wall.until("2026-03-04T12:00:00Z").await?;
    same((a.runs(), b.runs().len()), (Vec::new(), 1))
}

async fn a_run_ends_with_leadership_and_is_caught_up() -> TestResult {
    let (server, wall) = (server(), SettableClock::at("2026-03-01T04:00:00Z")?);
    let hour = Duration::from_secs(3_600);
    let [a, b] = [(); 2].map(|()| ScheduledReplica::of(&server, &wall, hour, Ok("done")));
    a.lead(true);
    wall.until("2026-03-01T04:40:00Z").await?;
    a.lead(false);
    b.lead(true);
    wall.until("2026-03-01T04:41:00Z").await?;
    same(recorded(&server)?["ended"].is_null(), true)?;
    wall.until("2026-03-01T12:00:00Z").await?;
    same((a.runs().len(), a.ended()), (1, 0))?;
    same((b.runs().len(), b.ended()), (1, 1))?;
    let ended = a
        .metrics
        .value("full_comparisons_total{outcome=\"interrupted\"}")?;
    same(ended, 1)?;
    same(recorded(&server)?["ended"].is_null(), false)
}

async fn a_run_that_fails_is_recorded_and_waits_for_its_next_time() -> TestResult {
    let (server, wall) = (server(), SettableClock::at("2026-03-01T04:00:00Z")?);
    let replica = ScheduledReplica::of(&server, &wall, Duration::ZERO, Err("no list of pods"));
    replica.lead(true);
    wall.until("2026-03-02T04:00:00Z").await?;
    same(replica.runs().len(), 1)?;
    let run = recorded(&server)?;
    let found = (&run["succeeded"], &run["message"]);
    same(found, (&json!(false), &json!("no list of pods")))?;
    let failed = "full_comparisons_total{outcome=\"failed\"}";
    same(replica.metrics.value(failed)?, 1)
}
