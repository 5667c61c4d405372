//! The full comparison, on a schedule.
//!
//! Watches and releases keep things in order as they happen; what was missed all the same, the full
//! comparison finds. It runs where this replica leads, at times that a cron expression names, in UTC:
//! the key `reconciler_cron_expression` of the ConfigMap `nadmit-config`, taken up while nadmit runs.
//!
//! # Guarantees
//! - A time that this replica slept through, or that came while no replica led, is made up for once,
//!   however many there were.
//! - A time for which a run has ended is over for all replicas: the [`Journal`] says so, whichever
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

pub use self::history::{Journal, Run};
use self::metrics::Told;
use super::event_sink::{Gravity, Notices, ObjectRef};
use crate::{clock::Clock, rules::schedule::Schedule};

/// How long to sleep at most before the clock is looked at again, as it may be set meanwhile.
const STEP: Duration = Duration::from_secs(20);
/// A run so far in the future was recorded by a clock that was wrong.
const BELIEVED: SignedDuration = SignedDuration::from_hours(24);

/// What a full comparison came to: words for the log, or what went wrong.
pub type Outcome = Result<String, String>;

/// Runs the full comparison when it is time.
pub struct Rounds {
    schedule: Schedule,
    /// The expression, as the file says it; `None` where there is no file.
    written: Receiver<Option<String>>,
    leads: Receiver<bool>,
    clock: Clock,
    journal: Journal,
    notices: Arc<dyn Notices>,
    about: ObjectRef,
    told: Arc<Told>,
    /// The last time for which nothing is to be done any more.
    done: Timestamp,
    led: bool,
}

impl Rounds {
    /// By the expression in `written`, where `leads`. `namespace` is nadmit's own, where its ConfigMap
    /// is.
    pub fn new(
        written: Receiver<Option<String>>,
        leads: Receiver<bool>,
        journal: Journal,
        notices: Arc<dyn Notices>,
        namespace: &str,
        clock: Clock,
    ) -> Self {
        let done = clock.now();
        Self {
            schedule: Schedule::default(),
            written,
            leads,
            clock,
            journal,
            notices,
            about: ObjectRef {
                api_version: "v1",
                kind: "ConfigMap",
                namespace: namespace.to_owned(),
                name: "nadmit-config".to_owned(),
                uid: None,
            },
            told: Arc::default(),
            done,
            led: false,
        }
    }

    /// When it runs next, and how the runs went, as it is at each scrape.
    pub fn collector(&self) -> Box<dyn Collector> {
        Box::new(metrics::Shown(Arc::clone(&self.told)))
    }

    /// Calls `compare` whenever it is time, until `cancel`.
    pub async fn run<F>(mut self, compare: impl FnMut() -> F, cancel: CancellationToken)
    where
        F: Future<Output = Outcome>,
    {
        tokio::select! {
            biased;
            () = cancel.cancelled() => {}
            () = self.follow(compare) => {}
        }
    }

    async fn follow<F>(&mut self, mut compare: impl FnMut() -> F)
    where
        F: Future<Output = Outcome>,
    {
        self.read();
        loop {
            self.follow_lead().await;
            let now = self.clock.now();
            let next = self.next(now);
            self.told.set_next(next);
            if let Some(due) = next.filter(|next| self.led && *next <= now) {
                let due = self.latest(due, now);
                self.once(due, &mut compare).await;
                continue;
            }
            tokio::select! {
                biased;
                () = told_of(self.written.changed()) => self.read(),
                () = told_of(self.leads.changed()) => {}
                () = sleep(until(next, now)) => {}
            }
        }
    }

    /// Takes up what the file says now, if it is a schedule.
    fn read(&mut self) {
        let written = self.written.borrow_and_update().clone();
        let text = written.as_deref().unwrap_or(Schedule::DEFAULT);
        match Schedule::parse(text) {
            Ok(read) => {
                self.told.set_invalid(false);
                if read != self.schedule {
                    tracing::info!(
                        schedule = read.as_str(),
                        "a new schedule of the full comparison"
                    );
                    self.schedule = read;
                    // A time that is past by the new schedule was none.
                    self.done = self.done.max(self.clock.now());
                }
            }
            Err(mistake) => {
                self.told.set_invalid(true);
                let kept = self.schedule.as_str();
                let message = format!(
                    "reconciler_cron_expression: {}; the schedule {kept:?} still holds",
                    mistake.message
                );
                tracing::warn!("{message}");
                let about = self.about.clone();
                let reason = "InvalidSchedule";
                self.notices
                    .notice(about, Gravity::Warning, reason, message);
            }
        }
    }

    /// Learns at the beginning of a lead what was done before it; without a lead every time is
    /// somebody else's.
    async fn follow_lead(&mut self) {
        let before = self.led;
        // Where nobody says any more who leads, this replica does not.
        let said = self.leads.has_changed().is_ok();
        self.led = *self.leads.borrow_and_update() && said;
        let now = self.clock.now();
        if !self.led {
            self.done = now;
        } else if !before {
            self.done = match self.journal.last().await {
                Ok(Some(run)) if run.due > now.saturating_add(BELIEVED).unwrap_or(now) => now,
                Ok(Some(run)) if run.is_over() => run.due,
                Ok(Some(run)) => run.due.saturating_sub(1.second()).unwrap_or(run.due),
                Ok(None) => now,
                Err(error) => {
                    tracing::warn!("the last full comparison is not known: {error}");
                    now
                }
            };
        } else if self.done > now.saturating_add(BELIEVED).unwrap_or(now) {
            tracing::warn!("the clock was set back by more than a day; the schedule begins anew");
            self.done = now;
        }
    }

    /// The first time after what is done.
    fn next(&self, now: Timestamp) -> Option<Timestamp> {
        let after = if self.led { self.done } else { now };
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
    async fn once<F>(&mut self, due: Timestamp, compare: &mut impl FnMut() -> F)
    where
        F: Future<Output = Outcome>,
    {
        let mut run = Run::begun(due, self.clock.now());
        self.told.began(run.started);
        self.note(&run).await;
        tracing::info!(%due, "the full comparison begins");
        let mut leads = self.leads.clone();
        let outcome = tokio::select! {
            biased;
            _ = leads.wait_for(|leads| !leads) => None,
            outcome = compare() => Some(outcome),
        };
        let ended = self.clock.now();
        match outcome {
            Some(outcome) => {
                match &outcome {
                    Ok(words) => tracing::info!("the full comparison has ended: {words}"),
                    Err(error) => tracing::error!("the full comparison has failed: {error}"),
                }
                self.told.ended(ended, outcome.is_ok());
                self.done = due;
                run.end(ended, outcome);
                self.note(&run).await;
            }
            None => {
                tracing::warn!("the full comparison is given up: this replica leads no more");
                self.told.interrupted();
            }
        }
    }

    async fn note(&self, run: &Run) {
        if let Err(error) = self.journal.record(run).await {
            tracing::warn!("the full comparison is not recorded: {error}");
        }
    }
}

/// How long to sleep.
fn until(next: Option<Timestamp>, now: Timestamp) -> Duration {
    let left = next.map(|next| next.duration_since(now));
    let left = left.and_then(|left| Duration::try_from(left).ok());
    // Not at all would be a busy loop.
    let left = left.unwrap_or(STEP).max(Duration::from_millis(1));
    left.min(STEP)
}

/// Ends when something is told; never, once nothing can be told any more.
async fn told_of(changed: impl Future<Output = Result<(), RecvError>>) {
    if changed.await.is_err() {
        std::future::pending::<()>().await;
    }
}
