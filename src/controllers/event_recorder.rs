//! Kubernetes Events: what is worth telling, where `kubectl describe` shows it.
//!
//! [`Events`] takes notices and never waits: what has been told lately is passed over, and what the
//! queue has no room for is counted and dropped. [`EventWriter`] writes them one after the other.
//! kube's own recorder writes by the wall clock and repeats by itself; this one runs in tokio's time.

use std::{
    collections::BTreeMap,
    fmt::{Error as FmtError, Write as _},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
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
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::counter::ConstCounter,
};
use sha2::{Digest as _, Sha256};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use super::event_sink::{Gravity, Notices, ObjectRef};
use crate::{
    api::call::{Answer, Patience, call},
    clock::Clock,
};

/// The same is told again after this time at the earliest.
const AGAIN: Duration = Duration::from_secs(600);
/// How many notices wait at most.
const QUEUE: usize = 256;
/// How many notices are remembered, so as not to repeat them.
const REMEMBERED: usize = 4_096;
/// How long a note may be, in bytes.
const LONGEST_NOTE: usize = 1_024;
/// How much of an object's name stands in its Events' names.
const LONGEST_NAME: usize = 200;
/// The controller that Events name.
const CONTROLLER: &str = "nadmit.io/nadmit";
/// Where Events about objects of no namespace are, as `kubectl describe` looks for them.
const NOWHERE: &str = "default";

/// Tells notices as Events. A clone tells with it.
#[derive(Clone)]
pub struct Events {
    queue: mpsc::Sender<Notice>,
    shared: Arc<Shared>,
}

/// Writes what [`Events`] was told.
pub struct EventWriter {
    queue: mpsc::Receiver<Notice>,
    shared: Arc<Shared>,
    client: Client,
    instance: String,
    clock: Clock,
    written: u64,
}

/// What people are told.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Notice {
    about: ObjectRef,
    gravity: Gravity,
    reason: &'static str,
    message: String,
}

#[derive(Debug, Default)]
struct Shared {
    /// What was told, and when.
    told: Mutex<BTreeMap<Notice, Instant>>,
    counts: [AtomicU64; 4],
}

/// What becomes of a notice.
#[derive(Debug, Clone, Copy)]
enum Outcome {
    Written,
    Repeated,
    Dropped,
    Failed,
}

impl Outcome {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Written, "written"),
        (Self::Repeated, "repeated"),
        (Self::Dropped, "dropped"),
        (Self::Failed, "failed"),
    ];
}

impl Events {
    /// Notices of the process `instance`, and who writes them. Asks nothing yet.
    ///
    /// It needs create on `events.events.k8s.io` in every namespace.
    pub fn new(client: Client, instance: impl Into<String>, clock: Clock) -> (Self, EventWriter) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let shared = Arc::<Shared>::default();
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

    /// What became of the notices, as it is at each scrape.
    pub fn collector(&self) -> Box<dyn Collector> {
        Box::new(Counted(Arc::clone(&self.shared)))
    }
}

impl Notices for Events {
    fn notice(&self, about: ObjectRef, gravity: Gravity, reason: &'static str, message: String) {
        let notice = Notice {
            about,
            gravity,
            reason,
            message,
        };
        if let Err(why) = self.shared.remember(&notice) {
            self.shared.count(why);
        } else if let Err(refused) = self.queue.try_send(notice) {
            self.shared.forget(&refused.into_inner());
            self.shared.count(Outcome::Dropped);
        }
    }
}

impl Shared {
    /// From now on this was told, if it was not told lately and can be remembered.
    fn remember(&self, notice: &Notice) -> Result<(), Outcome> {
        let now = Instant::now();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let lately = |since: &Instant| now.duration_since(*since) < AGAIN;
        if told.get(notice).is_some_and(lately) {
            return Err(Outcome::Repeated);
        }
        if told.len() >= REMEMBERED {
            told.retain(|_, since| lately(since));
        }
        if told.len() >= REMEMBERED {
            return Err(Outcome::Dropped);
        }
        told.insert(notice.clone(), now);
        Ok(())
    }

    /// It was not told after all.
    fn forget(&self, notice: &Notice) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.remove(notice);
    }

    fn count(&self, outcome: Outcome) {
        self.counts[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }
}

impl EventWriter {
    /// Writes until `cancel`. What waits then is not written any more.
    pub async fn run(mut self, cancel: CancellationToken) {
        loop {
            let next = tokio::select! {
                biased;
                () = cancel.cancelled() => return,
                next = self.queue.recv() => next,
            };
            let Some(notice) = next else { return };
            let written = tokio::select! {
                biased;
                () = cancel.cancelled() => return,
                written = self.write(&notice) => written,
            };
            match written {
                // A create that was repeated finds itself.
                Ok(()) | Err(Answer::AlreadyExists(_)) => self.shared.count(Outcome::Written),
                Err(answer) => {
                    let (kind, name) = (&notice.about.kind, &notice.about.name);
                    tracing::debug!("no Event {} of {kind} {name}: {answer}", notice.reason);
                    self.shared.forget(&notice);
                    self.shared.count(Outcome::Failed);
                }
            }
        }
    }

    async fn write(&mut self, notice: &Notice) -> Result<(), Answer> {
        self.written += 1;
        let event = self.event(notice);
        let namespace = event.metadata.namespace.as_deref().unwrap_or(NOWHERE);
        let api: Api<Event> = Api::namespaced(self.client.clone(), namespace);
        let params = PostParams::default();
        call(Patience::default(), || api.create(&params, &event)).await?;
        Ok(())
    }

    fn event(&self, notice: &Notice) -> Event {
        let about = &notice.about;
        let now = self.clock.now();
        let namespace = match &*about.namespace {
            "" => NOWHERE,
            namespace => namespace,
        };
        let kind = match notice.gravity {
            Gravity::Normal => "Normal",
            Gravity::Warning => "Warning",
        };
        let unique = format!("{} {} {now} {notice:?}", self.instance, self.written);
        Event {
            metadata: ObjectMeta {
                name: Some(named(&about.name, &unique)),
                namespace: Some(namespace.to_owned()),
                ..ObjectMeta::default()
            },
            action: Some("Reconciling".to_owned()),
            event_time: Some(MicroTime(now)),
            note: Some(shortened(&notice.message, LONGEST_NOTE)),
            reason: Some(notice.reason.to_owned()),
            regarding: Some(ObjectReference {
                api_version: Some(about.api_version.to_owned()),
                kind: Some(about.kind.to_owned()),
                name: Some(about.name.clone()),
                namespace: Some(about.namespace.clone()).filter(|name| !name.is_empty()),
                uid: about.uid.clone(),
                ..ObjectReference::default()
            }),
            reporting_controller: Some(CONTROLLER.to_owned()),
            reporting_instance: Some(shortened(&self.instance, 128)),
            type_: Some(kind.to_owned()),
            ..Event::default()
        }
    }
}

/// The name of an Event: what it is about, and what makes it unique.
fn named(about: &str, unique: &str) -> String {
    let about = about.get(..LONGEST_NAME).unwrap_or(about);
    let mut name = format!("{}.", about.trim_end_matches(['.', '-']));
    for byte in Sha256::digest(unique.as_bytes()).iter().take(8) {
        // Writing to a String cannot fail.
        let _ = write!(name, "{byte:02x}");
    }
    name
}

/// The text, cut to so many bytes.
fn shortened(text: &str, longest: usize) -> String {
    if text.len() <= longest {
        return text.to_owned();
    }
    let mut end = longest - '…'.len_utf8();
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

#[derive(Debug)]
struct Counted(Arc<Shared>);

impl Collector for Counted {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), FmtError> {
        let mut metric = encoder.encode_descriptor(
            "notices",
            "What was worth an Event, by what became of it",
            None,
            ConstCounter::new(0u64).metric_type(),
        )?;
        for ((_, outcome), count) in Outcome::ALL.into_iter().zip(&self.0.counts) {
            let labels = [("outcome", outcome)];
            let count = ConstCounter::new(count.load(Ordering::Relaxed));
            count.encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(shortened("größe", 10), "größe");
        assert_eq!(shortened("ääää", 6), "ä…");
        assert_eq!(shortened(&"a".repeat(2_000), LONGEST_NOTE).len(), 1_024);
    }

    #[test]
    fn names_are_of_the_object_and_unique() {
        assert_eq!(named("storage", "a"), "storage.ca978112ca1bbdca");
        assert_ne!(named("storage", "a"), named("storage", "b"));
        assert!(named(&"a".repeat(253), "a").len() <= 253);
    }

    #[test]
    fn every_outcome_has_its_place() {
        for (at, (outcome, _)) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, at);
        }
    }
}
