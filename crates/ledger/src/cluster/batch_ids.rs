//! Batch IDs: by its ID a batch recognizes the objects that it has created.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::WriteError;
use nadmit_allocation::{Version, Write};

/// Number of remembered batches with an unknown outcome. The records of a forgotten batch are recognized by
/// their content, or released by the reconciler.
const MAX_UNRESOLVED: usize = 4_096;

/// Issues unique batch IDs. A repeated batch whose outcome is unknown gets the same ID again.
#[derive(Debug, Default)]
pub(super) struct BatchIds {
    next: AtomicU64,
    /// IDs of batches with an unknown outcome, by a hash of their content.
    unresolved: Mutex<HashMap<u64, String>>,
}

/// ID of a batch that is being written.
#[derive(Debug)]
pub(super) struct BatchId {
    pub(super) id: String,
    content: u64,
    /// True if an earlier attempt has an unknown outcome.
    is_repeated: bool,
}

impl BatchIds {
    /// Returns the ID of a batch that begins or is repeated.
    pub(super) fn begin(&self, writer: &str, batch: &[Write]) -> BatchId {
        let mut hasher = DefaultHasher::new();
        format!("{batch:?}").hash(&mut hasher);
        let content = hasher.finish();
        let before = self.lock().remove(&content);
        let is_repeated = before.is_some();
        let id = before.unwrap_or_else(|| {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            format!("{writer}/{number}")
        });
        BatchId {
            id,
            content,
            is_repeated,
        }
    }

    /// Returns the outcome of a batch. A repetition that wrote nothing is `Uncertain`, too, because it
    /// proves nothing about the first attempt.
    ///
    /// # Errors
    /// The [`WriteError`] of the batch.
    pub(super) fn end(
        &self,
        batch: BatchId,
        outcome: Result<Vec<Version>, WriteError>,
    ) -> Result<Vec<Version>, WriteError> {
        let reason = match outcome {
            Err(WriteError::Uncertain { reason }) => reason,
            Err(WriteError::Unavailable { reason }) if batch.is_repeated => reason,
            known => return known,
        };
        let mut unresolved = self.lock();
        if unresolved.len() >= MAX_UNRESOLVED {
            unresolved.clear();
        }
        unresolved.insert(batch.content, batch.id);
        Err(WriteError::Uncertain { reason })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, String>> {
        self.unresolved
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
