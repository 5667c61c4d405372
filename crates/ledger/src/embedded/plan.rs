//! Plans the changes of a batch. Pure.

use std::collections::HashMap;

use crate::{LedgerEvent, WriteError};
use nadmit_allocation::{Allocation, Stored, Version, Write};

/// A planned change of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RecordChange {
    /// Name of the record.
    pub(super) name: String,
    /// Event of the change.
    pub(super) event: LedgerEvent,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BatchError {
    /// Index of the refused write.
    pub(super) index: usize,
    /// Error of the refused write.
    pub(super) error: WriteError,
}

/// Returns the changes of `batch`, the first with the version after `last`, or the error of its first
/// refused write. `lookup` returns a record as it was before the batch.
///
/// # Errors
/// The outer error is the error of `lookup`.
pub(super) fn plan<E>(
    batch: Vec<Write>,
    last: Version,
    mut lookup: impl FnMut(&str) -> Result<Option<Stored>, E>,
) -> Result<Result<Vec<RecordChange>, BatchError>, E> {
    let mut changes: Vec<RecordChange> = Vec::with_capacity(batch.len());
    // Index of the last change to each name, because later writes of a batch see earlier ones.
    let mut latest = HashMap::with_capacity(batch.len());
    for (index, write) in batch.into_iter().enumerate() {
        let name = write.allocation().record_name();
        let current = match latest.get(&name).and_then(|at: &usize| changes.get(*at)) {
            Some(change) => state_after(&change.event),
            None => lookup(&name)?,
        };
        let version = next_version(changes.last().map_or(last, |change| change.event.version()));
        match apply_write(&name, write, current, version) {
            Ok(event) => {
                latest.insert(name.clone(), changes.len());
                changes.push(RecordChange { name, event });
            }
            Err(error) => return Ok(Err(BatchError { index, error })),
        }
    }
    Ok(Ok(changes))
}

/// Returns the next version.
fn next_version(version: Version) -> Version {
    // At a million writes a second, this lasts for half a million years.
    Version(version.0.saturating_add(1))
}

fn state_after(event: &LedgerEvent) -> Option<Stored> {
    match event {
        LedgerEvent::Put(stored) => Some(stored.clone()),
        LedgerEvent::Deleted { .. } => None,
    }
}

fn apply_write(
    name: &str,
    write: Write,
    current: Option<Stored>,
    version: Version,
) -> Result<LedgerEvent, WriteError> {
    match (write, current) {
        (Write::Create(allocation), None) => Ok(LedgerEvent::Put(Stored {
            allocation,
            version,
        })),
        (Write::Create(_), Some(stored)) => Err(WriteError::Exists(Box::new(stored))),
        (Write::Update(allocation, expected), Some(stored))
            if matches_version(&stored, &allocation, expected) =>
        {
            Ok(LedgerEvent::Put(Stored {
                allocation,
                version,
            }))
        }
        (Write::Delete(allocation, expected), Some(stored))
            if matches_version(&stored, &allocation, expected) =>
        {
            Ok(LedgerEvent::Deleted {
                allocation: stored.allocation,
                version,
            })
        }
        (Write::Update(..) | Write::Delete(..), current) => Err(WriteError::Changed {
            name: name.to_owned(),
            current: current.map(Box::new),
        }),
    }
}

/// Returns whether this is the expected version of the same record, not of another with a colliding name.
fn matches_version(stored: &Stored, allocation: &Allocation, expected: Version) -> bool {
    stored.version == expected
        && stored.allocation.space == allocation.space
        && stored.allocation.address == allocation.address
}
