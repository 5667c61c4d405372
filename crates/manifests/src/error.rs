//! Errors of manifests.

use thiserror::Error;

use nadmit_cni::NameError;
use nadmit_cni::document::{DocumentError, DocumentFault, ValueKind};

/// A mistake in a manifest, with its position.
pub type ManifestError = DocumentError<ManifestFault>;

/// A mistake in a manifest, and its remedy.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ManifestFault {
    /// The text is neither YAML nor JSON.
    #[error("{0}")]
    Syntax(String),
    /// A value has the wrong type.
    #[error("{field} is {}, but has to be {expected}{}", found.described(), quotes(expected, *found))]
    WrongType {
        /// The path of the value.
        field: String,
        /// The expected type, with its article.
        expected: &'static str,
        /// The actual type.
        found: ValueKind,
    },
    /// A network's configuration is not a string.
    #[error(
        "{field} is {}, but has to be a string with JSON in it: write `config: |` and the JSON \
         indented below it",
        found.described()
    )]
    ConfigNotString {
        /// The path of the value.
        field: String,
        /// The actual type.
        found: ValueKind,
    },
    /// A required field is missing.
    #[error("{field} is missing: write {instead}")]
    Missing {
        /// The path of the field.
        field: String,
        /// The text to write.
        instead: String,
    },
    /// A name is invalid.
    #[error("{field} {text:?} {error}")]
    Name {
        /// The path of the name.
        field: String,
        /// The name.
        text: String,
        /// The reason.
        error: NameError,
    },
    /// The version of a known kind is unknown.
    #[error("apiVersion is {found:?}, but nadmit reads a {kind} only as `apiVersion: {expected}`")]
    Version {
        kind: &'static str,
        /// The version as written.
        found: String,
        /// The supported version.
        expected: &'static str,
    },
    /// A network's configuration is outside of its `spec`.
    #[error(
        "{field} is outside of spec, so the network has no configuration: indent {field} by two spaces, \
         so that it is spec.config"
    )]
    ConfigOutsideSpec {
        /// The path of the configuration.
        field: String,
    },
    /// The API group does not have this kind.
    #[error("there is no {kind} in {found:?}: write `apiVersion: {expected}`")]
    Group {
        kind: &'static str,
        /// The `apiVersion` as written.
        found: String,
        /// The supported `apiVersion`.
        expected: &'static str,
    },
    /// The kind does not exist, but is similar to one of its group.
    #[error("there is no kind {kind:?} in {group}: did you mean {intended}?")]
    Misspelt {
        /// The kind as written.
        kind: String,
        group: String,
        /// The similar kind.
        intended: &'static str,
    },
    /// An object has a key twice.
    #[error("{field} is given twice: keep one of them")]
    Repeated {
        /// The path of the second one.
        field: String,
    },
    /// The limit of errors per file is reached.
    #[error("the file has more errors after this place: fix the errors before this place first")]
    TooManyErrors,
}

impl DocumentFault for ManifestFault {
    fn syntax(reason: String) -> Self {
        Self::Syntax(reason)
    }

    fn wrong_type(field: String, expected: &'static str, found: ValueKind) -> Self {
        Self::WrongType {
            field,
            expected,
            found,
        }
    }

    fn repeated(field: String) -> Self {
        Self::Repeated { field }
    }
}

/// Returns the usual remedy for a value that is not a string in YAML: quotes.
fn quotes(expected: &str, found: ValueKind) -> &'static str {
    match found {
        ValueKind::Number | ValueKind::Boolean if expected == "a string" => ": put it in quotes",
        _ => "",
    }
}
