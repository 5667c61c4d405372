//! Failed reads and writes of a pass.

use std::sync::Arc;

use thiserror::Error;

use crate::PatchError;
use nadmit_catalog::{LiveRead, LiveReadError};
use nadmit_ledger::{CommitError, ReadError, WriteError};

/// A failed read or write of a pass.
#[derive(Debug, Error)]
pub enum ReconcileError {
    /// The records or the slices cannot be listed.
    #[error(transparent)]
    List(#[from] ReadError),
    /// An object of the cluster cannot be read.
    #[error("{read}: {source}")]
    LiveRead {
        /// The object.
        read: LiveRead,
        /// The reason, which several objects may share.
        source: Arc<LiveReadError>,
    },
    /// An idle slice cannot be deleted.
    #[error(transparent)]
    SliceRelease(WriteError),
    /// A pod cannot be given its addresses.
    #[error("pod {namespace}/{name}: {source}")]
    Backfill {
        /// The pod's namespace.
        namespace: Box<str>,
        /// The pod's name.
        name: Box<str>,
        /// The reason.
        source: BackfillError,
    },
}

impl ReconcileError {
    /// Returns true if another error says the same: an object that failed to be read, once for each of the
    /// steps of a pass that read it, counts once.
    pub(super) fn repeats(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::List(one), Self::List(other)) => one == other,
            (Self::LiveRead { read: one, .. }, Self::LiveRead { read: other, .. }) => one == other,
            (Self::SliceRelease(one), Self::SliceRelease(other)) => one == other,
            // Each pod is tried once in a pass.
            _ => false,
        }
    }
}

/// The reason why a pod cannot be given its addresses now.
#[derive(Debug, Error)]
pub enum BackfillError {
    /// Another writer is recording the pod's addresses.
    #[error("another replica is recording the pod's addresses")]
    Busy,
    /// Other writers were faster in every attempt.
    #[error("other writers changed the records first, in every attempt")]
    Outpaced,
    /// The state that the injection depends on cannot be read.
    #[error(transparent)]
    LiveRead(LiveReadError),
    /// This replica does not record slices.
    #[error("this replica does not record node slices")]
    NoSlices,
    /// The node's slice cannot be recorded.
    #[error(transparent)]
    Claim(#[from] WriteError),
    /// The addresses cannot be recorded.
    #[error(transparent)]
    Commit(CommitError),
    /// The pod cannot be patched.
    #[error(transparent)]
    Patch(PatchError),
}
