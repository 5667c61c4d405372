//! The allocation core as the server uses it: plans go to the ledger, and their outcome to the index.

use std::sync::Arc;

use tokio::{
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use crate::{
    allocation::{SharedIndex, Write, index::Ticket},
    ledger::{Ledger, Store as _, WriteError},
};

/// Who holds which address, and where that is recorded.
#[derive(Debug, Clone)]
pub struct Allocations {
    /// The index, which is as the ledger is.
    pub index: Arc<SharedIndex>,
    ledger: Option<Arc<Ledger>>,
    /// The one source of randomness: each call another number that nobody can guess.
    chance: fn() -> u128,
}

/// What became of a plan.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Recorded {
    /// It is durable.
    Safe,
    /// Another was faster; the index knows it now: decide again.
    Overtaken,
    /// Nothing was promised.
    Failed(String),
}

impl Allocations {
    /// Allocations that a ledger records.
    pub fn new(index: Arc<SharedIndex>, ledger: Arc<Ledger>, chance: fn() -> u128) -> Self {
        Self {
            index,
            ledger: Some(ledger),
            chance,
        }
    }

    /// No ledger: whatever would have to be recorded is turned away.
    pub fn none() -> Self {
        Self {
            index: Arc::default(),
            ledger: None,
            chance: || 0,
        }
    }

    /// A number that nobody can guess.
    pub(super) fn chance(&self) -> u128 {
        (self.chance)()
    }

    /// Records a plan, all or none, and tells the index. Once begun it comes to its end, whoever
    /// waits for it; after `deadline` nobody does.
    pub(super) async fn record(
        &self,
        writes: Vec<Write>,
        ticket: Ticket,
        deadline: Instant,
    ) -> Recorded {
        let Some(ledger) = self.ledger.clone() else {
            self.index.lock().roll_back(ticket);
            let reason = "this server keeps no allocations; start it with --data-dir";
            return Recorded::Failed(reason.to_owned());
        };
        let index = Arc::clone(&self.index);
        let task: JoinHandle<Recorded> =
            tokio::spawn(async move { settle(&ledger, &index, writes, ticket).await });
        match timeout_at(deadline, task).await {
            Ok(Ok(recorded)) => recorded,
            Ok(Err(error)) => Recorded::Failed(error.to_string()),
            Err(_) => Recorded::Failed("it was not recorded in time".to_owned()),
        }
    }
}

async fn settle(
    ledger: &Ledger,
    index: &SharedIndex,
    writes: Vec<Write>,
    ticket: Ticket,
) -> Recorded {
    let names: Vec<_> = writes
        .iter()
        .map(|write| (write.allocation().record_name(), write.allocation().clone()))
        .collect();
    match ledger.write(writes).await {
        Ok(versions) => {
            index.lock().confirm(ticket, &versions);
            Recorded::Safe
        }
        Err(WriteError::Exists(theirs)) => {
            let mut index = index.lock();
            index.apply(*theirs);
            index.roll_back(ticket);
            Recorded::Overtaken
        }
        Err(WriteError::Changed { name, current }) => {
            let mut index = index.lock();
            match current {
                Some(current) => index.apply(*current),
                None => {
                    let ours = names.into_iter().find(|(known, _)| *known == name);
                    if let Some((_, ours)) = ours {
                        index.forget(&ours.space, ours.address);
                    }
                }
            }
            index.roll_back(ticket);
            Recorded::Overtaken
        }
        // What may have been written stays in flight, so that nobody else is given it; the ledger's
        // history tells how it ended.
        Err(error @ WriteError::Uncertain { .. }) => Recorded::Failed(error.to_string()),
        Err(error @ WriteError::Unavailable { .. }) => {
            index.lock().roll_back(ticket);
            Recorded::Failed(error.to_string())
        }
    }
}
