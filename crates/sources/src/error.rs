//! Errors of sources.

use thiserror::Error;

use nadmit_allocation::SpecError;
use nadmit_cni::Position;
use nadmit_manifests::ManifestError;

use super::file_text::MAX_BYTES;

/// An error of a source, with its position and remedy.
///
/// Causes are stored as text, because an error lives as long as the problem, is compared with the
/// error of the previous scan, and is shown by status and log.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SourceError {
    /// The folder does not exist when the server starts.
    #[error("the folder {folder} of --manifests does not exist: create it or name another")]
    FolderMissing {
        /// The folder as given.
        folder: String,
    },
    /// The path is not a folder.
    #[error("{folder} of --manifests is not a folder: name the folder that the manifests are in")]
    NotAFolder {
        /// The path as given.
        folder: String,
    },
    /// A folder cannot be read.
    #[error("cannot read the folder {folder}: {reason}; nadmit still uses what it read before")]
    Folder { folder: String, reason: String },
    /// A file cannot be read.
    #[error("cannot read {file}: {reason}")]
    File { file: String, reason: String },
    /// A file is too large to have been written by hand.
    #[error("{file} is larger than {} MiB: split it", MAX_BYTES >> 20)]
    TooLarge { file: String },
    /// A file is not UTF-8.
    #[error("{file}:{}:{}: the text is not UTF-8: save it as UTF-8", .position.line, .position.column)]
    NotUtf8 {
        file: String,
        /// The position of the first invalid byte.
        position: Position,
    },
    /// A manifest has an error.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A label of a namespace has an unknown value.
    #[error(
        "{file}:{}:{}: the label {label} of namespace {namespace} is {text:?}, which nadmit ignores: \
         write {expected}",
        .position.line, .position.column
    )]
    Label {
        /// The label's key.
        label: &'static str,
        /// The valid values, for the message.
        expected: &'static str,
        file: String,
        /// The position of the label's value.
        position: Position,
        namespace: String,
        /// The value as written.
        text: String,
    },
    /// A pool or reservation is invalid.
    #[error(
        "{file}:{}:{}: {object} is not valid and has no effect: {fault}",
        .position.line, .position.column
    )]
    Pool {
        /// The object: `pool NAME` or `reservation NAMESPACE/NAME`.
        object: String,
        file: String,
        position: Position,
        /// The mistake in its spec.
        fault: SpecError,
    },
    /// An object is defined twice.
    #[error(
        "{first} and {second} both define {object}: nadmit uses the latter; remove one of them"
    )]
    Duplicate {
        object: String,
        /// The position of the ignored definition.
        first: String,
        /// The position of the definition in effect.
        second: String,
    },
    /// The task of the scan failed.
    #[error("nadmit did not read the whole folder {folder}: {reason}")]
    Interrupted { folder: String, reason: String },
}
