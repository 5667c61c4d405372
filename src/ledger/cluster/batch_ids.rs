//! The marks of batches: by them a batch knows what it has created itself.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    allocation::{Version, Write},
    ledger::WriteError,
};

/// How many batches without a known end are remembered. What is forgotten is found by its content,
/// and is the reconciler's if it comes to nothing.
const MAX_UNRESOLVED: usize = 4_096;

/// Gives marks, each once; but a batch whose end is not known gets its own again when it is repeated.
#[derive(Debug, Default)]
pub(super) struct BatchIds {
    next: AtomicU64,
    /// The marks of batches whose end is not known, by their content.
    unresolved: Mutex<HashMap<u64, String>>,
}

/// A batch under its mark.
#[derive(Debug)]
pub(super) struct BatchId {
    pub(super) id: String,
    content: u64,
    /// Whether it was begun before, and its end is not known.
    is_repeated: bool,
}

impl BatchIds {
    /// The mark of a batch that is begun, or repeated.
    pub(super) fn begin(&self, writer: &str, batch: &[Write]) -> BatchId {
        let mut hasher = DefaultHasher::new();
        format!("{batch:?}").hash(&mut hasher);
        let content = hasher.finish();
        let before = self.lock().remove(&content);
        let repeated = before.is_some();
        let mark = before.unwrap_or_else(|| {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            format!("{writer}/{number}")
        });
        BatchId {
            id: mark,
            content,
            is_repeated: repeated,
        }
    }

    /// What to answer of a batch that has ended so. That a repetition wrote nothing does not say what
    /// became of the first.
    ///
    /// # Errors
    /// [`WriteError`], as it ended.
    pub(super) fn end(
        &self,
        marked: BatchId,
        outcome: Result<Vec<Version>, WriteError>,
    ) -> Result<Vec<Version>, WriteError> {
        let reason = match outcome {
            Err(WriteError::Uncertain { reason }) => reason,
            Err(WriteError::Unavailable { reason }) if marked.is_repeated => reason,
            known => return known,
        };
        let mut unsettled = self.lock();
        if unsettled.len() >= MAX_UNRESOLVED {
            unsettled.clear();
        }
        unsettled.insert(marked.content, marked.id);
        Err(WriteError::Uncertain { reason })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, String>> {
        self.unresolved
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
