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
    plan::{RecordChange, BatchError, plan},
    shared::{CommitState, SharedLedger, closed},
    table::{self, ALLOCATIONS, META, VERSION_KEY},
};
use crate::{
    allocation::{Version, Write},
    ledger::{Event, OpenError, ReadError, WriteError},
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
    failed: Option<Vec<Event>>,
}

/// A group that is written but not committed.
struct Prepared {
    transaction: WriteTransaction,
    events: Vec<Event>,
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
            failed: None,
        }
    }

    /// Commits groups until the queue is closed and empty, then closes the file.
    pub(super) fn run(&mut self, largest_group: usize) {
        let shared = Arc::clone(&self.shared);
        shared
            .queue
            .serve(largest_group, |group| self.commit(group));
        shared.feed.close();
        let database = shared.database_mut().take();
        // Whatever happens here, everything that was answered is on the disk.
        let _ = caught(|| {
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
        self.shared.set_write_failure(trouble(&answers));
        let answers = answers.unwrap_or_else(|error| vec![Err(BatchError { index: 0, error }); count]);
        for (waiting, answer) in waiting.into_iter().zip(answers) {
            // Who no longer waits learns of it by following.
            let _ = waiting.send(answer);
        }
    }

    /// The answer to each batch; an error is the answer to all.
    fn try_commit(&mut self, batches: Vec<Vec<Write>>) -> Result<Vec<BatchResult>, WriteError> {
        self.heal()
            .map_err(|reason| WriteError::Unavailable { reason })?;
        let beside = self.beside.as_mut().map_err(|reason| {
            let reason = reason.clone();
            WriteError::Unavailable { reason }
        })?;
        let last = self.last;
        let prepared = {
            let database = self.shared.database();
            let database = database
                .as_ref()
                .ok_or_else(|| WriteError::Unavailable { reason: closed() })?;
            caught(|| prepare(database, last, batches).map_err(|error| error.to_string()))
        };
        let Prepared {
            transaction,
            events,
            answers,
        } = prepared.map_err(|reason| {
            self.failed = Some(Vec::new());
            WriteError::Unavailable { reason }
        })?;
        let Some(newest) = events.last().map(Event::version) else {
            // All refused: dropping the transaction undoes nothing and waits for no disk.
            return Ok(answers);
        };
        let mut commit = self.shared.commit_mut();
        let committed = caught(|| transaction.commit().map_err(|error| error.to_string()));
        let recorded = committed.and_then(|()| {
            let recorded = record(beside, newest);
            recorded.inspect_err(|reason| *commit = CommitState::Unrecorded(reason.clone()))
        });
        drop(commit);
        match recorded {
            Ok(()) => {
                self.last = newest;
                self.shared.feed.tell(events);
                Ok(answers)
            }
            Err(reason) => {
                self.failed = Some(events);
                Err(WriteError::Uncertain { reason })
            }
        }
    }

    /// After a failed transaction, opens the file anew and finds out what became of it.
    fn heal(&mut self) -> Result<(), String> {
        if let Ok(beside) = &self.beside {
            beside.opened.check().map_err(|error| error.to_string())?;
        }
        let Some(events) = &self.failed else {
            return Ok(());
        };
        let mut place = self.shared.database_mut();
        // The old one goes first, for it has the lock.
        let old = place.take();
        let _ = caught(|| {
            drop(old);
            Ok(())
        });
        let database = (self.reopen)().map_err(|error| error.to_string())?;
        let found = caught(|| newest(&database).map_err(|error| error.to_string()))?;
        // Before it is told.
        if let Ok(beside) = &mut self.beside {
            record(beside, found)?;
        }
        if events.last().is_some_and(|last| last.version() == found) {
            self.shared
                .feed
                .tell(self.failed.take().unwrap_or_default());
            self.last = found;
        } else if found != self.last {
            return Err("another process has written to the file: restart nadmit".to_owned());
        }
        self.failed = None;
        *self.shared.commit_mut() = CommitState::Recorded;
        *place = Some(database);
        Ok(())
    }
}

/// Records the version of a commit beside the file.
fn record(beside: &mut CommitFiles, version: Version) -> Result<(), String> {
    let recorded = beside.version_file.advance(version);
    recorded.map_err(|error| format!("{}: {error}", super::version_file::FILE_NAME))
}

/// Why a group could not be written. What was refused for what it asks is no trouble.
fn trouble(answers: &Result<Vec<BatchResult>, WriteError>) -> Option<String> {
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
                    Event::Put(stored) => {
                        records.insert(name.as_str(), table::encode(stored).as_slice())?;
                    }
                    Event::Gone { .. } => {
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
fn caught<T>(run: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| Err(panic_message(panic.as_ref())))
}
