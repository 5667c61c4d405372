//! Parses YAML and JSON texts into trees in which every node has its location.
//!
//! Manifests and `nadmit.yaml` are read through such a tree and not through serde's derive: a tree
//! reports every mistake at once, each with its location and in nadmit's own terms, and a broken
//! document does not affect the others of its file.
//!
//! Resources are bounded for every input: aliases are expanded up to a limit, so that an alias bomb
//! is an error, and nesting is limited to what fits on a stack.
//!
//! `marked-yaml` and `saphyr`'s `MarkedYaml` are such trees, too, but the one rejects anchors, and the
//! other keeps mappings in a hash map and so loses repeated keys. So the trees are built here, from the
//! events of `serde-saphyr`'s parser.

mod checker;
mod indented;
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
    checker::{Checker, DocumentError, DocumentFault},
    node::{DocumentNode, NodeValue, ObjectEntry},
    scalar_map::ScalarMap,
};
pub use crate::{Position, Span, json::ValueKind};

/// A part of a file: its bytes, and the line and column that an editor shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceLocation {
    /// The bytes. A scalar's span includes its quotes and inner indentation; the span of a list or
    /// object in YAML is only where it begins.
    pub span: Span,
    /// The line and column of the first character.
    pub position: Position,
}

/// A syntax error in a YAML or JSON text.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{reason}")]
pub struct SyntaxError {
    /// The reason, for messages.
    pub reason: String,
    /// The position in the file.
    pub position: Position,
}

impl SyntaxError {
    fn at(location: SourceLocation, reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            position: location.position,
        }
    }

    fn too_deep(location: SourceLocation) -> Self {
        Self::at(location, "the document nests too deep")
    }

    fn too_large(location: SourceLocation) -> Self {
        let reason = "the document is too large: split it, or use fewer aliases";
        Self::at(location, reason)
    }
}

/// The words that are parsed as booleans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Booleans {
    /// `true` and `false`, as in YAML 1.2.
    Yaml12,
    /// Also `yes`, `no`, `on` and `off`, as in YAML 1.1, which kubectl uses.
    Yaml11,
}

/// The maximum depth of a document. The kinds of Kubernetes need less than 45.
const MAX_DEPTH: usize = 100;
/// The maximum number of values of a document, with aliases expanded. A list of ten thousand
/// networks has half of it.
const MAX_NODES: usize = 500_000;
/// The maximum number of documents that are read from one text.
const MAX_DOCUMENTS: usize = 100_000;

/// Parses the documents of the file called `name`, one by one; empty ones are skipped.
///
/// A file called `*.json` is one JSON document. Any other file is YAML, unless the text is valid
/// JSON, which is then read as JSON, as kubectl does. In YAML, `---` at the beginning of a line
/// ends a document in any context, so that a syntax error in one document does not affect the next.
pub fn read<'a>(
    text: &'a str,
    name: &str,
    booleans: Booleans,
) -> impl Iterator<Item = Result<DocumentNode<'a>, SyntaxError>> {
    let json = match json::read(text) {
        Some(read) if is_json(name) || read.is_ok() => Some(read),
        _ => None,
    };
    let yaml = if json.is_some() { "" } else { text };
    let documents = split::chunks(yaml).enumerate().map(move |(index, chunk)| {
        if index < MAX_DOCUMENTS {
            lenient::read(chunk, booleans)
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
