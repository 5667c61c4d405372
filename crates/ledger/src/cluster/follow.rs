//! Follows the writes of all clients through a watch.

use std::sync::Arc;

use super::{ClusterLedgerInner, object::StoredObject, request_metrics::RequestVerb};
use crate::{
    Cursor, LedgerEvent, LedgerEvents,
    follow::{EventReader, WatchMessage, follow},
};
use nadmit_api::{
    call::ApiError,
    watch::{Event, Object, Watch, WatchOptions},
};

/// Returns the events after `from`.
pub(super) fn events(inner: Arc<ClusterLedgerInner>, from: Cursor) -> LedgerEvents {
    let options = WatchOptions {
        duration: inner.options.watch_duration,
        open_timeout: inner.options.retry_policy.attempt_timeout,
        initial_backoff: inner.options.retry_policy.initial_backoff,
        max_backoff: inner.options.max_backoff,
        name: None,
    };
    let watch = Watch::new(inner.list_watch.clone(), options, from.version().0);
    follow(watch, inner)
}

impl EventReader for Arc<ClusterLedgerInner> {
    type Event = LedgerEvent;

    fn requested(&self) {
        self.counters.count_request(RequestVerb::Watch);
    }

    fn failed(&self, error: &ApiError) {
        let advice = self.advice(RequestVerb::Watch, error);
        tracing::warn!(component = "ledger", error = %advice, "watch of allocations failed");
    }

    fn read(&self, event: Event) -> WatchMessage<LedgerEvent> {
        match event {
            // Nothing was recorded in its place.
            Event::Added(object) => self.record(object, WatchMessage::Ignored),
            // The record that it replaced is unknown.
            Event::Modified(object) => self.record(object, WatchMessage::Expired),
            Event::Deleted(object) => {
                let StoredObject {
                    content, version, ..
                } = StoredObject::read(object);
                content.map_or(WatchMessage::Expired, |allocation| {
                    WatchMessage::Event(LedgerEvent::Deleted {
                        allocation,
                        version,
                    })
                })
            }
            _ => WatchMessage::Ignored,
        }
    }
}

impl ClusterLedgerInner {
    /// Reads a written record; `if_unreadable` is the meaning of an object that is not a record.
    fn record(
        &self,
        object: Object,
        if_unreadable: WatchMessage<LedgerEvent>,
    ) -> WatchMessage<LedgerEvent> {
        let found = StoredObject::read(object);
        match found.stored() {
            Ok(stored) => WatchMessage::Event(LedgerEvent::Put(stored)),
            Err(reason) => {
                self.log_unreadable(&found.name, reason);
                if_unreadable
            }
        }
    }
}
