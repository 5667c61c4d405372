//! Reads objects into a snapshot. An object that cannot be read is kept as an unreadable record.

mod cluster;
mod nadmit;
mod ovn;
mod pod;
mod whereabouts;

use std::collections::HashSet;

use nadmit_allocation::Timestamp;
use nadmit_cni::name;
use serde_json::Value;

use super::{Coverage, ObjectRef, RecordKind, Snapshot, UnreadableRecord};

/// A parser of times in the notation of the API (RFC 3339).
pub type ParseTime = fn(&str) -> Option<Timestamp>;

/// A reader of objects.
pub struct SnapshotReader {
    snapshot: Snapshot,
    parse_time: ParseTime,
    /// The objects read before; a second one of the name is not counted.
    known: HashSet<ObjectRef>,
    /// The indices of the pods that name a virtual machine as owner without being marked as its
    /// launcher.
    unproven: Vec<usize>,
}

impl SnapshotReader {
    /// Creates a reader at the time `now`.
    pub fn new(now: Timestamp, coverage: Coverage, parse_time: ParseTime) -> Self {
        Self {
            snapshot: Snapshot {
                now,
                coverage,
                ..Snapshot::default()
            },
            parse_time,
            known: HashSet::new(),
            unproven: Vec::new(),
        }
    }

    /// Reads an object, if its kind is compared. Of two objects with one name the first counts.
    pub fn object(&mut self, object: &Value) {
        let text = |key: &str| object[key].as_str().unwrap_or_default();
        let Some(kind) = RecordKind::of(text("apiVersion"), text("kind")) else {
            return;
        };
        let metadata = |key: &str| object["metadata"][key].as_str().unwrap_or_default();
        let namespace = match kind {
            RecordKind::Node | RecordKind::AddressPool | RecordKind::Allocation => "",
            _ if metadata("namespace").is_empty() => "default",
            _ => metadata("namespace"),
        };
        let of = ObjectRef::new(kind, namespace, metadata("name"));
        if let Err(error) = name::subdomain(&of.name) {
            *self.snapshot.counts.entry(kind).or_default() += 1;
            return self.unreadable(&of, format!("metadata.name {error}"));
        }
        let is_invalid = |namespace| name::label(namespace).err();
        let namespace = Some(&*of.namespace).filter(|namespace| !namespace.is_empty());
        if let Some(error) = namespace.and_then(is_invalid) {
            *self.snapshot.counts.entry(kind).or_default() += 1;
            return self.unreadable(&of, format!("metadata.namespace {error}"));
        }
        if !self.known.insert(of.clone()) {
            let reason = "is defined twice; the first definition counts";
            return self.unreadable_with(&of, reason, "remove one of the definitions");
        }
        *self.snapshot.counts.entry(kind).or_default() += 1;
        match kind {
            RecordKind::Pod => self.pod(&of, object),
            RecordKind::Network => self.network(&of, object),
            RecordKind::IpPool => self.ip_pool(&of, object),
            RecordKind::OverlappingReservation => self.reservation(&of, object),
            RecordKind::NodeSlicePool => self.slice_pool(&of, object),
            RecordKind::Node => {
                self.snapshot.nodes.insert(of.name);
            }
            RecordKind::AddressPool => self.address_pool(&of, object),
            RecordKind::Allocation => self.allocation(&of, object),
            RecordKind::Claim => self.claim(&of, object),
            RecordKind::VirtualMachine => self.machine(&of, object),
        }
    }

    /// Adds a text that is not an object.
    pub fn unreadable_text(&mut self, place: &str, reason: &str) {
        self.snapshot.unreadable.push(UnreadableRecord {
            object: None,
            place: place.to_owned(),
            reason: reason.to_owned(),
            help: "",
        });
    }

    /// Returns the snapshot.
    pub fn finish(mut self) -> Snapshot {
        self.check_machines();
        self.snapshot
    }

    fn unreadable(&mut self, of: &ObjectRef, reason: impl Into<String>) {
        self.unreadable_with(of, reason, "");
    }

    /// Adds a part of an object that is not to be edited.
    fn unreadable_with(&mut self, of: &ObjectRef, reason: impl Into<String>, help: &'static str) {
        self.snapshot.unreadable.push(UnreadableRecord {
            object: Some(of.clone()),
            place: String::new(),
            reason: reason.into(),
            help,
        });
    }
}

/// Returns the text at a path; an empty one if the object has no text there.
fn text<'v>(value: &'v Value, path: &[&str]) -> &'v str {
    let found = path.iter().fold(value, |value, key| &value[*key]);
    found.as_str().unwrap_or_default()
}

/// Returns the text at a path, if it is not empty.
fn some_text(value: &Value, path: &[&str]) -> Option<Box<str>> {
    Some(text(value, path))
        .filter(|text| !text.is_empty())
        .map(Box::from)
}
