//! What controllers tell people about an object.

/// The object that something is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectRef {
    /// `v1`, `nadmit.io/v1alpha1`.
    pub api_version: &'static str,
    /// `Pod`, `AddressPool`.
    pub kind: &'static str,
    /// Its namespace; empty for kinds without.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID, if it is known.
    pub uid: Option<String>,
}

/// How grave something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventType {
    /// It is as it should be.
    Normal,
    /// Somebody should look at it.
    Warning,
}

/// Who tells people.
pub trait EventSink: Send + Sync {
    /// Tells something about an object; never waits. `reason` is one word in camel case.
    fn emit(&self, object: ObjectRef, event_type: EventType, reason: &'static str, message: String);
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoopSink;

impl EventSink for NoopSink {
    fn emit(&self, _: ObjectRef, _: EventType, _: &'static str, _: String) {}
}

impl ObjectRef {
    /// A pod.
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
