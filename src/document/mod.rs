//! YAML and JSON texts as trees in which every node knows where it stood.
//!
//! Manifests and `nadmit.yaml` are both read through such a tree and not through serde's derive:
//! a tree shows every mistake at once, each with its place and in our own words, and one broken
//! document leaves the others of its file alone.
//!
//! Reading is bounded whatever the text says: an alias is expanded, a bomb made of aliases is an
//! error, and nothing nests deeper than a stack can bear.

mod json;
mod lenient;
mod merge;
mod node;
mod scalar;
mod scalar_map;
mod split;
#[cfg(test)]
mod tests;
mod yaml;

use thiserror::Error;

pub use self::{
    node::{Entry, Node, Value},
    scalar_map::ScalarMap,
};
pub use crate::network::{Position, Span, json::ValueKind};

/// A part of a file: its bytes, and where an editor shows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The bytes: of a scalar all of them, with its quotes and the indentation inside of it; of a
    /// list or object in YAML only where it begins.
    pub span: Span,
    /// Line and column of the first character.
    pub position: Position,
}

/// A text that is neither YAML nor JSON.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{reason}")]
pub struct SyntaxError {
    /// What the parser stumbled over, in words.
    pub reason: String,
    /// Where.
    pub position: Position,
}

impl SyntaxError {
    fn at(place: Place, reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            position: place.position,
        }
    }

    fn too_deep(place: Place) -> Self {
        Self::at(place, "the document nests too deep")
    }

    fn too_large(place: Place) -> Self {
        let reason = "the document is too large: split it, or use fewer aliases";
        Self::at(place, reason)
    }
}

/// Which words are booleans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Booleans {
    /// `true` and `false`, as YAML 1.2 has it.
    Yaml12,
    /// Also `yes`, `no`, `on` and `off`, as YAML 1.1 has it, and kubectl with it.
    Yaml11,
}

/// How deep a document may nest. Kubernetes's own kinds stay under 45.
const MAX_DEPTH: usize = 100;
/// How many values a document may have, aliases expanded: ten thousand networks in one list have
/// half of it.
const MAX_NODES: usize = 500_000;
/// The most documents that are read from one text.
const MAX_DOCUMENTS: usize = 100_000;

/// Reads the documents of the file called `name`, one by one; empty ones are passed over.
///
/// A file called `*.json` is one JSON document. Any other is YAML, unless the text happens to be
/// JSON; then it is read as JSON, as kubectl does. In YAML `---` at the beginning of a line ends a
/// document whatever stands before it, so that an error in one document is none in the next.
pub fn read<'a>(
    text: &'a str,
    name: &str,
    booleans: Booleans,
) -> impl Iterator<Item = Result<Node<'a>, SyntaxError>> {
    let json = match json::read(text) {
        Some(read) if is_json(name) || read.is_ok() => Some(read),
        _ => None,
    };
    let yaml = if json.is_some() { "" } else { text };
    let documents = split::chunks(yaml).enumerate().map(move |(index, chunk)| {
        if index < MAX_DOCUMENTS {
            yaml::read(chunk, booleans)
        } else {
            Err(too_many(chunk.lines))
        }
    });
    let documents = documents.take(MAX_DOCUMENTS + 1);
    json.into_iter()
        .chain(documents.filter_map(Result::transpose))
}

fn is_json(name: &str) -> bool {
    let suffix = name.rsplit_once('.').map(|(_, suffix)| suffix);
    suffix.is_some_and(|suffix| suffix.eq_ignore_ascii_case("json"))
}

fn too_many(lines: usize) -> SyntaxError {
    SyntaxError {
        reason: format!("this is document {MAX_DOCUMENTS} of the file: split it"),
        position: Position {
            line: lines + 1,
            column: 1,
        },
    }
}
