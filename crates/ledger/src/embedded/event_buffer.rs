//! Buffer of the most recent events, for followers.
//!
//! Versions grow by one with each write, so the position of an event in the buffer is a subtraction, and a
//! gap cannot go unnoticed.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use crate::LedgerEvent;
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
pub(super) enum EventsSince {
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

    pub(super) fn events_since(&self, version: u64) -> EventsSince {
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

    /// Returns a receiver that is notified of new events, and closed with the buffer.
    pub(super) fn subscribe(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, BufferState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
