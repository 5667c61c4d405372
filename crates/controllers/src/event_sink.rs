//! The events that controllers emit about objects.

/// A reference to the object of an event.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectRef {
    /// The API version, such as `v1` or `nadmit.io/v1alpha1`.
    pub api_version: &'static str,
    /// The kind, such as `Pod` or `AddressPool`.
    pub kind: &'static str,
    /// The namespace; empty for cluster-scoped kinds.
    pub namespace: String,
    /// The object's name.
    pub name: String,
    /// The UID, if known.
    pub uid: Option<String>,
}

/// The type of a Kubernetes Event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventType {
    /// Informational.
    Normal,
    /// Needs the attention of an operator.
    Warning,
}

/// A receiver of events.
pub trait EventSink: Send + Sync {
    /// Emits an event about an object, without blocking. `reason` is one word in UpperCamelCase.
    fn emit(&self, object: ObjectRef, event_type: EventType, reason: &'static str, message: String);
}

/// An [`EventSink`] that discards everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoopSink;

impl EventSink for NoopSink {
    fn emit(&self, _: ObjectRef, _: EventType, _: &'static str, _: String) {}
}

impl ObjectRef {
    /// Returns a reference to a pod.
    pub fn pod(namespace: &str, name: &str, uid: Option<&str>) -> Self {
        Self {
            api_version: "v1",
            kind: "Pod",
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            uid: uid.map(str::to_owned),
        }
    }
}
