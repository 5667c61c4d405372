//! The writes of everybody, as a watch tells them.
//!
//! A watch ends every few minutes, and whenever the API server likes. It is opened anew from the last
//! version that was seen, be it of an event or of a bookmark, so that nothing is missed. Only where
//! the API server keeps no history that far back is there an end: list anew.

use std::{sync::Arc, time::Duration};

use futures_util::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use kube::api::{DynamicObject, WatchEvent, WatchParams};
use tokio::time::{Instant, sleep, timeout};

use super::{
    Inner,
    request_metrics::RequestVerb,
    object::{StoredObject, version},
};
use crate::{
    api::call::ApiError,
    ledger::{Cursor, LedgerEvent, LedgerEvents, FollowError},
};

/// How much longer than it may last a watch is listened to, before its connection counts as dead.
const WATCH_GRACE: Duration = Duration::from_secs(10);
/// A watch that ends sooner, and told nothing, is none that served.
const MIN_WATCH_DURATION: Duration = Duration::from_secs(5);

type Watch = BoxStream<'static, kube::Result<WatchEvent<DynamicObject>>>;

/// One who follows.
struct RecordFollower {
    inner: Arc<Inner>,
    /// The last version that was seen.
    version: u64,
    watch: Option<Watch>,
    opened: Instant,
    /// Whether the watch told anything.
    received: bool,
    /// The pause before the next one is opened.
    pause: Option<Duration>,
    ended: bool,
}

/// What a message of a watch says.
enum WatchMessage {
    Event(Box<LedgerEvent>),
    /// Nothing for those who follow.
    Ignored,
    /// The history is lost, or an object has become unreadable: list anew.
    Expired,
    /// The watch is over.
    Failed(ApiError),
}

/// The events behind `from`.
pub(super) fn follow(inner: Arc<Inner>, from: Cursor) -> LedgerEvents {
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
                    let longest = self.inner.options.watch + WATCH_GRACE;
                    match timeout(longest, watch.next()).await {
                        Ok(Some(Ok(event))) => self.parse_event(event),
                        Ok(Some(Err(error))) => WatchMessage::Failed(ApiError::of(&error)),
                        // It ended as it should, or its connection is dead.
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
                WatchMessage::Failed(answer) => self.watch_failed(&answer),
            }
        }
    }

    /// Opens a watch behind the last version that was seen.
    async fn open(&mut self) -> WatchMessage {
        if let Some(pause) = self.pause {
            sleep(pause).await;
        }
        let seconds = self.inner.options.watch.as_secs().try_into();
        let params = WatchParams::default().timeout(seconds.unwrap_or(u32::MAX));
        self.inner.counted.asked(RequestVerb::Watch);
        let at = self.version.to_string();
        let asked = self.inner.api.watch(&params, &at);
        let longest = self.inner.options.patience.attempt;
        match timeout(longest, asked).await {
            Ok(Ok(watch)) => {
                self.watch = Some(watch.boxed());
                self.opened = Instant::now();
                self.received = false;
                WatchMessage::Ignored
            }
            Ok(Err(error)) => match ApiError::of(&error) {
                // Without the kind there are no records: whoever lists is told.
                ApiError::Expired(_) | ApiError::NotServed(_) => WatchMessage::Expired,
                answer => WatchMessage::Failed(answer),
            },
            Err(_) => WatchMessage::Failed(ApiError::timed_out(longest)),
        }
    }

    /// The watch has ended.
    fn watch_ended(&mut self) -> WatchMessage {
        self.watch = None;
        if self.received || self.opened.elapsed() >= MIN_WATCH_DURATION {
            self.pause = None;
        } else {
            self.pause = Some(self.next_pause(Duration::ZERO));
        }
        WatchMessage::Ignored
    }

    /// The watch broke, or could not be opened.
    fn watch_failed(&mut self, answer: &ApiError) {
        if self.pause.is_none() {
            let advice = self.inner.advice(RequestVerb::Watch, answer);
            tracing::warn!("allocations are not followed for a while: {advice}");
        }
        self.watch = None;
        self.pause = Some(self.next_pause(answer.retry_after().unwrap_or_default()));
    }

    fn next_pause(&self, least: Duration) -> Duration {
        let first = self.inner.options.patience.initial_backoff;
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
            WatchEvent::Error(status) => match ApiError::of_status(&status) {
                ApiError::Expired(_) | ApiError::NotServed(_) => WatchMessage::Expired,
                answer => WatchMessage::Failed(answer),
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
                self.inner.notice(&found.name, reason);
                self.advance_to(found.version.0);
                // What it was before, nobody can tell any more but a list.
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

    /// Tells an event, unless it was told.
    fn emit(&mut self, event: LedgerEvent) -> WatchMessage {
        if self.advance_to(event.version().0) {
            WatchMessage::Event(Box::new(event))
        } else {
            WatchMessage::Ignored
        }
    }

    /// A version was seen. Whether it is new.
    fn advance_to(&mut self, version: u64) -> bool {
        self.received = true;
        self.pause = None;
        let new = version > self.version;
        self.version = self.version.max(version);
        new
    }
}
