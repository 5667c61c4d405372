//! What every ledger can do.

use futures_util::stream::BoxStream;

use super::error::{FollowError, ReadError, WriteError};
use crate::allocation::{Allocation, Stored, Version, Write};

/// A place in a ledger's history: behind the write of that version.
///
/// It belongs to the ledger that gave it, and lasts as long as that keeps its history in memory:
/// whoever starts anew lists anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor(pub(super) Version);

impl Cursor {
    /// The version of the last write before this place.
    pub fn version(self) -> Version {
        self.0
    }
}

/// One write that was committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LedgerEvent {
    /// The record was created or updated, and is this now.
    Put(Stored),
    /// The record is gone.
    Deleted {
        /// The record as it was last.
        allocation: Allocation,
        /// The version of the delete.
        version: Version,
    },
}

impl LedgerEvent {
    /// The record that it is about.
    pub fn allocation(&self) -> &Allocation {
        match self {
            Self::Put(stored) => &stored.allocation,
            Self::Deleted { allocation, .. } => allocation,
        }
    }

    /// The version of the write.
    pub fn version(&self) -> Version {
        match self {
            Self::Put(stored) => stored.version,
            Self::Deleted { version, .. } => *version,
        }
    }

    /// The place behind it, to follow on from.
    pub fn cursor(&self) -> Cursor {
        Cursor(self.version())
    }
}

/// The writes of a ledger as they are committed. It ends after an error, and when the ledger is
/// closed and everything was told.
pub type LedgerEvents = BoxStream<'static, Result<LedgerEvent, FollowError>>;

/// A ledger. Guarantees: see [the room](super).
pub trait Store {
    /// Writes a batch, all or none (what that means in a cluster says [the room](super)); durable when
    /// it answers `Ok`.
    ///
    /// Answers one version for each write; that of a delete is the version of the deletion. An empty
    /// batch is written at once. A dropped future takes nothing back.
    ///
    /// # Errors
    /// [`WriteError`]: for `Exists`, `Changed` and `Unavailable` nothing was written; for
    /// `Uncertain` it is not known.
    fn write(
        &self,
        batch: Vec<Write>,
    ) -> impl Future<Output = Result<Vec<Version>, WriteError>> + Send;

    /// The record of this name as it is now: every write that was answered before this call is seen.
    ///
    /// # Errors
    /// [`ReadError`], if the ledger cannot be read.
    fn get(
        &self,
        record_name: &str,
    ) -> impl Future<Output = Result<Option<Stored>, ReadError>> + Send;

    /// All records of one moment, by name, and the place in history of that moment.
    ///
    /// # Errors
    /// [`ReadError`], if the ledger cannot be read.
    fn list(&self) -> impl Future<Output = Result<(Vec<Stored>, Cursor), ReadError>> + Send;

    /// Every write behind `from`, in the order of commits, without gaps.
    fn follow(&self, from: Cursor) -> LedgerEvents;
}
