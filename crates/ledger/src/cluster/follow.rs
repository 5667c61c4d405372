//! Follows the writes of all clients through a watch.
//!
//! A watch ends every few minutes, and whenever the API server ends it. It is reopened from the last
//! version seen, of an event or a bookmark, so that nothing is missed. Only when the API server no longer
//! has the history does the stream end with an error; then list again.

use std::{sync::Arc, time::Duration};

use futures_util::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use kube::api::{DynamicObject, WatchEvent, WatchParams};
use tokio::time::{Instant, sleep, timeout};

use super::{
    ClusterLedgerInner,
    object::{StoredObject, version},
    request_metrics::RequestVerb,
};
use crate::{Cursor, FollowError, LedgerEvent, LedgerEvents};
use nadmit_api::call::ApiError;

/// Time beyond its duration after which a silent watch counts as dead.
const WATCH_GRACE: Duration = Duration::from_secs(10);
/// A watch that ends earlier and without any event counts as failed.
const MIN_WATCH_DURATION: Duration = Duration::from_secs(5);

type Watch = BoxStream<'static, kube::Result<WatchEvent<DynamicObject>>>;

/// State of a stream of events.
struct RecordFollower {
    inner: Arc<ClusterLedgerInner>,
    /// Last version seen.
    version: u64,
    watch: Option<Watch>,
    opened: Instant,
    /// True once the watch has delivered anything.
    received: bool,
    /// Pause before the next watch is opened.
    pause: Option<Duration>,
    ended: bool,
}

/// Meaning of a message of a watch.
enum WatchMessage {
    Event(Box<LedgerEvent>),
    /// Nothing to report.
    Ignored,
    /// The history is no longer available, or a record became unreadable: list again.
    Expired,
    /// The watch failed.
    Failed(ApiError),
}

/// Returns the events after `from`.
pub(super) fn follow(inner: Arc<ClusterLedgerInner>, from: Cursor) -> LedgerEvents {
    let follower = RecordFollower {
        inner,
        version: from.version().0,
        watch: None,
        opened: Instant::now(),
        received: false,
        pause: None,
        ended: false,
    };
    Box::pin(stream::unfold(follower, |mut follower| async move {
        let next = follower.next().await?;
        Some((next, follower))
    }))
}

impl RecordFollower {
    async fn next(&mut self) -> Option<Result<LedgerEvent, FollowError>> {
        if self.ended {
            return None;
        }
        loop {
            let message = match &mut self.watch {
                None => self.open().await,
                Some(watch) => {
                    let longest = self.inner.options.watch_duration + WATCH_GRACE;
                    match timeout(longest, watch.next()).await {
                        Ok(Some(Ok(event))) => self.parse_event(event),
                        Ok(Some(Err(error))) => WatchMessage::Failed(ApiError::from_kube(&error)),
                        // The watch ended normally, or its connection is dead.
                        Ok(None) | Err(_) => self.watch_ended(),
                    }
                }
            };
            match message {
                WatchMessage::Event(event) => return Some(Ok(*event)),
                WatchMessage::Ignored => {}
                WatchMessage::Expired => {
                    self.ended = true;
                    return Some(Err(FollowError::Expired));
                }
                WatchMessage::Failed(error) => self.watch_failed(&error),
            }
        }
    }

    /// Opens a watch after the last version seen.
    async fn open(&mut self) -> WatchMessage {
        if let Some(pause) = self.pause {
            sleep(pause).await;
        }
        let seconds = self.inner.options.watch_duration.as_secs().try_into();
        let params = WatchParams::default().timeout(seconds.unwrap_or(u32::MAX));
        self.inner.counters.count_request(RequestVerb::Watch);
        let at = self.version.to_string();
        let request = self.inner.api.watch(&params, &at);
        let longest = self.inner.options.retry_policy.attempt_timeout;
        match timeout(longest, request).await {
            Ok(Ok(watch)) => {
                self.watch = Some(watch.boxed());
                self.opened = Instant::now();
                self.received = false;
                WatchMessage::Ignored
            }
            Ok(Err(error)) => match ApiError::from_kube(&error) {
                // A missing kind has no records; the next list reports the reason.
                ApiError::Expired(_) | ApiError::NotServed(_) => WatchMessage::Expired,
                error => WatchMessage::Failed(error),
            },
            Err(_) => WatchMessage::Failed(ApiError::timed_out(longest)),
        }
    }

    /// Handles the end of a watch.
    fn watch_ended(&mut self) -> WatchMessage {
        self.watch = None;
        if self.received || self.opened.elapsed() >= MIN_WATCH_DURATION {
            self.pause = None;
        } else {
            self.pause = Some(self.next_pause(Duration::ZERO));
        }
        WatchMessage::Ignored
    }

    /// Handles a watch that broke or could not be opened.
    fn watch_failed(&mut self, error: &ApiError) {
        if self.pause.is_none() {
            let advice = self.inner.advice(RequestVerb::Watch, error);
            tracing::warn!(component = "ledger", error = %advice, "watch of allocations failed");
        }
        self.watch = None;
        self.pause = Some(self.next_pause(error.retry_after().unwrap_or_default()));
    }

    fn next_pause(&self, least: Duration) -> Duration {
        let first = self.inner.options.retry_policy.initial_backoff;
        let next = self.pause.map_or(first, |pause| pause * 2);
        next.min(self.inner.options.max_backoff).max(least)
    }

    fn parse_event(&mut self, event: WatchEvent<DynamicObject>) -> WatchMessage {
        match event {
            WatchEvent::Added(object) => self.record_put(object, true),
            WatchEvent::Modified(object) => self.record_put(object, false),
            WatchEvent::Deleted(object) => self.record_deleted(object),
            WatchEvent::Bookmark(bookmark) => {
                if let Ok(version) = version(&bookmark.metadata.resource_version) {
                    self.advance_to(version.0);
                }
                WatchMessage::Ignored
            }
            WatchEvent::Error(status) => match ApiError::from_status(&status) {
                ApiError::Expired(_) | ApiError::NotServed(_) => WatchMessage::Expired,
                error => WatchMessage::Failed(error),
            },
        }
    }

    fn record_put(&mut self, object: DynamicObject, new: bool) -> WatchMessage {
        let Ok(found) = StoredObject::parse(object) else {
            return WatchMessage::Expired;
        };
        match found.stored() {
            Ok(stored) => self.emit(LedgerEvent::Put(stored)),
            Err(reason) => {
                self.inner.log_unreadable(&found.name, reason);
                self.advance_to(found.version.0);
                // The record that it replaced is unknown; only a list shows the current state.
                if new {
                    WatchMessage::Ignored
                } else {
                    WatchMessage::Expired
                }
            }
        }
    }

    fn record_deleted(&mut self, object: DynamicObject) -> WatchMessage {
        match StoredObject::parse(object) {
            Ok(StoredObject {
                content: Ok(allocation),
                version,
                ..
            }) => self.emit(LedgerEvent::Deleted {
                allocation,
                version,
            }),
            _ => WatchMessage::Expired,
        }
    }

    /// Returns an event as a message, unless it was delivered before.
    fn emit(&mut self, event: LedgerEvent) -> WatchMessage {
        if self.advance_to(event.version().0) {
            WatchMessage::Event(Box::new(event))
        } else {
            WatchMessage::Ignored
        }
    }

    /// Records that a version was seen. Returns whether it is new.
    fn advance_to(&mut self, version: u64) -> bool {
        self.received = true;
        self.pause = None;
        let new = version > self.version;
        self.version = self.version.max(version);
        new
    }
}
