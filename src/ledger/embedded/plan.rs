//! What a batch does, worked out before anything is done. Pure.

use std::collections::HashMap;

use crate::{
    allocation::{Allocation, Stored, Version, Write},
    ledger::{LedgerEvent, WriteError},
};

/// A write that is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RecordChange {
    /// The record's name.
    pub(super) name: String,
    /// What becomes of it.
    pub(super) event: LedgerEvent,
}

/// Why a batch is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BatchError {
    /// Which of its writes.
    pub(super) index: usize,
    /// `Exists` or `Changed`.
    pub(super) error: WriteError,
}

/// The changes that `batch` makes to a ledger in which `lookup` finds what is there before it, the
/// first with the version behind `last`; or why it makes none.
///
/// # Errors
/// The outer error is that of `lookup`.
pub(super) fn plan<E>(
    batch: Vec<Write>,
    last: Version,
    mut lookup: impl FnMut(&str) -> Result<Option<Stored>, E>,
) -> Result<Result<Vec<RecordChange>, BatchError>, E> {
    let mut changes: Vec<RecordChange> = Vec::with_capacity(batch.len());
    // Later writes of a batch see the earlier ones: the last change to each name.
    let mut places = HashMap::with_capacity(batch.len());
    for (index, write) in batch.into_iter().enumerate() {
        let name = write.allocation().record_name();
        let current = match places.get(&name).and_then(|at: &usize| changes.get(*at)) {
            Some(change) => state_after(&change.event),
            None => lookup(&name)?,
        };
        let version = next_version(changes.last().map_or(last, |change| change.event.version()));
        match apply_write(&name, write, current, version) {
            Ok(event) => {
                places.insert(name.clone(), changes.len());
                changes.push(RecordChange { name, event });
            }
            Err(error) => return Ok(Err(BatchError { index, error })),
        }
    }
    Ok(Ok(changes))
}

/// The version behind this one.
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
        (Write::Update(allocation, seen), Some(stored)) if matches_version(&stored, &allocation, seen) => {
            Ok(LedgerEvent::Put(Stored {
                allocation,
                version,
            }))
        }
        (Write::Delete(allocation, seen), Some(stored)) if matches_version(&stored, &allocation, seen) => {
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

/// Whether it is the record that was seen, and not one of another space whose name is the same.
fn matches_version(stored: &Stored, allocation: &Allocation, seen: Version) -> bool {
    stored.version == seen
        && stored.allocation.space == allocation.space
        && stored.allocation.address == allocation.address
}
