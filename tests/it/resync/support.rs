//! Helpers of the tests in this directory.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

pub(super) use crate::support::{TestResult, paused};
pub(super) use crate::support::{holds, same};
use jiff::{SignedDuration, Timestamp};
use libtest_mimic::Failed;
use nadmit::{
    clock::Clock,
    controllers::{EventSink, EventType, ObjectRef},
};
use prometheus_client::{encoding::text::encode, registry::Registry};
use tokio::time::{Instant, sleep};

/// A wall clock that follows tokio's time, and can be set.
#[derive(Clone)]
pub(super) struct SettableClock {
    began: Instant,
    start: Timestamp,
    offset: Arc<AtomicI64>,
}

impl SettableClock {
    /// Returns a clock that shows this time now.
    pub(super) fn at(now: &str) -> Result<Self, Failed> {
        Ok(Self {
            began: Instant::now(),
            start: now.parse()?,
            offset: Arc::default(),
        })
    }

    /// Returns a clock that is ahead by these seconds or, below 0, behind.
    pub(super) fn ahead(&self, seconds: i64) -> Self {
        let offset = self.offset.load(Ordering::Relaxed) + seconds;
        Self {
            offset: Arc::new(AtomicI64::new(offset)),
            ..self.clone()
        }
    }

    /// Moves it forward, or back, by these seconds.
    pub(super) fn set(&self, seconds: i64) {
        self.offset.fetch_add(seconds, Ordering::Relaxed);
    }

    pub(super) fn now(&self) -> Timestamp {
        let passed = SignedDuration::try_from(self.began.elapsed()).unwrap_or_default();
        let offset = SignedDuration::from_secs(self.offset.load(Ordering::Relaxed));
        self.start + passed + offset
    }

    pub(super) fn clock(&self) -> Clock {
        let wall = self.clone();
        Clock::new(move || wall.now())
    }

    /// Waits until it shows this time or a later one.
    pub(super) async fn until(&self, then: &str) -> TestResult {
        let left = then.parse::<Timestamp>()?.duration_since(self.now());
        if let Ok(left) = Duration::try_from(left) {
            sleep(left).await;
        }
        Ok(())
    }
}

/// Collects the emitted events.
#[derive(Clone, Default)]
pub(super) struct RecordingSink(Arc<Mutex<Vec<String>>>);

impl EventSink for RecordingSink {
    fn emit(&self, about: ObjectRef, gravity: EventType, reason: &'static str, message: String) {
        let line = format!(
            "{gravity:?} {} {}: {reason}: {message}",
            about.kind, about.name
        );
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(line);
    }
}

impl RecordingSink {
    /// Returns the events since the last call.
    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A registry whose metrics are read in the text format.
pub(super) struct MetricReader(Registry);

impl MetricReader {
    pub(super) fn of(register: impl FnOnce(&mut Registry)) -> Self {
        let mut registry = Registry::default();
        register(&mut registry);
        Self(registry)
    }

    pub(super) fn value(&self, name: &str) -> Result<i64, Failed> {
        let mut text = String::new();
        encode(&mut text, &self.0)?;
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let value = value.ok_or_else(|| format!("no {name} in\n{text}"))?;
        Ok(value.parse()?)
    }
}
