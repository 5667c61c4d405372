//! What a pass did, or would do.

use std::{collections::BTreeMap, fmt};

use tokio::time::Duration;

use crate::allocation::reconcile::{Action, ActionReason};

/// What a pass found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReconcileReport {
    /// Whether this replica led, and so acted.
    pub is_leader: bool,
    /// Whether everything was read afresh first.
    pub full: bool,
    /// How long it took.
    pub duration: Duration,
    /// How many records there were.
    pub records: usize,
    /// How many pods of networks there were.
    pub pods: usize,
    /// What was done, by the word of its reason.
    pub done: BTreeMap<&'static str, u64>,
    /// What was to be done and was not, by the word of its reason: it is judged anew.
    pub deferred: BTreeMap<&'static str, u64>,
    /// Addresses that more than one uses.
    pub duplicates: usize,
    /// Pods that have something else than what is recorded for them.
    pub drifted: usize,
    /// Pools that give nothing yet.
    pub unready: Vec<String>,
    /// What could not be read or written, in words, the first of them.
    pub errors: Vec<String>,
}

/// How many errors a report tells.
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

    pub(super) fn error(&mut self, error: String) {
        if self.errors.len() < MAX_ERRORS && !self.errors.contains(&error) {
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
            write!(f, ", {count} {reason} left for later")?;
        }
        Ok(())
    }
}

/// One thing that a pass would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedAction {
    /// The action.
    pub action: Action,
    /// The same in a sentence.
    pub description: String,
}

impl From<Action> for PlannedAction {
    fn from(action: Action) -> Self {
        Self {
            description: description(&action),
            action,
        }
    }
}

fn description(action: &Action) -> String {
    if let ActionReason::Duplicate { address, users } = &action.reason {
        let users: Vec<String> = users.iter().map(ToString::to_string).collect();
        let users = users.join(" and by ");
        return format!(
            "{address} is used by {users}; change the addresses of all but one of them"
        );
    }
    let Some(record) = action.write.as_ref().map(|write| write.allocation()) else {
        return action.reason.name().to_owned();
    };
    let (address, pool, holder) = (record.address, &record.pool, &record.holder);
    match action.reason {
        ActionReason::Adopted => {
            format!("{address} of pool {pool} is in use by {holder}: record it")
        }
        ActionReason::Reserved => {
            format!("{address} of pool {pool} is set aside by {holder}: record it")
        }
        ActionReason::Transferred => {
            format!("{address} of pool {pool} becomes {holder}'s, who uses it")
        }
        ActionReason::MacSplit => {
            format!("{address} of pool {pool}, of {holder}: record it by itself")
        }
        ActionReason::ReturnedToReservation => {
            format!("{address} of pool {pool} goes back to {holder}")
        }
        ActionReason::PodIdentified => {
            format!("{address} of pool {pool}, of {holder}: record which pod has it")
        }
        ActionReason::Detached => {
            format!("{address} of pool {pool} is not used by {holder} any more")
        }
        ActionReason::PodGone
        | ActionReason::ProvisionalExpired
        | ActionReason::WorkloadGone
        | ActionReason::Excess
        | ActionReason::ReservationGone
        | ActionReason::NotConfigured
        | ActionReason::Duplicate { .. } => format!(
            "{address} of pool {pool} is free: it was held by {holder} ({})",
            action.reason.name()
        ),
    }
}
