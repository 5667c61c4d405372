//! State that callers and the writer share, and reads of the file.

use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use redb::{Database, ReadTransaction, ReadableDatabase as _, ReadableTable as _};
use tokio::sync::oneshot;

use super::{
    event_buffer::EventBuffer,
    file::panic_message,
    plan::BatchError,
    queue::Queue,
    table::{self, ALLOCATIONS, LookupError, META},
};
use crate::{Cursor, ReadError};
use nadmit_allocation::{Stored, Version, Write};

/// A batch, and the sender of its result.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) batch: Vec<Write>,
    pub(super) result: oneshot::Sender<BatchResult>,
}

/// Versions of a batch's writes, or the error of the batch.
pub(super) type BatchResult = Result<Vec<Version>, BatchError>;

/// State that callers and the writer share, and reads of the file.
#[derive(Debug)]
pub(super) struct SharedLedger {
    pub(super) queue: Queue<Job>,
    pub(super) events: EventBuffer,
    /// `None` after a failure, while the file cannot be reopened, and after closing.
    database: RwLock<Option<Database>>,
    /// Locked for writing from a commit until its version is recorded, because unacknowledged writes must
    /// not be read. Locked after `database`, and not held while waiting for that.
    commit: RwLock<CommitState>,
    /// Reason that the last group could not be written.
    write_failure: Mutex<Option<String>>,
}

/// State of the newest commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CommitState {
    /// The commit's version is in the version file.
    Recorded,
    /// Recording its version failed, for this reason.
    Unrecorded(String),
}

/// Returns the message for calls on a closed ledger.
pub(super) fn closed_message() -> String {
    "the ledger is closed because nadmit is stopping; try again".to_owned()
}

impl SharedLedger {
    pub(super) fn new(queue: Queue<Job>, events: EventBuffer, database: Database) -> Self {
        Self {
            queue,
            events,
            database: RwLock::new(Some(database)),
            commit: RwLock::new(CommitState::Recorded),
            write_failure: Mutex::new(None),
        }
    }

    /// Locks the state of the newest commit for writing; no read begins meanwhile.
    pub(super) fn commit_mut(&self) -> RwLockWriteGuard<'_, CommitState> {
        self.commit.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the reason that the last group could not be written; `None` if it was.
    pub(super) fn write_failure(&self) -> Option<String> {
        self.write_failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Records the reason that the last group could not be written, or that it was.
    pub(super) fn set_write_failure(&self, failure: Option<String>) {
        *self
            .write_failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = failure;
    }

    /// Locks the database for reading.
    pub(super) fn database(&self) -> RwLockReadGuard<'_, Option<Database>> {
        self.database.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks the database for replacing it; waits for all reads.
    pub(super) fn database_mut(&self) -> RwLockWriteGuard<'_, Option<Database>> {
        self.database
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the record of this name.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(super) fn get(&self, name: &str) -> Result<Option<Stored>, ReadError> {
        self.read(|transaction| {
            let table = transaction.open_table(ALLOCATIONS).map_err(unreadable)?;
            match table::lookup(&table, name) {
                Ok(stored) => Ok(stored),
                Err(LookupError::Storage(error)) => Err(unreadable(error)),
                Err(LookupError::Damaged(error)) => Err(error),
            }
        })
    }

    /// Visits a consistent snapshot of all records, sorted by name: calls `begin` with their number and the
    /// cursor, then `each`. An error of either ends the scan.
    ///
    /// # Errors
    /// [`ReadError`] as `E`, and the errors of `begin` and `each`.
    pub(super) fn scan<E: From<ReadError>>(
        &self,
        begin: impl FnOnce(u64, Cursor) -> Result<(), E>,
        mut each: impl FnMut(Stored) -> Result<(), E>,
    ) -> Result<(), E> {
        self.read(|transaction| {
            let table = transaction.open_table(ALLOCATIONS).map_err(unreadable)?;
            let meta = transaction.open_table(META).map_err(unreadable)?;
            let last: Version = table::last_version(&meta).map_err(unreadable)?;
            begin(
                redb::ReadableTableMetadata::len(&table).map_err(unreadable)?,
                Cursor(last),
            )?;
            for entry in table.iter().map_err(unreadable)? {
                let (name, bytes) = entry.map_err(unreadable)?;
                each(table::decode(name.value(), bytes.value())?)?;
            }
            Ok(())
        })
    }

    fn read<T, E: From<ReadError>>(
        &self,
        run: impl FnOnce(&ReadTransaction) -> Result<T, E>,
    ) -> Result<T, E> {
        let database = self.database();
        let database = database.as_ref().ok_or_else(|| ReadError::Unavailable {
            reason: self.write_failure().unwrap_or_else(closed_message),
        })?;
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let transaction = {
                let commit = self.commit.read().unwrap_or_else(PoisonError::into_inner);
                if let CommitState::Unrecorded(reason) = &*commit {
                    return Err(unreadable(reason).into());
                }
                database.begin_read().map_err(unreadable)?
            };
            run(&transaction)
        }))
        .unwrap_or_else(|panic| Err(unreadable(panic_message(panic.as_ref())).into()))
    }
}

fn unreadable(error: impl std::fmt::Display) -> ReadError {
    ReadError::Unavailable {
        reason: error.to_string(),
    }
}
