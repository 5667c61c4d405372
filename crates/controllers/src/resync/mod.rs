//! The scheduled full resync.
//!
//! Watches and releases keep the records right as things change; the resync finds what they missed. It
//! runs on the leader, at the times of a cron expression in UTC: the key `reconciler_cron_expression`
//! of the ConfigMap `nadmit-config`, reloaded while nadmit runs.
//!
//! # Guarantees
//! - Missed runs, because this replica was suspended or no replica led, are coalesced into a single
//!   catch-up run.
//! - A scheduled time whose run has ended is done for all replicas: the [`ResyncHistory`] records it,
//!   whichever replica leads next and however far its clock is behind.
//! - A run stops when this replica stops leading; the next leader makes up for it.
//! - An invalid expression changes nothing; it is logged, shown by a metric and emitted as an event.

mod history;
mod metrics;

use std::{fmt::Display, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp, ToSpan as _, tz::TimeZone};
use prometheus_client::registry::Registry;
use tokio::{
    sync::watch::{Receiver, error::RecvError},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

pub use self::history::{ResyncHistory, ResyncRun};
use self::metrics::ResyncMetrics;
use super::event_sink::{EventSink, EventType, ObjectRef};
use nadmit_host::clock::Clock;
use nadmit_rules::schedule::Schedule;

/// The maximum time to sleep before the clock is read again, because it may be set meanwhile.
const MAX_SLEEP: Duration = Duration::from_secs(20);
/// The maximum clock skew. A recorded run that is further in the future was recorded by a wrong clock.
const MAX_CLOCK_SKEW: SignedDuration = SignedDuration::from_hours(24);

/// Runs the full resync on its schedule.
pub struct ResyncScheduler {
    schedule: Schedule,
    /// The configured expression; `None` without a configuration file.
    expression: Receiver<Option<String>>,
    is_leader: Receiver<bool>,
    clock: Clock,
    history: ResyncHistory,
    events: Arc<dyn EventSink>,
    config_map: ObjectRef,
    metrics: ResyncMetrics,
    /// The last scheduled time for which nothing is left to do.
    handled_until: Timestamp,
    was_leader: bool,
}

impl ResyncScheduler {
    /// Creates a scheduler that follows `expression` while `is_leader`. `namespace` is nadmit's own,
    /// which contains its ConfigMap.
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
            metrics: ResyncMetrics::default(),
            handled_until,
            was_leader: false,
        }
    }

    /// Registers metrics of the next run and the runs so far.
    pub fn register(&self, registry: &mut Registry) {
        self.metrics.register(registry);
    }

    /// Calls `resync` at each scheduled time, until `cancel`. It returns a summary for the log, or an error.
    pub async fn run<F, S, E>(mut self, resync: impl FnMut() -> F, cancel: CancellationToken)
    where
        F: Future<Output = Result<S, E>>,
        S: Display,
        E: Display,
    {
        tokio::select! {
            biased;
            () = cancel.cancelled() => {}
            () = self.follow(resync) => {}
        }
    }

    async fn follow<F, S, E>(&mut self, mut resync: impl FnMut() -> F)
    where
        F: Future<Output = Result<S, E>>,
        S: Display,
        E: Display,
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

    /// Applies the configured expression, if it is valid.
    fn read_expression(&mut self) {
        let expression = self.expression.borrow_and_update().clone();
        let text = expression.as_deref().unwrap_or(Schedule::DEFAULT);
        match Schedule::parse(text) {
            Ok(parsed) => {
                self.metrics.set_invalid(false);
                if parsed != self.schedule {
                    tracing::info!(
                        schedule = parsed.as_str(),
                        "schedule of the full comparison changed"
                    );
                    self.schedule = parsed;
                    // Times of the new schedule that are already past were never scheduled.
                    self.handled_until = self.handled_until.max(self.clock.now());
                }
            }
            Err(mistake) => {
                self.metrics.set_invalid(true);
                let current = self.schedule.as_str();
                let message = format!(
                    "reconciler_cron_expression: {mistake}; fix the value (nadmit still uses {current:?})"
                );
                tracing::warn!(
                    error = mistake.to_string(),
                    schedule = current,
                    "invalid schedule of the full comparison ignored"
                );
                let config_map = self.config_map.clone();
                let reason = "InvalidSchedule";
                self.events
                    .emit(config_map, EventType::Warning, reason, message);
            }
        }
    }

    /// Reads, on becoming the leader, which scheduled time was handled last. Without leadership all
    /// times up to now count as handled, by another replica.
    async fn follow_leadership(&mut self) {
        let before = self.was_leader;
        // A closed channel counts as not leading.
        let is_known = self.is_leader.has_changed().is_ok();
        self.was_leader = *self.is_leader.borrow_and_update() && is_known;
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
                    tracing::warn!(%error, "last full comparison unknown");
                    now
                }
            };
        } else if self.handled_until > now.saturating_add(MAX_CLOCK_SKEW).unwrap_or(now) {
            tracing::warn!(
                "clock set back by more than a day; schedule of the full comparison restarted"
            );
            self.handled_until = now;
        }
    }

    /// Returns the first scheduled time after those handled.
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

    /// Returns the last scheduled time between `due` and now: one run covers all of them.
    fn latest(&self, due: Timestamp, now: Timestamp) -> Timestamp {
        let now = now.to_zoned(TimeZone::UTC).datetime();
        let last = self.schedule.cron().find_previous_occurrence(&now, true);
        let last = last.ok().and_then(|last| last.to_zoned(TimeZone::UTC).ok());
        last.map_or(due, |last| last.timestamp().max(due))
    }

    /// Runs the resync once, and stops it if leadership is lost.
    async fn run_once<F, S, E>(&mut self, due: Timestamp, resync: &mut impl FnMut() -> F)
    where
        F: Future<Output = Result<S, E>>,
        S: Display,
        E: Display,
    {
        let mut run = ResyncRun::begun(due, self.clock.now());
        self.metrics.began(run.started);
        self.record(&run).await;
        tracing::info!(%due, "full comparison started");
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
                    Ok(summary) => {
                        tracing::info!(summary = summary.to_string(), "full comparison finished");
                        self.metrics.succeeded(ended);
                    }
                    Err(error) => {
                        tracing::error!(error = error.to_string(), "full comparison failed");
                        self.metrics.failed(ended);
                    }
                }
                self.handled_until = due;
                run.end(ended, &outcome);
                self.record(&run).await;
            }
            None => {
                tracing::warn!(%due, "full comparison interrupted: lost leadership");
                self.metrics.interrupted();
            }
        }
    }

    async fn record(&self, run: &ResyncRun) {
        if let Err(error) = self.history.record(run).await {
            tracing::warn!(%error, "full comparison not recorded");
        }
    }
}

/// Returns the time to sleep until `next`, within limits.
fn sleep_time(next: Option<Timestamp>, now: Timestamp) -> Duration {
    let left = next.map(|next| next.duration_since(now));
    let left = left.and_then(|left| Duration::try_from(left).ok());
    // Zero would be a busy loop.
    let left = left.unwrap_or(MAX_SLEEP).max(Duration::from_millis(1));
    left.min(MAX_SLEEP)
}

/// Completes when the value changes; never, once its sender is gone.
async fn changed(changed: impl Future<Output = Result<(), RecvError>>) {
    if changed.await.is_err() {
        std::future::pending::<()>().await;
    }
}
