//! The single writer: commits groups of batches, each group in one transaction with one sync.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use redb::{Database, WriteTransaction};
use thiserror::Error;

use super::{
    file::{CommitFiles, panic_message},
    ledger_origin::LedgerOrigin,
    opened::Displaced,
    plan::{BatchError, RecordChange, plan},
    shared::{BatchResult, CommitState, Job, SharedLedger, closed_message},
    table::{self, ALLOCATIONS, META, VERSION_KEY},
    version_file,
};
use crate::{LedgerEvent, OpenError, ReadError, WriteError};
use nadmit_allocation::{Version, Write};

/// Reopens the file.
pub(super) type Reopen = Box<dyn Fn() -> Result<Database, OpenError> + Send>;

/// The writer's state.
pub(super) struct Writer {
    shared: Arc<SharedLedger>,
    reopen: Reopen,
    /// Version of the last committed write.
    last: Version,
    /// Files to check and write with each commit; the origin of a ledger that is read-only.
    commit_files: Result<CommitFiles, Arc<LedgerOrigin>>,
    /// Events of a failed transaction. The file must be reopened, which shows whether they were committed.
    uncommitted: Option<Vec<LedgerEvent>>,
}

/// The reason why a group was not committed, or its version not recorded.
#[derive(Debug, Error)]
enum CommitFailure {
    /// The path does not lead to the open file.
    #[error(transparent)]
    Displaced(#[from] Displaced),
    /// The file cannot be opened again.
    #[error(transparent)]
    Reopen(#[from] OpenError),
    /// The file cannot be read or written.
    #[error(transparent)]
    Database(#[from] redb::Error),
    /// redb panicked, with this message.
    #[error("{0}")]
    Panic(String),
    /// The version file cannot be written.
    #[error("{}: {source}", version_file::FILE_NAME)]
    VersionFile { source: io::Error },
    /// The newest version is neither that of the last commit nor that of the failed one.
    #[error("another process has written to the file: restart nadmit")]
    Foreign,
}

impl CommitFailure {
    /// Returns the error of batches of which nothing was written.
    fn unavailable(&self) -> WriteError {
        WriteError::Unavailable {
            reason: self.to_string(),
        }
    }
}

/// A group that is written to a transaction but not committed.
struct Prepared {
    transaction: WriteTransaction,
    events: Vec<LedgerEvent>,
    results: Vec<BatchResult>,
}

impl Writer {
    pub(super) fn new(
        shared: Arc<SharedLedger>,
        last: Version,
        commit_files: Result<CommitFiles, Arc<LedgerOrigin>>,
        reopen: Reopen,
    ) -> Self {
        Self {
            shared,
            reopen,
            last,
            commit_files,
            uncommitted: None,
        }
    }

    /// Commits groups until the queue is closed and empty, then closes the file.
    pub(super) fn run(&mut self, largest_group: usize) {
        let shared = Arc::clone(&self.shared);
        shared
            .queue
            .serve(largest_group, |group| self.commit(group));
        shared.events.close();
        let database = shared.database_mut().take();
        // A failure here loses nothing: all acknowledged writes are durable.
        let _ = catch_panics(|| {
            drop(database);
            Ok(())
        });
    }

    /// Commits a group and sends each batch its result.
    pub(super) fn commit(&mut self, group: Vec<Job>) {
        let (waiting, batches): (Vec<_>, Vec<_>) =
            group.into_iter().map(|job| (job.result, job.batch)).unzip();
        let count = waiting.len();
        let results = self.try_commit(batches);
        self.shared.set_write_failure(failure_reason(&results));
        let results =
            results.unwrap_or_else(|error| vec![Err(BatchError { index: 0, error }); count]);
        for (waiting, result) in waiting.into_iter().zip(results) {
            // A caller that stopped waiting can observe the write by following.
            let _ = waiting.send(result);
        }
    }

    /// Returns the result of each batch; an error applies to all of them.
    fn try_commit(&mut self, batches: Vec<Vec<Write>>) -> Result<Vec<BatchResult>, WriteError> {
        self.recover().map_err(|failure| failure.unavailable())?;
        let commit_files = self.commit_files.as_mut().map_err(|read_only| {
            let reason = read_only.to_string();
            WriteError::Unavailable { reason }
        })?;
        let last = self.last;
        let prepared = {
            let database = self.shared.database();
            let database = database.as_ref().ok_or_else(|| WriteError::Unavailable {
                reason: closed_message(),
            })?;
            catch_panics(|| prepare(database, last, batches))
        };
        let Prepared {
            transaction,
            events,
            results,
        } = prepared.map_err(|failure| {
            self.uncommitted = Some(Vec::new());
            failure.unavailable()
        })?;
        let Some(newest) = events.last().map(LedgerEvent::version) else {
            // All batches were refused: dropping the transaction writes nothing.
            return Ok(results);
        };
        let mut commit = self.shared.commit_mut();
        let committed = catch_panics(|| transaction.commit().map_err(redb::Error::from));
        let recorded = committed.and_then(|()| {
            let recorded = record_version(commit_files, newest);
            recorded.inspect_err(|failure| *commit = CommitState::Unrecorded(failure.to_string()))
        });
        drop(commit);
        match recorded {
            Ok(()) => {
                self.last = newest;
                self.shared.events.publish(events);
                Ok(results)
            }
            Err(failure) => {
                self.uncommitted = Some(events);
                Err(WriteError::Uncertain {
                    reason: failure.to_string(),
                })
            }
        }
    }

    /// After a failed transaction, reopens the file and determines whether it was committed.
    fn recover(&mut self) -> Result<(), CommitFailure> {
        if let Ok(commit_files) = &self.commit_files {
            commit_files.opened.check()?;
        }
        let Some(events) = &self.uncommitted else {
            return Ok(());
        };
        let mut slot = self.shared.database_mut();
        // The old database is dropped first, because it holds the lock.
        let old = slot.take();
        let _ = catch_panics(|| {
            drop(old);
            Ok(())
        });
        let database = (self.reopen)()?;
        let found = catch_panics(|| table::newest(&database))?;
        // Recorded before the events are published.
        if let Ok(commit_files) = &mut self.commit_files {
            record_version(commit_files, found)?;
        }
        if events.last().is_some_and(|last| last.version() == found) {
            self.shared
                .events
                .publish(self.uncommitted.take().unwrap_or_default());
            self.last = found;
        } else if found != self.last {
            return Err(CommitFailure::Foreign);
        }
        self.uncommitted = None;
        *self.shared.commit_mut() = CommitState::Recorded;
        *slot = Some(database);
        Ok(())
    }
}

fn record_version(commit_files: &mut CommitFiles, version: Version) -> Result<(), CommitFailure> {
    let recorded = commit_files.version_file.advance(version);
    recorded.map_err(|source| CommitFailure::VersionFile { source })
}

/// Returns the reason that a group could not be written. A batch that was refused for its content is not a
/// failure.
fn failure_reason(results: &Result<Vec<BatchResult>, WriteError>) -> Option<String> {
    match results {
        Err(WriteError::Uncertain { reason } | WriteError::Unavailable { reason }) => {
            Some(reason.clone())
        }
        Ok(_) | Err(_) => None,
    }
}

/// Writes a group to one transaction, each batch completely or not at all.
fn prepare(
    database: &Database,
    mut last: Version,
    batches: Vec<Vec<Write>>,
) -> Result<Prepared, redb::Error> {
    let transaction = database.begin_write()?;
    let mut events = Vec::new();
    let mut results = Vec::with_capacity(batches.len());
    {
        let mut records = transaction.open_table(ALLOCATIONS)?;
        for batch in batches {
            let planned = plan(batch, last, |name| table::lookup(&records, name));
            let changes = match planned {
                Ok(Ok(changes)) => changes,
                Ok(Err(refusal)) => {
                    results.push(Err(refusal));
                    continue;
                }
                Err(table::LookupError::Storage(error)) => return Err(error.into()),
                Err(table::LookupError::Damaged(damaged)) => {
                    results.push(Err(unreadable(&damaged)));
                    continue;
                }
            };
            results.push(Ok(changes
                .iter()
                .map(|change| change.event.version())
                .collect()));
            for RecordChange { name, event } in changes {
                match &event {
                    LedgerEvent::Put(stored) => {
                        records.insert(name.as_str(), table::encode(stored).as_slice())?;
                    }
                    LedgerEvent::Deleted { .. } => {
                        records.remove(name.as_str())?;
                    }
                }
                last = event.version();
                events.push(event);
            }
        }
        transaction.open_table(META)?.insert(VERSION_KEY, last.0)?;
    }
    Ok(Prepared {
        transaction,
        events,
        results,
    })
}

fn unreadable(damaged: &ReadError) -> BatchError {
    BatchError {
        index: 0,
        error: WriteError::Unavailable {
            reason: damaged.to_string(),
        },
    }
}

/// Runs an operation of redb, which may panic on a file that another program changed.
fn catch_panics<T>(run: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, CommitFailure> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(outcome) => Ok(outcome?),
        Err(panic) => Err(CommitFailure::Panic(panic_message(panic.as_ref()))),
    }
}
