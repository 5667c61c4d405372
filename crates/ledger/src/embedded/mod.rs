//! The ledger in a file of the data directory, based on redb.
//!
//! A write passes through these modules in this order:
//!
//! 1. [`EmbeddedLedger::write`](crate::Store::write) puts it into the `queue` and waits.
//! 2. The `writer`, one thread, takes all queued batches; `plan` determines the changes of each.
//! 3. The group is committed in one transaction, with one sync. Batches that arrive meanwhile form the next
//!    group.
//! 4. The `event_buffer` notifies the followers; then the batches are acknowledged.
//!
//! Before a commit the writer checks that the path still leads to the `opened` file. After the commit, and
//! before anything is published or acknowledged, it writes the new version to the `version_file`.
//!
//! `file` creates, opens, checks and locks the file, first on an `overlay`; `table` defines its content;
//! `shared` reads it; `transfer` exports and imports it; `probe` checks whether it can be written.

mod buffer_follower;
mod event_buffer;
mod file;
mod ledger_origin;
mod opened;
mod overlay;
mod plan;
mod probe;
mod queue;
mod shared;
mod table;
#[cfg(test)]
mod tests;
mod transfer;
mod version_file;
mod writer;

/// Synchronization primitives of `queue`.
mod sync {
    pub(super) use std::sync::{Condvar, Mutex, MutexGuard};
}

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
};

use tokio::sync::oneshot;

pub use self::ledger_origin::{LedgerOrigin, OlderLedger};
pub(super) use self::transfer::{parse_export, write_export};
use self::{
    event_buffer::EventBuffer,
    file::OpenedLedger,
    plan::BatchError,
    probe::WriteProbe,
    queue::{Queue, SubmitError},
    shared::{BatchResult, Job, SharedLedger, closed_message},
    writer::{Reopen, Writer},
};
use super::{Cursor, LedgerEvents, NotWritable, OpenError, ReadError, Store, WriteError};
use nadmit_allocation::{Stored, Version, Write};

/// Number of batches that may wait. A group takes a fraction of a millisecond, so many wait only if the
/// disk hangs.
const MAX_QUEUED_BATCHES: usize = 16_384;
/// Largest number of batches in a group.
const MAX_GROUP_BATCHES: usize = 1_024;
/// Number of events that are kept for followers.
const MAX_BUFFERED_EVENTS: usize = 65_536;

/// A ledger in the file `allocations.redb` of a directory. The [module documentation](super) states its
/// guarantees.
///
/// Only one process can have it open. Dropping it closes it, like [`Self::close`].
#[derive(Debug)]
pub struct EmbeddedLedger {
    shared: Arc<SharedLedger>,
    writer: Mutex<Option<JoinHandle<()>>>,
    origin: Arc<LedgerOrigin>,
    probe: WriteProbe,
}

impl EmbeddedLedger {
    /// Opens the ledger of this directory, and creates both (modes 0700 and 0600) if they do not exist.
    /// Blocks while it checks the whole file, which takes milliseconds for thousands of records.
    ///
    /// # Errors
    /// [`OpenError`]: another process has the file open, it is damaged, it lacks acknowledged writes, a
    /// later nadmit wrote it, or it cannot be read and written. The file was left unchanged.
    pub fn open(directory: &Path) -> Result<Self, OpenError> {
        Self::open_with(directory, OlderLedger::Refuse)
    }

    /// Opens the ledger of this directory like [`Self::open`], but treats a ledger that lacks acknowledged
    /// writes as given.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open_with(directory: &Path, older: OlderLedger) -> Result<Self, OpenError> {
        let path = directory.join(file::FILE_NAME);
        let reopened = path.clone();
        let reopen = Box::new(move || file::open_existing(&reopened));
        Self::start(
            &path,
            file::open(directory, older)?,
            reopen,
            MAX_BUFFERED_EVENTS,
        )
    }

    /// Returns the origin of the ledger.
    pub fn origin(&self) -> &LedgerOrigin {
        &self.origin
    }

    /// Checks whether allocations can be recorded. Cheap enough for probes: results are cached for a
    /// second.
    ///
    /// # Errors
    /// [`NotWritable`].
    pub async fn writable(&self) -> Result<(), NotWritable> {
        self.probe.check(&self.shared).await
    }

    fn start(
        path: &Path,
        opened: OpenedLedger,
        reopen: Reopen,
        capacity: usize,
    ) -> Result<Self, OpenError> {
        let OpenedLedger {
            database,
            last,
            origin,
            commit_files,
        } = opened;
        let shared = Arc::new(SharedLedger::new(
            Queue::new(MAX_QUEUED_BATCHES),
            EventBuffer::new(last, capacity),
            database,
        ));
        let origin = Arc::new(origin);
        let commit_files = commit_files.ok_or_else(|| Arc::clone(&origin));
        let opened = commit_files
            .as_ref()
            .map(|commit_files| Arc::clone(&commit_files.opened));
        let probe = WriteProbe::new(path, opened.map_err(Clone::clone));
        let mut writer = Writer::new(Arc::clone(&shared), last, commit_files, reopen);
        let thread = thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || writer.run(MAX_GROUP_BATCHES))
            .map_err(|source| OpenError::File {
                path: path.to_owned(),
                source,
            })?;
        Ok(Self {
            shared,
            writer: Mutex::new(Some(thread)),
            origin,
            probe,
        })
    }

    /// Refuses further writes, commits and acknowledges the queued ones, and closes the file, so that
    /// another process can open it. Afterwards every call returns `Unavailable`, and streams end after
    /// their last event. Closing again has no effect.
    pub async fn close(&self) {
        let thread = self.stop();
        // If the runtime is shutting down, the thread ends by itself.
        let _ = tokio::task::spawn_blocking(move || thread.map(JoinHandle::join)).await;
    }

    fn stop(&self) -> Option<JoinHandle<()>> {
        self.shared.queue.close();
        self.writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Submits a batch to the writer and waits for its result.
    async fn submit(&self, batch: Vec<Write>) -> BatchResult {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let (result, receiver) = oneshot::channel();
        let error = match self.shared.queue.submit(Job { batch, result }) {
            Ok(()) => match receiver.await {
                Ok(result) => return result,
                Err(_) => WriteError::Uncertain {
                    reason: "the writer ended".to_owned(),
                },
            },
            Err(SubmitError::Closed) => WriteError::Unavailable {
                reason: closed_message(),
            },
            Err(SubmitError::Full) => WriteError::Unavailable {
                reason: format!(
                    "{MAX_QUEUED_BATCHES} batches wait for the disk already; try again"
                ),
            },
        };
        Err(BatchError { index: 0, error })
    }
}

impl Drop for EmbeddedLedger {
    fn drop(&mut self) {
        // The next process that opens the file must find it closed. This takes no longer than a commit.
        let _ = self.stop().map(JoinHandle::join);
    }
}

impl Store for EmbeddedLedger {
    async fn write(&self, batch: Vec<Write>) -> Result<Vec<Version>, WriteError> {
        self.submit(batch).await.map_err(|refusal| refusal.error)
    }

    async fn get(&self, record_name: &str) -> Result<Option<Stored>, ReadError> {
        let (shared, name) = (Arc::clone(&self.shared), record_name.to_owned());
        blocking(move || shared.get(&name)).await
    }

    async fn list(&self) -> Result<(Vec<Stored>, Cursor), ReadError> {
        let shared = Arc::clone(&self.shared);
        blocking(move || {
            let (mut records, mut cursor) = (Vec::new(), None);
            shared.scan::<ReadError>(
                |_, at| {
                    cursor = Some(at);
                    Ok(())
                },
                |stored| {
                    records.push(stored);
                    Ok(())
                },
            )?;
            Ok((records, cursor.unwrap_or(Cursor(Version(0)))))
        })
        .await
    }

    fn follow(&self, from: Cursor) -> LedgerEvents {
        buffer_follower::follow(Arc::clone(&self.shared), from)
    }
}

/// Runs a read of the file on a blocking thread.
async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, ReadError> + Send + 'static,
) -> Result<T, ReadError> {
    tokio::task::spawn_blocking(read).await.unwrap_or_else(|_| {
        Err(ReadError::Unavailable {
            reason: closed_message(),
        })
    })
}
