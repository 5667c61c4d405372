//! The one writer: it commits groups of batches, each group a single transaction with one wait for
//! the disk.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use redb::{Database, ReadableDatabase as _, WriteTransaction};
use tokio::sync::oneshot;

use super::{
    file::{CommitFiles, panic_message},
    plan::{BatchError, RecordChange, plan},
    shared::{CommitState, SharedLedger, closed_message},
    table::{self, ALLOCATIONS, META, VERSION_KEY},
};
use crate::{
    allocation::{Version, Write},
    ledger::{LedgerEvent, OpenError, ReadError, WriteError},
};

/// A batch, and where its answer goes.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) batch: Vec<Write>,
    pub(super) answer: oneshot::Sender<BatchResult>,
}

/// The versions of a batch's writes, or why it was refused.
pub(super) type BatchResult = Result<Vec<Version>, BatchError>;

/// Opens the file anew.
pub(super) type Reopen = Box<dyn Fn() -> Result<Database, OpenError> + Send>;

/// What the writer knows of the file.
pub(super) struct Writer {
    shared: Arc<SharedLedger>,
    reopen: Reopen,
    /// The version of the last write that was committed.
    last: Version,
    /// Absent where nothing may be written, for the reason beside it.
    beside: Result<CommitFiles, String>,
    /// A transaction failed: the file has to be opened anew, and then tells whether these events
    /// were committed.
    uncommitted: Option<Vec<LedgerEvent>>,
}

/// A group that is written but not committed.
struct Prepared {
    transaction: WriteTransaction,
    events: Vec<LedgerEvent>,
    answers: Vec<BatchResult>,
}

impl Writer {
    pub(super) fn new(
        shared: Arc<SharedLedger>,
        last: Version,
        beside: Result<CommitFiles, String>,
        reopen: Reopen,
    ) -> Self {
        Self {
            shared,
            reopen,
            last,
            beside,
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
        // Whatever happens here, everything that was answered is on the disk.
        let _ = catch_panics(|| {
            drop(database);
            Ok(())
        });
    }

    /// Commits a group and answers each of its batches.
    pub(super) fn commit(&mut self, group: Vec<Job>) {
        let (waiting, batches): (Vec<_>, Vec<_>) =
            group.into_iter().map(|job| (job.answer, job.batch)).unzip();
        let count = waiting.len();
        let answers = self.try_commit(batches);
        self.shared.set_write_failure(failure_reason(&answers));
        let answers =
            answers.unwrap_or_else(|error| vec![Err(BatchError { index: 0, error }); count]);
        for (waiting, answer) in waiting.into_iter().zip(answers) {
            // Who no longer waits learns of it by following.
            let _ = waiting.send(answer);
        }
    }

    /// The answer to each batch; an error is the answer to all.
    fn try_commit(&mut self, batches: Vec<Vec<Write>>) -> Result<Vec<BatchResult>, WriteError> {
        self.recover()
            .map_err(|reason| WriteError::Unavailable { reason })?;
        let beside = self.beside.as_mut().map_err(|reason| {
            let reason = reason.clone();
            WriteError::Unavailable { reason }
        })?;
        let last = self.last;
        let prepared = {
            let database = self.shared.database();
            let database = database.as_ref().ok_or_else(|| WriteError::Unavailable {
                reason: closed_message(),
            })?;
            catch_panics(|| prepare(database, last, batches).map_err(|error| error.to_string()))
        };
        let Prepared {
            transaction,
            events,
            answers,
        } = prepared.map_err(|reason| {
            self.uncommitted = Some(Vec::new());
            WriteError::Unavailable { reason }
        })?;
        let Some(newest) = events.last().map(LedgerEvent::version) else {
            // All refused: dropping the transaction undoes nothing and waits for no disk.
            return Ok(answers);
        };
        let mut commit = self.shared.commit_mut();
        let committed = catch_panics(|| transaction.commit().map_err(|error| error.to_string()));
        let recorded = committed.and_then(|()| {
            let recorded = record_version(beside, newest);
            recorded.inspect_err(|reason| *commit = CommitState::Unrecorded(reason.clone()))
        });
        drop(commit);
        match recorded {
            Ok(()) => {
                self.last = newest;
                self.shared.events.publish(events);
                Ok(answers)
            }
            Err(reason) => {
                self.uncommitted = Some(events);
                Err(WriteError::Uncertain { reason })
            }
        }
    }

    /// After a failed transaction, opens the file anew and finds out what became of it.
    fn recover(&mut self) -> Result<(), String> {
        if let Ok(beside) = &self.beside {
            beside.opened.check().map_err(|error| error.to_string())?;
        }
        let Some(events) = &self.uncommitted else {
            return Ok(());
        };
        let mut place = self.shared.database_mut();
        // The old one goes first, for it has the lock.
        let old = place.take();
        let _ = catch_panics(|| {
            drop(old);
            Ok(())
        });
        let database = (self.reopen)().map_err(|error| error.to_string())?;
        let found = catch_panics(|| newest(&database).map_err(|error| error.to_string()))?;
        // Before it is told.
        if let Ok(beside) = &mut self.beside {
            record_version(beside, found)?;
        }
        if events.last().is_some_and(|last| last.version() == found) {
            self.shared
                .events
                .publish(self.uncommitted.take().unwrap_or_default());
            self.last = found;
        } else if found != self.last {
            return Err("another process has written to the file: restart nadmit".to_owned());
        }
        self.uncommitted = None;
        *self.shared.commit_mut() = CommitState::Recorded;
        *place = Some(database);
        Ok(())
    }
}

/// Records the version of a commit beside the file.
fn record_version(beside: &mut CommitFiles, version: Version) -> Result<(), String> {
    let recorded = beside.version_file.advance(version);
    recorded.map_err(|error| format!("{}: {error}", super::version_file::FILE_NAME))
}

/// Why a group could not be written. What was refused for what it asks is no trouble.
fn failure_reason(answers: &Result<Vec<BatchResult>, WriteError>) -> Option<String> {
    match answers {
        Err(WriteError::Uncertain { reason } | WriteError::Unavailable { reason }) => {
            Some(reason.clone())
        }
        Ok(_) | Err(_) => None,
    }
}

/// The version of the last write that was committed.
///
/// # Errors
/// [`redb::Error`], if it cannot be read.
pub(super) fn newest(database: &Database) -> Result<Version, redb::Error> {
    let transaction = database.begin_read()?;
    Ok(table::last_version(&transaction.open_table(META)?)?)
}

/// Writes a group, each batch whole or not at all, into one transaction.
fn prepare(
    database: &Database,
    mut last: Version,
    batches: Vec<Vec<Write>>,
) -> Result<Prepared, redb::Error> {
    let transaction = database.begin_write()?;
    let mut events = Vec::new();
    let mut answers = Vec::with_capacity(batches.len());
    {
        let mut records = transaction.open_table(ALLOCATIONS)?;
        for batch in batches {
            let planned = plan(batch, last, |name| table::lookup(&records, name));
            let changes = match planned {
                Ok(Ok(changes)) => changes,
                Ok(Err(refusal)) => {
                    answers.push(Err(refusal));
                    continue;
                }
                Err(table::LookupError::Storage(error)) => return Err(error.into()),
                Err(table::LookupError::Damaged(damaged)) => {
                    answers.push(Err(unreadable(&damaged)));
                    continue;
                }
            };
            answers.push(Ok(changes
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
        answers,
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

/// Runs what may panic on a file that was changed from outside.
fn catch_panics<T>(run: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| Err(panic_message(panic.as_ref())))
}
