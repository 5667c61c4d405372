//! The ledger in a file of the data directory, on redb.
//!
//! A write goes through these files in this order:
//!
//! 1. [`EmbeddedLedger::write`](crate::ledger::Store::write) puts it into the `queue`, and waits.
//! 2. The `writer`, one thread, takes all that waits and has `plan` work out what each batch does.
//! 3. One transaction of the group is committed: one wait for the disk, however many wait for it.
//!    What comes meanwhile is the next group.
//! 4. The `feed` tells the followers; then the answers go out.
//!
//! Before a commit the writer checks that the path still leads to the file that is `opened`; after
//! it, and before anything is told, the `version_file` is made to say the new version.
//!
//! `file` makes, opens, checks and locks the file, at first on an `overlay`; `table` says what lies in
//! it; `shared` reads it; `transfer` exports and imports it; `probe` finds out whether it can be
//! written.

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

/// The primitives of `queue`.
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
    shared::{SharedLedger, closed_message},
    writer::{BatchResult, Job, Reopen, Writer},
};
use super::{Cursor, LedgerEvents, NotWritable, OpenError, ReadError, Store, WriteError};
use crate::allocation::{Stored, Version, Write};

/// How many batches may wait; a group takes a fraction of a millisecond, so that many wait only
/// where the disk stands still.
const MAX_QUEUED_BATCHES: usize = 16_384;
/// How many batches are committed together at most.
const MAX_GROUP_BATCHES: usize = 1_024;
/// How many events are kept for those who follow.
const MAX_BUFFERED_EVENTS: usize = 65_536;

/// A ledger in the file `allocations.redb` of a directory. Guarantees: see [the room](super).
///
/// One process has it at a time. Dropping it closes it, as [`Self::close`] does.
#[derive(Debug)]
pub struct EmbeddedLedger {
    shared: Arc<SharedLedger>,
    writer: Mutex<Option<JoinHandle<()>>>,
    origin: LedgerOrigin,
    probe: WriteProbe,
}

impl EmbeddedLedger {
    /// Opens the ledger of this directory, and makes both (0700, 0600) if they are not there. Blocks
    /// while it checks the whole file, which takes milliseconds for thousands of records.
    ///
    /// # Errors
    /// [`OpenError`]: another process has it, it is damaged, it is older than what was acknowledged, a
    /// later nadmit wrote it, or it cannot be read and written. The file was left as it is.
    pub fn open(directory: &Path) -> Result<Self, OpenError> {
        Self::open_with(directory, OlderLedger::Refuse)
    }

    /// Opens the ledger of this directory as [`Self::open`] does, but for an older one.
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

    /// How the ledger came to be as it is.
    pub fn origin(&self) -> &LedgerOrigin {
        &self.origin
    }

    /// Finds out whether allocations can be recorded. Cheap: a look at the path each time, a small
    /// file in the directory every few seconds.
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
        history: usize,
    ) -> Result<Self, OpenError> {
        let OpenedLedger {
            database,
            last,
            origin,
            beside,
        } = opened;
        let shared = Arc::new(SharedLedger::new(
            Queue::new(MAX_QUEUED_BATCHES),
            EventBuffer::new(last, history),
            database,
        ));
        let beside = beside.ok_or_else(|| origin.to_string());
        let opened = beside.as_ref().map(|beside| Arc::clone(&beside.opened));
        let probe = WriteProbe::new(path, opened.map_err(Clone::clone));
        let mut writer = Writer::new(Arc::clone(&shared), last, beside, reopen);
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

    /// Takes no more writes, commits and answers those that wait, and closes the file, so that
    /// another process may have it. Then every call is answered `Unavailable`, and streams end when
    /// they have told everything. Closing again does nothing.
    pub async fn close(&self) {
        let thread = self.stop();
        // If the runtime is going down, the thread ends by itself.
        let _ = tokio::task::spawn_blocking(move || thread.map(JoinHandle::join)).await;
    }

    fn stop(&self) -> Option<JoinHandle<()>> {
        self.shared.queue.close();
        self.writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Hands a batch to the writer and waits for its answer.
    async fn submit(&self, batch: Vec<Write>) -> BatchResult {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let (answer, answered) = oneshot::channel();
        let error = match self.shared.queue.submit(Job { batch, answer }) {
            Ok(()) => match answered.await {
                Ok(answer) => return answer,
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
        // Whoever opens the file next is to find it closed. It takes no longer than a commit.
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
        event_buffer::follow(Arc::clone(&self.shared), from)
    }
}

/// Runs what reads the file where it may block.
async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, ReadError> + Send + 'static,
) -> Result<T, ReadError> {
    tokio::task::spawn_blocking(read).await.unwrap_or_else(|_| {
        Err(ReadError::Unavailable {
            reason: closed_message(),
        })
    })
}
