//! Buffer of the most recent events, for followers.
//!
//! Versions grow by one with each write, so the position of an event in the buffer is a subtraction, and a
//! gap cannot go unnoticed.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::stream;
use tokio::sync::watch;

use super::shared::SharedLedger;
use crate::{Cursor, FollowError, LedgerEvent, LedgerEvents};
use nadmit_allocation::Version;

/// Number of events that a follower takes at once.
const CHUNK_EVENTS: usize = 256;

/// The most recent events of a ledger.
#[derive(Debug)]
pub(super) struct EventBuffer {
    state: Mutex<BufferState>,
    /// Notifies followers of new events. When it is dropped, all streams end.
    changed: watch::Sender<()>,
    /// Number of events that are kept.
    capacity: usize,
}

#[derive(Debug)]
struct BufferState {
    events: VecDeque<LedgerEvent>,
    /// Version of the last event, or of the last write before this process started.
    last: u64,
    closed: bool,
}

/// Events after a version.
enum EventsSince {
    Events(VecDeque<LedgerEvent>),
    UpToDate,
    Closed,
    Expired,
}

impl EventBuffer {
    /// Creates a buffer for the events after version `last`, which keeps at most `most` events.
    pub(super) fn new(last: Version, capacity: usize) -> Self {
        Self {
            state: Mutex::new(BufferState {
                events: VecDeque::new(),
                last: last.0,
                closed: false,
            }),
            changed: watch::Sender::new(()),
            capacity,
        }
    }

    /// Publishes committed events, in their order.
    pub(super) fn publish(&self, events: impl IntoIterator<Item = LedgerEvent>) {
        let mut state = self.lock();
        for event in events {
            if state.events.len() >= self.capacity {
                state.events.pop_front();
            }
            state.last = event.version().0;
            state.events.push_back(event);
        }
        drop(state);
        self.changed.send_replace(());
    }

    /// Ends all streams after their last event.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.send_replace(());
    }

    fn events_since(&self, version: u64) -> EventsSince {
        let state = self.lock();
        let Some(missing) = state.last.checked_sub(version) else {
            return EventsSince::Expired;
        };
        if missing == 0 {
            return if state.closed {
                EventsSince::Closed
            } else {
                EventsSince::UpToDate
            };
        }
        let from = usize::try_from(missing)
            .ok()
            .and_then(|missing| state.events.len().checked_sub(missing));
        match from {
            Some(from) => EventsSince::Events(
                state
                    .events
                    .iter()
                    .skip(from)
                    .take(CHUNK_EVENTS)
                    .cloned()
                    .collect(),
            ),
            None => EventsSince::Expired,
        }
    }

    fn lock(&self) -> MutexGuard<'_, BufferState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// State of a stream of events.
struct BufferFollower {
    shared: Arc<SharedLedger>,
    changed: watch::Receiver<()>,
    pending: VecDeque<LedgerEvent>,
    /// Version of the last delivered event.
    version: u64,
    ended: bool,
}

/// Returns the events after `from`.
pub(super) fn follow(shared: Arc<SharedLedger>, from: Cursor) -> LedgerEvents {
    let follower = BufferFollower {
        changed: shared.events.changed.subscribe(),
        shared,
        pending: VecDeque::new(),
        version: from.version().0,
        ended: false,
    };
    Box::pin(stream::unfold(follower, |mut follower| async move {
        let next = follower.next().await?;
        Some((next, follower))
    }))
}

impl BufferFollower {
    async fn next(&mut self) -> Option<Result<LedgerEvent, FollowError>> {
        loop {
            if self.ended {
                return None;
            }
            if let Some(event) = self.pending.pop_front() {
                self.version = event.version().0;
                return Some(Ok(event));
            }
            // Marked before reading, so that later events wake this task.
            self.changed.mark_unchanged();
            match self.shared.events.events_since(self.version) {
                EventsSince::Events(events) => self.pending = events,
                EventsSince::UpToDate => self.ended = self.changed.changed().await.is_err(),
                EventsSince::Closed => self.ended = true,
                EventsSince::Expired => {
                    self.ended = true;
                    return Some(Err(FollowError::Expired));
                }
            }
        }
    }
}
