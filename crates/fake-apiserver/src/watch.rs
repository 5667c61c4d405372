//! Watches: the events since a revision, then new events, with bookmarks and an end.

use std::{collections::VecDeque, io, sync::Arc, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::Response;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use super::{
    ServerState,
    faults::FaultAction,
    notify::Subscription,
    read::shown,
    resource_request::ResourceRequest,
    response::{ApiStatus, streamed},
    selectors::ObjectSelector,
    store::{ResourceTable, StoreEvent},
};

/// The annotation of the bookmark after the initial events.
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// The bookmark before the end comes this much earlier, unless the watch is too short for one.
const BOOKMARK_BEFORE_END: Duration = Duration::from_secs(2);
const FIRST_BOOKMARK: Duration = Duration::from_secs(1);

struct Watcher {
    shared: Arc<ServerState>,
    request: ResourceRequest,
    table: String,
    selector: ObjectSelector,
    /// The revision up to which events were sent.
    sent_revision: u64,
    ready: VecDeque<Bytes>,
    ended: bool,
    lag: Duration,
    deadline: Option<Instant>,
    dropped_at: Option<Instant>,
    bookmarks: VecDeque<Instant>,
    /// The number of times that the watches of this resource, and of this client, had been dropped.
    drops: (u64, u64),
    changed: Subscription,
}

impl ServerState {
    pub(super) fn watch(
        self: &Arc<Self>,
        request: ResourceRequest,
        action: &FaultAction,
    ) -> Result<Response<Body>, ApiStatus> {
        let mut watcher = Watcher::begin(Arc::clone(self), request, action)?;
        watcher.first()?;
        let body = stream::unfold(watcher, |mut watcher| async move {
            let next = watcher.next().await?;
            Some((next, watcher))
        });
        Ok(streamed(Body::from_stream(body)))
    }
}

impl Watcher {
    fn begin(
        shared: Arc<ServerState>,
        request: ResourceRequest,
        action: &FaultAction,
    ) -> Result<Self, ApiStatus> {
        let now = Instant::now();
        let state = shared.state();
        let table = state.table(&request)?;
        let seconds = request.query("timeoutSeconds").and_then(|s| s.parse().ok());
        let timeout = seconds.filter(|s| *s > 0).map(Duration::from_secs);
        let mut bookmarks = VecDeque::new();
        if request.is_true("allowWatchBookmarks") {
            let end = timeout.and_then(|timeout| timeout.checked_sub(BOOKMARK_BEFORE_END));
            let end = end.filter(|end| *end > FIRST_BOOKMARK);
            let every = shared.bookmark_every;
            let times = (1..).map_while(|n| every.checked_mul(n));
            let most = end.or(timeout).unwrap_or(Duration::from_secs(86_400));
            let periodic = times.take_while(|at| *at < most && !every.is_zero());
            bookmarks.extend(periodic.chain(end).map(|at| now + at));
        }
        Ok(Self {
            table: request.qualified(),
            selector: ObjectSelector::of(&request, &table.kind)?,
            sent_revision: 0,
            ready: VecDeque::new(),
            ended: false,
            lag: action.lag,
            deadline: timeout.map(|timeout| now + timeout),
            dropped_at: action.drop_after.map(|after| now + after),
            bookmarks,
            drops: (table.drops, shared.drops_of(&request.client)),
            changed: table.notifier.listen(),
            request,
            shared: {
                drop(state);
                shared
            },
        })
    }

    /// Queues the initial events.
    fn first(&mut self) -> Result<(), ApiStatus> {
        let shared = Arc::clone(&self.shared);
        let state = shared.state();
        let table = state.table(&self.request)?;
        let request = self.request.query("resourceVersion").unwrap_or_default();
        let since: u64 = match request {
            "" => 0,
            text => text
                .parse()
                .map_err(|_| ApiStatus::bad_request("invalid resource version"))?,
        };
        let streams = self.request.is_true("sendInitialEvents");
        let without = self.request.query("sendInitialEvents") == Some("false");
        if !streams && since > 0 {
            self.sent_revision = since;
            if since < table.since {
                self.too_old(since, table);
            }
            return Ok(());
        }
        self.sent_revision = table.seen(self.lag()).unwrap_or(state.revision);
        if !without {
            let objects = table.at(self.sent_revision);
            for object in objects
                .values()
                .filter(|object| self.selector.wants(object))
            {
                let line = self.line("ADDED", object);
                self.ready.push_back(line);
            }
        }
        if streams && self.request.is_true("allowWatchBookmarks") {
            let bookmark = self.bookmark(table, json!({INITIAL_EVENTS_END: "true"}));
            self.ready.push_back(bookmark);
        }
        Ok(())
    }

    /// Returns the next event; `None` at the end.
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Some(Ok(line));
            }
            if self.ended {
                return None;
            }
            let due = match self.gather() {
                Gathered::Lines => continue,
                Gathered::Nothing { due } => due,
                Gathered::Dropped => {
                    self.ended = true;
                    return Some(Err(io::ErrorKind::ConnectionReset.into()));
                }
            };
            let times = [
                due,
                self.deadline,
                self.dropped_at,
                self.bookmarks.front().copied(),
            ];
            let wake = times.into_iter().flatten().min();
            tokio::select! {
                biased;
                () = self.changed.wait() => {}
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
            }
        }
    }

    /// Collects the events to send now.
    fn gather(&mut self) -> Gathered {
        let now = Instant::now();
        let shared = Arc::clone(&self.shared);
        self.changed.try_wait();
        let state = shared.state();
        let Some(table) = state.tables.get(&self.table) else {
            self.ended = true;
            return Gathered::Lines;
        };
        let drops = (table.drops, shared.drops_of(&self.request.client));
        if drops != self.drops || self.dropped_at.is_some_and(|at| at <= now) {
            return Gathered::Dropped;
        }
        if self.sent_revision < table.forgotten {
            self.too_old(self.sent_revision, table);
            return Gathered::Lines;
        }
        let lag = self.lag();
        let mut due = None;
        for event in table.after(self.sent_revision) {
            if !lag.is_zero() && event.at + lag > now {
                due = Some(event.at + lag);
                break;
            }
            self.sent_revision = event.revision;
            if let Some(line) = self.event(event) {
                self.ready.push_back(line);
            }
        }
        if due.is_none() {
            self.sent_revision = self.sent_revision.max(state.revision);
        }
        while self.bookmarks.pop_front_if(|at| *at <= now).is_some() {
            let bookmark = self.bookmark(table, Value::Null);
            self.ready.push_back(bookmark);
        }
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.ended = true;
        }
        if self.ready.is_empty() && !self.ended {
            return Gathered::Nothing { due };
        }
        Gathered::Lines
    }

    fn lag(&self) -> Duration {
        self.lag.max(self.shared.lag_of(&self.request.client))
    }

    /// Returns an event as this watch sees it: an object entering its selection is added, one
    /// leaving it is deleted.
    fn event(&self, event: &StoreEvent) -> Option<Bytes> {
        let wants = |object: &Value| self.selector.wants(object);
        let before = event.old.as_deref().is_some_and(wants);
        let after = !event.deleted && wants(&event.new);
        match (before, after) {
            (false, false) => None,
            (false, true) => Some(self.line("ADDED", &event.new)),
            (true, true) => Some(self.line("MODIFIED", &event.new)),
            (true, false) => {
                let mut last = event.old.as_deref()?.clone();
                last["metadata"]["resourceVersion"] = Value::from(event.revision.to_string());
                Some(self.line("DELETED", &last))
            }
        }
    }

    fn too_old(&mut self, since: u64, table: &ResourceTable) {
        let message = format!("too old resource version: {since} ({})", table.since);
        let status = ApiStatus::expired(&message).status();
        self.ready.push_back(line("ERROR", &status));
        self.ended = true;
    }

    fn bookmark(&self, table: &ResourceTable, annotations: Value) -> Bytes {
        let mut object = json!({
            "apiVersion": table.kind.api_version(), "kind": table.kind.kind,
            "metadata": {"resourceVersion": self.sent_revision.to_string()},
        });
        if annotations.is_object() {
            object["metadata"]["annotations"] = annotations;
        }
        self.line("BOOKMARK", &object)
    }

    fn line(&self, what: &str, object: &Value) -> Bytes {
        line(what, &shown(object, &self.request))
    }
}

enum Gathered {
    /// Events are queued, or the end is reached.
    Lines,
    /// A delayed event is due at a time.
    Nothing {
        due: Option<Instant>,
    },
    Dropped,
}

fn line(what: &str, object: &Value) -> Bytes {
    format!("{{\"type\":\"{what}\",\"object\":{object}}}\n").into()
}
