//! The objects of a kind, and whether all of them are known.

use super::shared_map::{HasName, SharedMap};

/// Knowledge about the existence of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existence<T> {
    /// Unknown: the kind was not listed yet, or may not be. Nothing may be concluded from it.
    Unknown,
    /// The object does not exist.
    Absent,
    /// The object exists.
    Present(T),
}

/// The objects of a kind, by `namespace/name`.
#[derive(Debug, Clone)]
pub(super) struct ObjectsOfKind<T> {
    known: bool,
    all: SharedMap<NamedObject<T>>,
}

#[derive(Debug, Clone)]
struct NamedObject<T> {
    key: Box<str>,
    value: T,
}

impl<T> HasName for NamedObject<T> {
    fn name(&self) -> &str {
        &self.key
    }
}

impl<T> Default for ObjectsOfKind<T> {
    fn default() -> Self {
        Self {
            known: false,
            all: SharedMap::default(),
        }
    }
}

/// Returns the key of an object.
pub(super) fn key(namespace: &str, name: &str) -> String {
    format!("{namespace}/{name}")
}

impl<T: Clone + PartialEq> ObjectsOfKind<T> {
    /// Sets whether all objects are known; returns true if that changes.
    pub(super) fn set_known(&mut self, known: bool) -> bool {
        std::mem::replace(&mut self.known, known) != known
    }

    /// Adds, replaces or, with `None`, removes an object; returns true if that changes anything.
    pub(super) fn set(&mut self, (namespace, name): (&str, &str), value: Option<T>) -> bool {
        let key = key(namespace, name);
        let before = self.all.get(&key).map(|entry| &entry.value);
        match value {
            _ if before == value.as_ref() => return false,
            Some(value) => drop(self.all.insert(NamedObject {
                key: key.into(),
                value,
            })),
            None => drop(self.all.remove(&key)),
        }
        true
    }

    /// Returns the object of this name. A listed object is present, even if the list is incomplete.
    pub(super) fn get(&self, namespace: &str, name: &str) -> Existence<T> {
        match self.all.get(&key(namespace, name)) {
            Some(entry) => Existence::Present(entry.value.clone()),
            None if self.known => Existence::Absent,
            None => Existence::Unknown,
        }
    }

    /// Returns true if all objects are known.
    pub(super) fn are_known(&self) -> bool {
        self.known
    }

    /// Returns the listed object of this key.
    pub(super) fn by_key(&self, key: &str) -> Option<&T> {
        self.all.get(key).map(|entry| &entry.value)
    }

    /// Returns the listed objects with their keys, in an order that depends only on those.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        let all = self.all.values();
        all.map(|entry| (&*entry.key, &entry.value))
    }
}
