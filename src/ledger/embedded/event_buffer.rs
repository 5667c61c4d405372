//! The recent history, for those who follow.
//!
//! Versions grow by one with each write, so the place of an event among those that are kept is a
//! subtraction, and a gap cannot go unnoticed.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::stream;
use tokio::sync::watch;

use super::shared::SharedLedger;
use crate::{
    allocation::Version,
    ledger::{Cursor, FollowError, LedgerEvent, LedgerEvents},
};

/// How many events a follower takes at once.
const CHUNK_EVENTS: usize = 256;

/// The recent history of a ledger.
#[derive(Debug)]
pub(super) struct EventBuffer {
    state: Mutex<BufferState>,
    /// Changes when there is more to tell; its end is the end of all streams.
    changed: watch::Sender<()>,
    /// How many events are kept.
    capacity: usize,
}

#[derive(Debug)]
struct BufferState {
    events: VecDeque<LedgerEvent>,
    /// The version of the last event, or of the last before this process.
    last: u64,
    closed: bool,
}

/// What comes behind a place.
enum EventsSince {
    Events(VecDeque<LedgerEvent>),
    UpToDate,
    Closed,
    Expired,
}

impl EventBuffer {
    /// A history that begins behind the write of version `last` and keeps this many events.
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

    /// Tells what was committed, in its order.
    pub(super) fn publish(&self, events: impl IntoIterator<Item = LedgerEvent>) {
        let mut kept = self.lock();
        for event in events {
            if kept.events.len() >= self.capacity {
                kept.events.pop_front();
            }
            kept.last = event.version().0;
            kept.events.push_back(event);
        }
        drop(kept);
        self.changed.send_replace(());
    }

    /// Nothing more will be told.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.send_replace(());
    }

    fn events_since(&self, version: u64) -> EventsSince {
        let kept = self.lock();
        let Some(missing) = kept.last.checked_sub(version) else {
            return EventsSince::Expired;
        };
        if missing == 0 {
            return if kept.closed {
                EventsSince::Closed
            } else {
                EventsSince::UpToDate
            };
        }
        let from = usize::try_from(missing)
            .ok()
            .and_then(|missing| kept.events.len().checked_sub(missing));
        match from {
            Some(from) => EventsSince::Events(
                kept.events
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

/// One who follows.
struct BufferFollower {
    shared: Arc<SharedLedger>,
    changed: watch::Receiver<()>,
    pending: VecDeque<LedgerEvent>,
    /// The version of the last event that was taken.
    version: u64,
    ended: bool,
}

/// The events behind `from`.
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
            // Seen before looking: what comes afterwards wakes.
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
