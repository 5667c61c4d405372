//! The result of a pass, and the plan for one.

use std::{collections::BTreeMap, fmt};

use tokio::time::Duration;

use nadmit_allocation::reconcile::{Action, ActionReason};

/// The result of a pass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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
    pub errors: Vec<String>,
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
            write!(f, ", {count} {reason} deferred")?;
        }
        Ok(())
    }
}

/// An action that a pass would take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedAction {
    /// The write and its reason.
    pub action: Action,
    /// A sentence that describes the action.
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
