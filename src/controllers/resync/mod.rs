//! The full comparison, on a schedule.
//!
//! Watches and releases keep things in order as they happen; what was missed all the same, the full
//! comparison finds. It runs where this replica leads, at times that a cron expression names, in UTC:
//! the key `reconciler_cron_expression` of the ConfigMap `nadmit-config`, taken up while nadmit runs.
//!
//! # Guarantees
//! - A time that this replica slept through, or that came while no replica led, is made up for once,
//!   however many there were.
//! - A time for which a run has ended is over for all replicas: the [`ResyncHistory`] says so, whichever
//!   leads next and however far its clock is behind.
//! - A run ends when this replica stops leading; whoever leads next makes up for it.
//! - An invalid expression changes nothing; it is a log line, a metric and a notice.

mod history;
mod metrics;

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp, ToSpan as _, tz::TimeZone};
use prometheus_client::collector::Collector;
use tokio::{
    sync::watch::{Receiver, error::RecvError},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

pub use self::history::{ResyncHistory, ResyncRun};
use self::metrics::ResyncMetrics;
use super::event_sink::{EventSink, EventType, ObjectRef};
use crate::{clock::Clock, rules::schedule::Schedule};

/// How long to sleep at most before the clock is looked at again, as it may be set meanwhile.
const MAX_SLEEP: Duration = Duration::from_secs(20);
/// A run so far in the future was recorded by a clock that was wrong.
const MAX_CLOCK_SKEW: SignedDuration = SignedDuration::from_hours(24);

/// What a full comparison came to: words for the log, or what went wrong.
pub type ResyncResult = Result<String, String>;

/// Runs the full comparison when it is time.
pub struct ResyncScheduler {
    schedule: Schedule,
    /// The expression, as the file says it; `None` where there is no file.
    expression: Receiver<Option<String>>,
    is_leader: Receiver<bool>,
    clock: Clock,
    history: ResyncHistory,
    events: Arc<dyn EventSink>,
    config_map: ObjectRef,
    metrics: Arc<ResyncMetrics>,
    /// The last time for which nothing is to be done any more.
    handled_until: Timestamp,
    was_leader: bool,
}

impl ResyncScheduler {
    /// By the expression in `expression`, where `is_leader`. `namespace` is nadmit's own, where its ConfigMap
    /// is.
    pub fn new(
        expression: Receiver<Option<String>>,
        is_leader: Receiver<bool>,
        history: ResyncHistory,
        events: Arc<dyn EventSink>,
        namespace: &str,
        clock: Clock,
    ) -> Self {
        let handled_until = clock.now();
        Self {
            schedule: Schedule::default(),
            expression,
            is_leader,
            clock,
            history,
            events,
            config_map: ObjectRef {
                api_version: "v1",
                kind: "ConfigMap",
                namespace: namespace.to_owned(),
                name: "nadmit-config".to_owned(),
                uid: None,
            },
            metrics: Arc::default(),
            handled_until,
            was_leader: false,
        }
    }

    /// When it runs next, and how the runs went, as it is at each scrape.
    pub fn collector(&self) -> Box<dyn Collector> {
        Box::new(metrics::ResyncCollector(Arc::clone(&self.metrics)))
    }

    /// Calls `resync` whenever it is time, until `cancel`.
    pub async fn run<F>(mut self, resync: impl FnMut() -> F, cancel: CancellationToken)
    where
        F: Future<Output = ResyncResult>,
    {
        tokio::select! {
            biased;
            () = cancel.cancelled() => {}
            () = self.follow(resync) => {}
        }
    }

    async fn follow<F>(&mut self, mut resync: impl FnMut() -> F)
    where
        F: Future<Output = ResyncResult>,
    {
        self.read_expression();
        loop {
            self.follow_leadership().await;
            let now = self.clock.now();
            let next = self.next(now);
            self.metrics.set_next(next);
            if let Some(due) = next.filter(|next| self.was_leader && *next <= now) {
                let due = self.latest(due, now);
                self.run_once(due, &mut resync).await;
                continue;
            }
            tokio::select! {
                biased;
                () = changed(self.expression.changed()) => self.read_expression(),
                () = changed(self.is_leader.changed()) => {}
                () = sleep(sleep_time(next, now)) => {}
            }
        }
    }

    /// Takes up what the file says now, if it is a schedule.
    fn read_expression(&mut self) {
        let expression = self.expression.borrow_and_update().clone();
        let text = expression.as_deref().unwrap_or(Schedule::DEFAULT);
        match Schedule::parse(text) {
            Ok(parsed) => {
                self.metrics.set_invalid(false);
                if parsed != self.schedule {
                    tracing::info!(
                        schedule = parsed.as_str(),
                        "a new schedule of the full comparison"
                    );
                    self.schedule = parsed;
                    // A time that is past by the new schedule was none.
                    self.handled_until = self.handled_until.max(self.clock.now());
                }
            }
            Err(mistake) => {
                self.metrics.set_invalid(true);
                let kept = self.schedule.as_str();
                let message = format!(
                    "reconciler_cron_expression: {}; the schedule {kept:?} still holds",
                    mistake.message
                );
                tracing::warn!("{message}");
                let config_map = self.config_map.clone();
                let reason = "InvalidSchedule";
                self.events
                    .emit(config_map, EventType::Warning, reason, message);
            }
        }
    }

    /// Learns at the beginning of a lead what was done before it; without a lead every time is
    /// somebody else's.
    async fn follow_leadership(&mut self) {
        let before = self.was_leader;
        // Where nobody says any more who leads, this replica does not.
        let said = self.is_leader.has_changed().is_ok();
        self.was_leader = *self.is_leader.borrow_and_update() && said;
        let now = self.clock.now();
        if !self.was_leader {
            self.handled_until = now;
        } else if !before {
            self.handled_until = match self.history.last().await {
                Ok(Some(run)) if run.due > now.saturating_add(MAX_CLOCK_SKEW).unwrap_or(now) => now,
                Ok(Some(run)) if run.is_over() => run.due,
                Ok(Some(run)) => run.due.saturating_sub(1.second()).unwrap_or(run.due),
                Ok(None) => now,
                Err(error) => {
                    tracing::warn!("the last full comparison is not known: {error}");
                    now
                }
            };
        } else if self.handled_until > now.saturating_add(MAX_CLOCK_SKEW).unwrap_or(now) {
            tracing::warn!("the clock was set back by more than a day; the schedule begins anew");
            self.handled_until = now;
        }
    }

    /// The first time after what is done.
    fn next(&self, now: Timestamp) -> Option<Timestamp> {
        let after = if self.was_leader {
            self.handled_until
        } else {
            now
        };
        let after = after.to_zoned(TimeZone::UTC).datetime();
        let next = self.schedule.cron().find_next_occurrence(&after, false);
        let next = next.ok()?.to_zoned(TimeZone::UTC).ok()?;
        Some(next.timestamp())
    }

    /// Of the times from `due` to now the last: one run is for all of them.
    fn latest(&self, due: Timestamp, now: Timestamp) -> Timestamp {
        let now = now.to_zoned(TimeZone::UTC).datetime();
        let last = self.schedule.cron().find_previous_occurrence(&now, true);
        let last = last.ok().and_then(|last| last.to_zoned(TimeZone::UTC).ok());
        last.map_or(due, |last| last.timestamp().max(due))
    }

    /// One run, ended early if the lead is lost.
    async fn run_once<F>(&mut self, due: Timestamp, resync: &mut impl FnMut() -> F)
    where
        F: Future<Output = ResyncResult>,
    {
        let mut run = ResyncRun::begun(due, self.clock.now());
        self.metrics.began(run.started);
        self.record(&run).await;
        tracing::info!(%due, "the full comparison begins");
        let mut is_leader = self.is_leader.clone();
        let outcome = tokio::select! {
            biased;
            _ = is_leader.wait_for(|is_leader| !is_leader) => None,
            outcome = resync() => Some(outcome),
        };
        let ended = self.clock.now();
        match outcome {
            Some(outcome) => {
                match &outcome {
                    Ok(words) => tracing::info!("the full comparison has ended: {words}"),
                    Err(error) => tracing::error!("the full comparison has failed: {error}"),
                }
                self.metrics.ended(ended, outcome.is_ok());
                self.handled_until = due;
                run.end(ended, outcome);
                self.record(&run).await;
            }
            None => {
                tracing::warn!("the full comparison is given up: this replica leads no more");
                self.metrics.interrupted();
            }
        }
    }

    async fn record(&self, run: &ResyncRun) {
        if let Err(error) = self.history.record(run).await {
            tracing::warn!("the full comparison is not recorded: {error}");
        }
    }
}

/// How long to sleep.
fn sleep_time(next: Option<Timestamp>, now: Timestamp) -> Duration {
    let left = next.map(|next| next.duration_since(now));
    let left = left.and_then(|left| Duration::try_from(left).ok());
    // Not at all would be a busy loop.
    let left = left.unwrap_or(MAX_SLEEP).max(Duration::from_millis(1));
    left.min(MAX_SLEEP)
}

/// Ends when something is told; never, once nothing can be told any more.
async fn changed(changed: impl Future<Output = Result<(), RecvError>>) {
    if changed.await.is_err() {
        std::future::pending::<()>().await;
    }
}
