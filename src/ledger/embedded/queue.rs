//! The heart of the group commit: jobs wait here while others are committed, and go on together.
//!
//! Small and free of everything but a lock, so that its concurrency can be tested exhaustively: the
//! tests compile this very file once more, with shuttle's primitives in place of the standard ones
//! (`super::sync` is either).

use std::{collections::VecDeque, sync::PoisonError};

use super::sync::{Condvar, Mutex, MutexGuard};

/// Jobs on their way to one worker.
#[derive(Debug)]
pub(super) struct Queue<J> {
    state: Mutex<QueueState<J>>,
    changed: Condvar,
    capacity: usize,
}

#[derive(Debug)]
struct QueueState<J> {
    waiting: VecDeque<J>,
    closed: bool,
}

/// Why a job was not taken in. It is dropped, and with it what its answer would have come by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SubmitError {
    /// As many wait as may.
    Full,
    /// The queue takes no more.
    Closed,
}

impl<J> Queue<J> {
    /// A queue in which at most this many jobs wait.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            state: Mutex::new(QueueState {
                waiting: VecDeque::new(),
                closed: false,
            }),
            changed: Condvar::new(),
            capacity,
        }
    }

    /// Takes a job in. From then on it is done, whoever waits for it or no longer does.
    pub(super) fn submit(&self, job: J) -> Result<(), SubmitError> {
        let mut state = self.lock();
        if state.closed {
            return Err(SubmitError::Closed);
        }
        if state.waiting.len() >= self.capacity {
            return Err(SubmitError::Full);
        }
        state.waiting.push_back(job);
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// Takes no more jobs in; those that wait are still done.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Does the jobs in their order, in groups of at most `largest`, until the queue is closed and
    /// empty. However it ends, the queue is closed and empty then, and no job waits for ever.
    pub(super) fn serve(&self, largest: usize, mut commit: impl FnMut(Vec<J>)) {
        let _end = CloseOnDrop(self);
        while let Some(group) = self.next(largest) {
            commit(group);
        }
    }

    /// Waits for jobs and takes what is there; nothing when the queue is closed and empty.
    fn next(&self, largest: usize) -> Option<Vec<J>> {
        let mut state = self.lock();
        while state.waiting.is_empty() {
            if state.closed {
                return None;
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let count = state.waiting.len().min(largest);
        Some(state.waiting.drain(..count).collect())
    }

    fn lock(&self) -> MutexGuard<'_, QueueState<J>> {
        // No code of others runs under the lock, so it is whole even after a panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The worker has ended, if need be by a panic.
struct CloseOnDrop<'a, J>(&'a Queue<J>);

impl<J> Drop for CloseOnDrop<'_, J> {
    fn drop(&mut self) {
        self.0.close();
        let left = std::mem::take(&mut self.0.lock().waiting);
        drop(left);
    }
}
