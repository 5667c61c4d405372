//! The events of one kind, across watches that end and break.

use std::time::Duration;

use futures_util::{AsyncBufReadExt as _, StreamExt as _, stream::BoxStream};
use kube::{api::WatchParams, core::Status};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep, timeout};

use super::{ListWatch, Object, backoff::Backoff, name_selector, page};
use crate::call::ApiError;

/// The time beyond its duration after which a silent watch counts as dead: bookmarks come every minute,
/// and the API server would have ended it.
const IDLE_GRACE: Duration = Duration::from_secs(5);
/// The minimum duration of a watch; one that ends sooner without an event counts as failed.
const MIN_WATCH_TIME: Duration = Duration::from_secs(1);

/// The options of a [`Watch`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchOptions {
    /// The duration of one watch, after which the API server ends it; less than 295 s.
    pub duration: Duration,
    /// The timeout of opening a watch.
    pub open_timeout: Duration,
    /// The pause after the first failure; each further pause is twice as long.
    pub initial_backoff: Duration,
    /// The maximum pause.
    pub max_backoff: Duration,
    /// The only name to watch.
    pub name: Option<String>,
}

/// An event of a [`Watch`].
#[derive(Debug)]
pub enum Event {
    /// A watch was opened.
    Opened,
    /// An object was created.
    Added(Object),
    /// An object was changed.
    Modified(Object),
    /// An object was deleted.
    Deleted(Object),
    /// Everything up to this revision was delivered.
    Bookmark(u64),
    /// The watch ended or its connection broke; the next call opens another where it stopped.
    Closed,
    /// The watch failed; the next call waits and opens another.
    Failed(ApiError),
    /// The history is no longer kept, or the kind is not served: list again, and [start](Watch::start) from
    /// there.
    Relist(ApiError),
}

/// The events of one kind from a revision on, each once.
pub struct Watch {
    list_watch: ListWatch,
    params: WatchParams,
    open_timeout: Duration,
    idle_timeout: Duration,
    backoff: Backoff,
    /// The last revision that was delivered.
    position: u64,
    state: WatchState,
}

enum WatchState {
    Closed,
    /// Failed; with the server's `Retry-After`.
    Failed(Option<Duration>),
    Open(OpenWatch),
}

struct OpenWatch {
    lines: BoxStream<'static, std::io::Result<String>>,
    since: Instant,
    /// True once the watch has delivered anything.
    received: bool,
}

/// A line of a watch.
#[derive(Deserialize)]
struct WatchLine<'t> {
    #[serde(rename = "type")]
    event_type: &'t str,
    #[serde(borrow)]
    object: &'t RawValue,
}

impl Watch {
    /// Creates a watch of everything after a revision. Sends no request.
    pub fn new(list_watch: ListWatch, options: WatchOptions, position: u64) -> Self {
        let seconds = u32::try_from(options.duration.as_secs()).unwrap_or(u32::MAX);
        let fields = options.name.as_deref().map(name_selector);
        Self {
            list_watch,
            params: WatchParams {
                field_selector: fields,
                ..WatchParams::default().timeout(seconds)
            },
            open_timeout: options.open_timeout,
            idle_timeout: options.duration + IDLE_GRACE,
            backoff: Backoff::new(options.initial_backoff, options.max_backoff),
            position,
            state: WatchState::Closed,
        }
    }

    /// Starts again after the revision of a list.
    pub fn start(&mut self, position: u64) {
        self.position = position;
        self.state = WatchState::Closed;
    }

    /// Returns true while a watch is open. If not, [`Self::next`] sends one request.
    pub fn is_open(&self) -> bool {
        matches!(self.state, WatchState::Open(_))
    }

    /// Waits before another attempt, longer after each failure, at least as long as the server requested.
    pub async fn pause(&mut self, requested: Option<Duration>) {
        sleep(self.backoff.next(requested)).await;
    }

    /// Returns the next event. To be called until it is [`Event::Relist`], and again after
    /// [`Self::start`].
    pub async fn next(&mut self) -> Event {
        loop {
            let open = match &mut self.state {
                WatchState::Open(open) => open,
                WatchState::Closed => return self.open().await,
                WatchState::Failed(retry_after) => {
                    let retry_after = *retry_after;
                    self.pause(retry_after).await;
                    return self.open().await;
                }
            };
            match timeout(self.idle_timeout, open.lines.next()).await {
                Ok(Some(Ok(line))) if line.trim().is_empty() => {}
                Ok(Some(Ok(line))) => {
                    if let Some(event) = self.receive(&line) {
                        return event;
                    }
                }
                // However it ends, the next watch continues where this one stopped.
                Ok(Some(Err(_)) | None) | Err(_) => return self.close(),
            }
        }
    }

    async fn open(&mut self) -> Event {
        let client = &self.list_watch.client;
        let request = self.list_watch.watch_request(&self.params, self.position);
        let opened = match request {
            Ok(request) => timeout(self.open_timeout, client.request_stream(request)).await,
            Err(error) => Ok(Err(error)),
        };
        match opened {
            Ok(Ok(stream)) => {
                self.state = WatchState::Open(OpenWatch {
                    lines: stream.lines().boxed(),
                    since: Instant::now(),
                    received: false,
                });
                Event::Opened
            }
            Ok(Err(error)) => self.fail(ApiError::from_kube(&error)),
            Err(_) => self.fail(ApiError::timed_out(self.open_timeout)),
        }
    }

    fn close(&mut self) -> Event {
        let too_soon = match &self.state {
            WatchState::Open(open) => !open.received && open.since.elapsed() < MIN_WATCH_TIME,
            WatchState::Closed | WatchState::Failed(_) => true,
        };
        self.state = if too_soon {
            WatchState::Failed(None)
        } else {
            self.backoff.reset();
            WatchState::Closed
        };
        Event::Closed
    }

    fn fail(&mut self, error: ApiError) -> Event {
        self.state = WatchState::Failed(error.retry_after());
        match error {
            ApiError::Expired(_) | ApiError::NotServed(_) => Event::Relist(error),
            error => Event::Failed(error),
        }
    }

    /// Returns the event of a line, unless it was delivered before.
    fn receive(&mut self, line: &str) -> Option<Event> {
        let (event, revision) = match parse(line) {
            Ok(parsed) => parsed,
            // The connection broke within the line.
            Err(LineError::Incomplete) => return Some(self.close()),
            Err(LineError::Failed(error)) => return Some(self.fail(error)),
        };
        if let WatchState::Open(open) = &mut self.state {
            open.received = true;
        }
        self.backoff.reset();
        let is_new = revision > self.position;
        self.position = self.position.max(revision);
        (is_new || matches!(event, Event::Bookmark(_))).then_some(event)
    }
}

/// A line that is no event.
enum LineError {
    Incomplete,
    Failed(ApiError),
}

impl From<ApiError> for LineError {
    fn from(error: ApiError) -> Self {
        Self::Failed(error)
    }
}

/// Parses a line into an event and its revision.
fn parse(line: &str) -> Result<(Event, u64), LineError> {
    let line: WatchLine<'_> = serde_json::from_str(line).map_err(|error| match error {
        error if error.is_eof() => LineError::Incomplete,
        error => LineError::Failed(ApiError::unreadable(error)),
    })?;
    let make = match line.event_type {
        "ERROR" => {
            let status: Status =
                serde_json::from_str(line.object.get()).map_err(ApiError::unreadable)?;
            return Err(ApiError::from_status(&status).into());
        }
        "BOOKMARK" => {
            let revision = page::bookmark(line.object)?;
            return Ok((Event::Bookmark(revision), revision));
        }
        "ADDED" => Event::Added,
        "DELETED" => Event::Deleted,
        _ => Event::Modified,
    };
    let object = Object::new(line.object.to_owned())?;
    let revision = object.revision;
    Ok((make(object), revision))
}
