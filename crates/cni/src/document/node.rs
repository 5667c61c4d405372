//! A value of a document.

use std::borrow::Cow;

use super::{SourceLocation, ValueKind};

/// A value and its location.
#[derive(Debug, Clone, PartialEq)]
pub struct DocumentNode<'a> {
    pub value: NodeValue<'a>,
    /// The location; for a YAML alias, that of the anchored value.
    pub location: SourceLocation,
}

/// The content of a node.
#[derive(Debug, Clone, PartialEq)]
pub enum NodeValue<'a> {
    /// `null`, or no value.
    Null,
    Boolean(bool),
    /// A number, with its value if it is an integer in decimal digits.
    Number(Option<i64>),
    /// A string, with escapes and folding resolved.
    String(Cow<'a, str>),
    List(Vec<DocumentNode<'a>>),
    /// An object: its entries in order, including repeated ones.
    Object(Vec<ObjectEntry<'a>>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct ObjectEntry<'a> {
    /// The key; in YAML it may be any value.
    pub key: DocumentNode<'a>,
    pub value: DocumentNode<'a>,
}

impl<'a> DocumentNode<'a> {
    /// Returns the type of the value.
    pub fn kind(&self) -> ValueKind {
        match &self.value {
            NodeValue::Null => ValueKind::Null,
            NodeValue::Boolean(_) => ValueKind::Boolean,
            NodeValue::Number(_) => ValueKind::Number,
            NodeValue::String(_) => ValueKind::String,
            NodeValue::List(_) => ValueKind::List,
            NodeValue::Object(_) => ValueKind::Object,
        }
    }

    /// Returns true if the value is null.
    pub fn is_null(&self) -> bool {
        matches!(self.value, NodeValue::Null)
    }

    /// Returns the string, if this is one.
    pub fn string(&self) -> Option<&str> {
        match &self.value {
            NodeValue::String(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the boolean, if this is one.
    pub fn boolean(&self) -> Option<bool> {
        match &self.value {
            NodeValue::Boolean(value) => Some(*value),
            _ => None,
        }
    }

    /// Returns the number, if this is an integer.
    pub fn integer(&self) -> Option<i64> {
        match &self.value {
            NodeValue::Number(value) => *value,
            _ => None,
        }
    }

    /// Returns the elements, if this is a list.
    pub fn elements(&self) -> Option<&[DocumentNode<'a>]> {
        match &self.value {
            NodeValue::List(elements) => Some(elements),
            _ => None,
        }
    }

    /// Returns the entries, if this is an object.
    pub fn entries(&self) -> Option<&[ObjectEntry<'a>]> {
        match &self.value {
            NodeValue::Object(entries) => Some(entries),
            _ => None,
        }
    }

    /// Returns the value of the object's last entry with this name, unless it is null.
    pub fn get(&self, name: &str) -> Option<&DocumentNode<'a>> {
        let entries = self.entries()?.iter().rev();
        let mut named = entries.filter(|entry| entry.key.string() == Some(name));
        named.next().map(|e| &e.value).filter(|v| !v.is_null())
    }
}
