//! A stream of the events in the buffer.

use std::{collections::VecDeque, sync::Arc};

use futures_util::stream;
use tokio::sync::watch;

use super::{event_buffer::EventsSince, shared::SharedLedger};
use crate::{Cursor, FollowError, LedgerEvent, LedgerEvents};

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
        changed: shared.events.subscribe(),
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
