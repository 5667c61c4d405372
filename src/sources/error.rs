//! What can be wrong with a source.

use thiserror::Error;

use crate::{allocation::SpecError, manifests::ManifestError, network::Position};

use super::text::MAX_BYTES;

/// What is wrong with a source, where, and what to do about it.
///
/// Causes are kept as text: an error lives as long as what it reports, is compared with the error
/// of the scan before, and is shown by status and log.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SourceError {
    /// The folder does not exist when the server starts.
    #[error("the folder {folder} of --manifests does not exist: create it or name another")]
    FolderMissing {
        /// The folder as named.
        folder: String,
    },
    /// What should be the folder is something else.
    #[error("{folder} of --manifests is not a folder: name the folder that the manifests are in")]
    NotAFolder {
        /// What was named.
        folder: String,
    },
    /// A folder that cannot be read.
    #[error("cannot read the folder {folder}: {reason}; what was read before still counts")]
    Folder {
        /// The folder.
        folder: String,
        /// Why not.
        reason: String,
    },
    /// A file that cannot be read.
    #[error("cannot read {file}: {reason}")]
    File {
        /// The file.
        file: String,
        /// Why not.
        reason: String,
    },
    /// A file that nobody can have written by hand.
    #[error("{file} is larger than {} MiB: split it", MAX_BYTES >> 20)]
    TooLarge {
        /// The file.
        file: String,
    },
    /// A file that is no text.
    #[error("{file}:{}:{}: the text is not UTF-8: save it as UTF-8", .position.line, .position.column)]
    NotUtf8 {
        /// The file.
        file: String,
        /// The first place that is not.
        position: Position,
    },
    /// A manifest with an error.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A namespace whose label says nothing that is known.
    #[error(
        "{file}:{}:{}: the label {label} of namespace {namespace} is {text:?}, which is taken for \
         no label: write {expected}",
        .position.line, .position.column
    )]
    Label {
        /// The label.
        label: &'static str,
        /// What it may be.
        expected: &'static str,
        /// The file.
        file: String,
        /// The label's place.
        position: Position,
        /// The namespace.
        namespace: String,
        /// The label as written.
        text: String,
    },
    /// A pool or reservation that does not make sense.
    #[error(
        "{file}:{}:{}: {object} is not valid and gives nothing: {fault}",
        .position.line, .position.column
    )]
    Pool {
        /// What it is.
        object: String,
        /// The file.
        file: String,
        /// Where.
        position: Position,
        /// What is wrong.
        fault: SpecError,
    },
    /// Two definitions of one object.
    #[error("{first} and {second} both define {object}: the latter counts; remove one of them")]
    Duplicate {
        /// What is defined twice.
        object: String,
        /// The place of the definition that does not count.
        first: String,
        /// The place of the one that does.
        second: String,
    },
    /// The scan did not end.
    #[error("the folder {folder} was not read to the end: {reason}")]
    Interrupted {
        /// The folder.
        folder: String,
        /// Why not.
        reason: String,
    },
}
