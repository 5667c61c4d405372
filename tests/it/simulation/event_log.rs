//! The event log, and the first violated invariant.

use std::{
    fmt::Display,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{sync::Notify, time::Instant};

/// The maximum length of the log. A scenario that comes to rest writes a few thousand lines.
const MAX_LINES: usize = 50_000;

/// The events of a scenario, in order. Clones share the log.
#[derive(Clone)]
pub(super) struct EventLog(Arc<EventLogState>);

struct EventLogState {
    began: Instant,
    lines: Mutex<Vec<String>>,
    broken: Mutex<Option<String>>,
    full: Notify,
}

impl EventLog {
    /// Starts an empty log now.
    pub(super) fn begin() -> Self {
        Self(Arc::new(EventLogState {
            began: Instant::now(),
            lines: Mutex::default(),
            broken: Mutex::default(),
            full: Notify::new(),
        }))
    }

    /// Appends a line, with the time since the start in seconds.
    pub(super) fn record(&self, line: impl Display) {
        let at = self.0.began.elapsed().as_millis();
        let line = format!("{:>6}.{:03} {line}", at / 1000, at % 1000);
        let lines = self.0.lines.lock();
        let mut lines = lines.unwrap_or_else(PoisonError::into_inner);
        lines.push(line);
        if lines.len() == MAX_LINES {
            self.0.full.notify_one();
        }
    }

    /// L5: a scenario that never comes to rest is a failure.
    pub(super) async fn overflow(&self) {
        self.0.full.notified().await;
        self.broken("L5: it never comes to rest");
    }

    /// Records a violated invariant. Only the first one counts.
    pub(super) fn broken(&self, what: impl Display) {
        self.record(format_args!("BROKEN {what}"));
        let broken = self.0.broken.lock();
        let mut broken = broken.unwrap_or_else(PoisonError::into_inner);
        broken.get_or_insert_with(|| what.to_string());
    }

    /// Returns the first violated invariant, if any.
    pub(super) fn verdict(&self) -> Option<String> {
        let broken = self.0.broken.lock();
        broken.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn lines(&self) -> Vec<String> {
        let lines = self.0.lines.lock();
        lines.unwrap_or_else(PoisonError::into_inner).clone()
    }
}
