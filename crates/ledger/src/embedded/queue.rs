//! The queue of the group commit: jobs wait here while others are committed, and are committed together.
//!
//! It depends on nothing but a lock, so that its concurrency can be tested exhaustively: the tests compile
//! this file again with shuttle's primitives instead of the standard ones (`super::sync` is either).

use std::{collections::VecDeque, sync::PoisonError};

use super::sync::{Condvar, Mutex, MutexGuard};

/// A bounded queue of jobs for one worker.
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

/// Reason that a job was refused. The job is dropped, and with it the sender of its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SubmitError {
    /// The queue is full.
    Full,
    /// The queue is closed.
    Closed,
}

impl<J> Queue<J> {
    /// Creates a queue in which at most this many jobs wait.
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

    /// Queues a job. A queued job is processed even if its submitter stops waiting.
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

    /// Refuses further jobs; queued jobs are still processed.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Processes the jobs in their order, in groups of at most `largest`, until the queue is closed and
    /// empty. If this returns or panics, the queue is closed and emptied, so that no job waits forever.
    pub(super) fn serve(&self, largest: usize, mut commit: impl FnMut(Vec<J>)) {
        let _end = CloseOnDrop(self);
        while let Some(group) = self.next(largest) {
            commit(group);
        }
    }

    /// Waits for jobs and takes a group; returns `None` when the queue is closed and empty.
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
        // Only code of this file runs under the lock, so the state is valid even after a panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes and empties the queue when the worker ends, also by a panic.
struct CloseOnDrop<'a, J>(&'a Queue<J>);

impl<J> Drop for CloseOnDrop<'_, J> {
    fn drop(&mut self) {
        self.0.close();
        let left = std::mem::take(&mut self.0.lock().waiting);
        drop(left);
    }
}
