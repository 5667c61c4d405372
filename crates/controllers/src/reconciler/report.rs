//! The result of a pass.

use std::{collections::BTreeMap, fmt};

use tokio::time::Duration;

use super::error::ReconcileError;

/// The result of a pass.
#[derive(Debug, Default)]
pub struct ReconcileReport {
    /// True if this replica led, and so acted.
    pub is_leader: bool,
    /// True if everything was read live first.
    pub full: bool,
    /// The duration of the pass.
    pub duration: Duration,
    /// The number of records.
    pub records: usize,
    /// The number of pods with networks.
    pub pods: usize,
    /// The number of completed actions, by reason.
    pub done: BTreeMap<&'static str, u64>,
    /// The number of actions that could not be completed, by reason. The next pass decides on them
    /// again.
    pub deferred: BTreeMap<&'static str, u64>,
    /// The number of addresses with several users.
    pub duplicates: usize,
    /// The number of interfaces that report something else than is recorded for them.
    pub drifted: usize,
    /// The names of pools that are not ready.
    pub unready: Vec<String>,
    /// The first few errors of reads and writes.
    pub errors: Vec<ReconcileError>,
}

/// The maximum number of errors in a report.
const MAX_ERRORS: usize = 20;

impl ReconcileReport {
    pub(super) fn count(&mut self, reason: &'static str, done: bool) {
        let counts = if done {
            &mut self.done
        } else {
            &mut self.deferred
        };
        *counts.entry(reason).or_default() += 1;
    }

    pub(super) fn error(&mut self, error: impl Into<ReconcileError>) {
        let error = error.into();
        let is_known = self.errors.iter().any(|before| error.repeats(before));
        if self.errors.len() < MAX_ERRORS && !is_known {
            self.errors.push(error);
        }
    }
}

impl fmt::Display for ReconcileReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} records and {} pods compared in {} ms",
            self.records,
            self.pods,
            self.duration.as_millis()
        )?;
        for (reason, count) in &self.done {
            write!(f, ", {count} {reason}")?;
        }
        for (reason, count) in &self.deferred {
            write!(f, ", {count} {reason} deferred")?;
        }
        Ok(())
    }
}
