//! The contract of every ledger.

use futures_util::stream::BoxStream;

use super::error::{FollowError, ReadError, WriteError};
use nadmit_allocation::{Allocation, Stored, Version, Write};

/// A position in a ledger's history: after the write of that version.
///
/// A cursor is valid only for the ledger that returned it, while that ledger keeps its history. After a
/// restart, list again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor(pub(super) Version);

impl Cursor {
    /// Returns the version of the last write before this position.
    pub fn version(self) -> Version {
        self.0
    }
}

/// A committed write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LedgerEvent {
    /// The record was created or updated to this content.
    Put(Stored),
    /// The record was deleted.
    Deleted {
        /// Last content of the record.
        allocation: Allocation,
        /// Version of the delete.
        version: Version,
    },
}

impl LedgerEvent {
    /// Returns the record that was written or deleted.
    pub fn allocation(&self) -> &Allocation {
        match self {
            Self::Put(stored) => &stored.allocation,
            Self::Deleted { allocation, .. } => allocation,
        }
    }

    /// Returns the version of the write.
    pub fn version(&self) -> Version {
        match self {
            Self::Put(stored) => stored.version,
            Self::Deleted { version, .. } => *version,
        }
    }

    /// Returns the position after this event, from which to follow.
    pub fn cursor(&self) -> Cursor {
        Cursor(self.version())
    }
}

/// Stream of a ledger's writes in the order of their commits. It ends after an error, and after the last
/// event of a closed ledger.
pub type LedgerEvents = BoxStream<'static, Result<LedgerEvent, FollowError>>;

/// A ledger. The [module documentation](super) states its guarantees.
pub trait Store {
    /// Writes a batch, all or none (see the [module documentation](super) for clusters). The batch is
    /// durable when this returns `Ok`.
    ///
    /// Returns one version for each write; for a delete, the version of the deletion. An empty batch
    /// succeeds immediately. Dropping the future does not revert anything.
    ///
    /// # Errors
    /// [`WriteError`]: after `Exists`, `Changed` and `Unavailable`, nothing was written; after `Uncertain`,
    /// the batch may have been.
    fn write(
        &self,
        batch: Vec<Write>,
    ) -> impl Future<Output = Result<Vec<Version>, WriteError>> + Send;

    /// Reads the current record of this name. Every write that was acknowledged before this call is
    /// visible.
    ///
    /// # Errors
    /// [`ReadError`], if the ledger cannot be read.
    fn get(
        &self,
        record_name: &str,
    ) -> impl Future<Output = Result<Option<Stored>, ReadError>> + Send;

    /// Reads a consistent snapshot of all records, sorted by name, and its position in the history.
    ///
    /// # Errors
    /// [`ReadError`], if the ledger cannot be read.
    fn list(&self) -> impl Future<Output = Result<(Vec<Stored>, Cursor), ReadError>> + Send;

    /// Returns every write after `from`, in the order of commits and without gaps.
    fn follow(&self, from: Cursor) -> LedgerEvents;
}
