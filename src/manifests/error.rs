//! What can be wrong with a manifest.

use std::sync::Arc;

use thiserror::Error;

use crate::{
    document::{Position, ValueKind},
    network::NameError,
};

/// A fault and its place.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{file}:{}:{}: {fault}", .position.line, .position.column)]
pub struct ManifestError {
    /// The file.
    pub file: Arc<str>,
    /// Line and column.
    pub position: Position,
    /// What is wrong.
    pub fault: ManifestFault,
}

/// What is wrong with a manifest, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ManifestFault {
    /// The text is neither YAML nor JSON.
    #[error("{0}")]
    Syntax(String),
    /// A value of another sort than it has to be.
    #[error("{field} is {}, but has to be {expected}{}", found.described(), quotes(expected, *found))]
    Kind {
        /// The path of the value.
        field: String,
        /// What it has to be, with its article.
        expected: &'static str,
        /// What it is.
        found: ValueKind,
    },
    /// A network's configuration that is no text.
    #[error(
        "{field} is {}, but has to be a string with JSON in it: write `config: |` and the JSON \
         indented below it",
        found.described()
    )]
    ConfigNotText {
        /// The path of the value.
        field: String,
        /// What it is.
        found: ValueKind,
    },
    /// A field that has to be there.
    #[error("{field} is missing: write {instead}")]
    Missing {
        /// The path of the field.
        field: String,
        /// What to write.
        instead: String,
    },
    /// A name that no object may have.
    #[error("{field} {text:?} {error}")]
    Name {
        /// The path of the name.
        field: String,
        /// The name.
        text: String,
        /// What is wrong with it.
        error: NameError,
    },
    /// A version of a known kind that is not known.
    #[error("apiVersion is {found:?}, but a {kind} is read as `apiVersion: {expected}` only")]
    Version {
        /// The kind.
        kind: &'static str,
        /// Its version as written.
        found: String,
        /// The version that is read.
        expected: &'static str,
    },
    /// A network's configuration beside its `spec`.
    #[error(
        "{field} stands beside spec, where nobody reads it: the network has no configuration; indent \
         it by two spaces, so that it is spec.config"
    )]
    ConfigBesideSpec {
        /// The path of the configuration.
        field: String,
    },
    /// A group that has no such kind.
    #[error("there is no {kind} in {found:?}: write `apiVersion: {expected}`")]
    Group {
        /// The kind.
        kind: &'static str,
        /// The `apiVersion` as written.
        found: String,
        /// The one that is read.
        expected: &'static str,
    },
    /// A kind that there is not.
    #[error("there is no kind {kind:?} in {group}: did you mean {meant}?")]
    Misspelt {
        /// The kind as written.
        kind: String,
        /// Its group.
        group: String,
        /// The kind that is like it.
        meant: &'static str,
    },
    /// A key that an object has twice.
    #[error("{field} is given twice: keep one of them")]
    Repeated {
        /// The path of the second.
        field: String,
    },
    /// There are more errors than anybody reads.
    #[error("there are more errors behind this place: mend those before it first")]
    More,
}

/// The usual reason why something is no string in YAML: nobody quoted it.
fn quotes(expected: &str, found: ValueKind) -> &'static str {
    match found {
        ValueKind::Number | ValueKind::Boolean if expected == "a string" => ": put it in quotes",
        _ => "",
    }
}
