//! What is worth telling people about an object.

/// Takes what is worth telling. It never waits: who has something to do goes on doing it.
pub trait Notices: Send + Sync {
    /// Takes a notice.
    fn notice(&self, notice: Notice);
}

/// Something about an object that people should know.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Notice {
    /// The object.
    pub about: ObjectRef,
    /// Whether something is wrong.
    pub warning: bool,
    /// What it is, in one word of capitals inside (`PoolExhausted`).
    pub reason: &'static str,
    /// The same in a sentence. It should not count or date anything, for the same words are told
    /// once in a while only.
    pub message: String,
}

/// An object of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectRef {
    /// `nadmit.io/v1alpha1`
    pub api_version: String,
    /// Its kind.
    pub kind: String,
    /// Its namespace; empty if it lives in none.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID, where that is known.
    pub uid: Option<String>,
}

impl ObjectRef {
    /// The object without its UID.
    pub fn new(api_version: &str, kind: &str, namespace: &str, name: &str) -> Self {
        Self {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            uid: None,
        }
    }

    /// The same object with its UID.
    #[must_use]
    pub fn with_uid(self, uid: Option<&str>) -> Self {
        Self {
            uid: uid.map(str::to_owned),
            ..self
        }
    }
}
