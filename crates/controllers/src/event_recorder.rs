//! Kubernetes Events, as shown by `kubectl describe`.
//!
//! [`EventRecorder`] accepts events without blocking: it skips repeats within [`DEDUP_WINDOW`], and
//! counts and drops what does not fit into the queue. [`EventWriter`] writes them one at a time.
//!
//! kube's `Recorder` cannot write them: it reads the wall clock, gives each attempt another name, so
//! that a retry after a lost response makes a second Event, and patches a series where repeats are
//! skipped here.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1::Event},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Client,
    api::{Api, ObjectMeta, PostParams},
};
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use sha2::{Digest as _, Sha256};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use super::event_sink::{EventSink, EventType, ObjectRef};
use nadmit_api::call::{ApiError, RetryPolicy, call};
use nadmit_cni::text::clipped;
use nadmit_host::clock::Clock;

/// The minimum time between two identical events.
const DEDUP_WINDOW: Duration = Duration::from_secs(600);
const QUEUE_CAPACITY: usize = 256;
/// The maximum number of recent events remembered for deduplication.
const MAX_RECENT: usize = 4_096;
/// The maximum length of a note, in bytes (the API's limit).
const MAX_NOTE_BYTES: usize = 1_024;
/// The maximum length of the object's name within the name of an Event, in bytes.
const MAX_NAME_BYTES: usize = 200;
/// The reporting controller of the Events.
const REPORTING_CONTROLLER: &str = "nadmit.io/nadmit";
/// The namespace of Events about cluster-scoped objects, where `kubectl describe` looks for them.
const CLUSTER_SCOPED_NAMESPACE: &str = "default";

/// Queues events for the [`EventWriter`]. Clones share the queue.
#[derive(Clone)]
pub struct EventRecorder {
    queue: mpsc::Sender<QueuedEvent>,
    shared: Arc<RecorderState>,
}

/// The task that writes the events queued by [`EventRecorder`].
pub struct EventWriter {
    queue: mpsc::Receiver<QueuedEvent>,
    shared: Arc<RecorderState>,
    client: Client,
    instance: String,
    clock: Clock,
    written: u64,
}

/// An event that waits to be written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct QueuedEvent {
    object: ObjectRef,
    event_type: EventType,
    reason: &'static str,
    message: String,
}

#[derive(Debug)]
struct RecorderState {
    /// The events of the last [`DEDUP_WINDOW`], with the time at which each was queued.
    recent: Mutex<BTreeMap<QueuedEvent, Instant>>,
    counts: Family<OutcomeLabels, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: DeliveryOutcome,
}

/// The result of recording an event, as counted in the metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum DeliveryOutcome {
    Written,
    Repeated,
    Dropped,
    Failed,
}

impl DeliveryOutcome {
    const ALL: [Self; 4] = [Self::Written, Self::Repeated, Self::Dropped, Self::Failed];

    fn name(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Repeated => "repeated",
            Self::Dropped => "dropped",
            Self::Failed => "failed",
        }
    }
}

impl EncodeLabelValue for DeliveryOutcome {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        encoder.write_str(self.name())
    }
}

impl EventRecorder {
    /// Returns a recorder for the process `instance`, and the task that writes. Sends no request.
    ///
    /// The writer needs `create` on `events.events.k8s.io` in every namespace.
    pub fn new(client: Client, instance: impl Into<String>, clock: Clock) -> (Self, EventWriter) {
        let (sender, receiver) = mpsc::channel(QUEUE_CAPACITY);
        let shared = Arc::new(RecorderState::new());
        let writer = EventWriter {
            queue: receiver,
            shared: Arc::clone(&shared),
            client,
            instance: instance.into(),
            clock,
            written: 0,
        };
        let events = Self {
            queue: sender,
            shared,
        };
        (events, writer)
    }

    /// Registers a counter of events by outcome.
    pub fn register(&self, registry: &mut Registry) {
        let counts = self.shared.counts.clone();
        registry.register("notices", "Events to be written, by outcome", counts);
    }
}

impl EventSink for EventRecorder {
    fn emit(
        &self,
        object: ObjectRef,
        event_type: EventType,
        reason: &'static str,
        message: String,
    ) {
        let queued = QueuedEvent {
            object,
            event_type,
            reason,
            message,
        };
        if let Err(why) = self.shared.remember(&queued) {
            self.shared.count(why);
        } else if let Err(refused) = self.queue.try_send(queued) {
            self.shared.forget(&refused.into_inner());
            self.shared.count(DeliveryOutcome::Dropped);
        }
    }
}

impl RecorderState {
    /// Returns a state in which each outcome has its counter from the beginning.
    fn new() -> Self {
        let counts = Family::<OutcomeLabels, Counter>::default();
        for outcome in DeliveryOutcome::ALL {
            drop(counts.get_or_create(&OutcomeLabels { outcome }));
        }
        Self {
            recent: Mutex::default(),
            counts,
        }
    }

    /// Remembers an event as queued now. Fails if it is a repeat or the memory is full.
    fn remember(&self, queued: &QueuedEvent) -> Result<(), DeliveryOutcome> {
        let now = Instant::now();
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let is_recent = |since: &Instant| now.duration_since(*since) < DEDUP_WINDOW;
        if recent.get(queued).is_some_and(is_recent) {
            return Err(DeliveryOutcome::Repeated);
        }
        if recent.len() >= MAX_RECENT {
            recent.retain(|_, since| is_recent(since));
        }
        if recent.len() >= MAX_RECENT {
            return Err(DeliveryOutcome::Dropped);
        }
        recent.insert(queued.clone(), now);
        Ok(())
    }

    /// Forgets an event that was not written, so that it is not taken for a repeat.
    fn forget(&self, queued: &QueuedEvent) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.remove(queued);
    }

    fn count(&self, outcome: DeliveryOutcome) {
        self.counts.get_or_create(&OutcomeLabels { outcome }).inc();
    }
}

impl EventWriter {
    /// Writes events until `cancel`. Events still queued then are dropped.
    pub async fn run(mut self, cancel: CancellationToken) {
        loop {
            let next = tokio::select! {
                biased;
                () = cancel.cancelled() => return,
                next = self.queue.recv() => next,
            };
            let Some(queued) = next else { return };
            let written = tokio::select! {
                biased;
                () = cancel.cancelled() => return,
                written = self.write(&queued) => written,
            };
            match written {
                // A retried create finds the object of the first attempt.
                Ok(()) | Err(ApiError::AlreadyExists(_)) => {
                    self.shared.count(DeliveryOutcome::Written)
                }
                Err(error) => {
                    let (kind, name) = (&queued.object.kind, &queued.object.name);
                    tracing::debug!(
                        kind,
                        name,
                        reason = queued.reason,
                        %error,
                        "writing an Event failed"
                    );
                    self.shared.forget(&queued);
                    self.shared.count(DeliveryOutcome::Failed);
                }
            }
        }
    }

    async fn write(&mut self, queued: &QueuedEvent) -> Result<(), ApiError> {
        self.written += 1;
        let event = self.event(queued);
        let namespace = event
            .metadata
            .namespace
            .as_deref()
            .unwrap_or(CLUSTER_SCOPED_NAMESPACE);
        let api: Api<Event> = Api::namespaced(self.client.clone(), namespace);
        let params = PostParams::default();
        call(RetryPolicy::default(), || api.create(&params, &event)).await?;
        Ok(())
    }

    fn event(&self, queued: &QueuedEvent) -> Event {
        let object = &queued.object;
        let now = self.clock.now();
        let namespace = match &*object.namespace {
            "" => CLUSTER_SCOPED_NAMESPACE,
            namespace => namespace,
        };
        let kind = match queued.event_type {
            EventType::Normal => "Normal",
            EventType::Warning => "Warning",
        };
        let unique = format!("{} {} {now} {queued:?}", self.instance, self.written);
        Event {
            metadata: ObjectMeta {
                name: Some(event_name(&object.name, &unique)),
                namespace: Some(namespace.to_owned()),
                ..ObjectMeta::default()
            },
            action: Some("Reconciling".to_owned()),
            event_time: Some(MicroTime(now)),
            note: Some(clipped(&queued.message, MAX_NOTE_BYTES)),
            reason: Some(queued.reason.to_owned()),
            regarding: Some(ObjectReference {
                api_version: Some(object.api_version.to_owned()),
                kind: Some(object.kind.to_owned()),
                name: Some(object.name.clone()),
                namespace: Some(object.namespace.clone()).filter(|name| !name.is_empty()),
                uid: object.uid.clone(),
                ..ObjectReference::default()
            }),
            reporting_controller: Some(REPORTING_CONTROLLER.to_owned()),
            reporting_instance: Some(clipped(&self.instance, 128)),
            type_: Some(kind.to_owned()),
            ..Event::default()
        }
    }
}

/// Returns the name of an Event: the name of its object and a hash of `unique`.
fn event_name(object: &str, unique: &str) -> String {
    let object = object.get(..MAX_NAME_BYTES).unwrap_or(object);
    let mut name = format!("{}.", object.trim_end_matches(['.', '-']));
    for byte in Sha256::digest(unique.as_bytes()).iter().take(8) {
        let _ = write!(name, "{byte:02x}");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_have_the_length_that_the_api_allows() {
        assert_eq!(clipped(&"a".repeat(2_000), MAX_NOTE_BYTES).len(), 1_024);
    }

    #[test]
    fn event_names_contain_the_object_and_are_unique() {
        assert_eq!(event_name("storage", "a"), "storage.ca978112ca1bbdca");
        assert_ne!(event_name("storage", "a"), event_name("storage", "b"));
        assert!(event_name(&"a".repeat(253), "a").len() <= 253);
    }
}
