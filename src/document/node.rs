//! One value of a document, and what it holds.

use std::borrow::Cow;

use super::{Place, ValueKind};

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node<'a> {
    /// What it is.
    pub value: Value<'a>,
    /// Where it stands. Behind a YAML alias: where the value was written.
    pub place: Place,
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// `null`, or nothing at all.
    Null,
    /// A boolean.
    Boolean(bool),
    /// A number: its value, if it is a whole one in decimal digits.
    Number(Option<i64>),
    /// A string, escapes and folding resolved.
    String(Cow<'a, str>),
    /// A list.
    List(Vec<Node<'a>>),
    /// An object: its entries in their order, repeated ones included.
    Object(Vec<Entry<'a>>),
}

/// One entry of an object.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry<'a> {
    /// The key, which in YAML may be anything.
    pub key: Node<'a>,
    /// The value.
    pub value: Node<'a>,
}

impl<'a> Node<'a> {
    /// What sort of value this is.
    pub fn kind(&self) -> ValueKind {
        match &self.value {
            Value::Null => ValueKind::Null,
            Value::Boolean(_) => ValueKind::Boolean,
            Value::Number(_) => ValueKind::Number,
            Value::String(_) => ValueKind::String,
            Value::List(_) => ValueKind::List,
            Value::Object(_) => ValueKind::Object,
        }
    }

    /// Whether there is no value.
    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// The string, if this is one.
    pub fn string(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The boolean, if this is one.
    pub fn boolean(&self) -> Option<bool> {
        match &self.value {
            Value::Boolean(value) => Some(*value),
            _ => None,
        }
    }

    /// The whole number, if this is one.
    pub fn integer(&self) -> Option<i64> {
        match &self.value {
            Value::Number(value) => *value,
            _ => None,
        }
    }

    /// The elements, if this is a list.
    pub fn elements(&self) -> Option<&[Node<'a>]> {
        match &self.value {
            Value::List(elements) => Some(elements),
            _ => None,
        }
    }

    /// The entries, if this is an object.
    pub fn entries(&self) -> Option<&[Entry<'a>]> {
        match &self.value {
            Value::Object(entries) => Some(entries),
            _ => None,
        }
    }

    /// The value of the object's last entry of this name, if there is one that is not null.
    pub fn get(&self, name: &str) -> Option<&Node<'a>> {
        let entries = self.entries()?.iter().rev();
        let mut named = entries.filter(|entry| entry.key.string() == Some(name));
        named.next().map(|e| &e.value).filter(|v| !v.is_null())
    }
}
