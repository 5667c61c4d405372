//! The errors that prevent a check.

use thiserror::Error;

use crate::sources::SourceError;

/// An error that prevents a check. An invalid manifest is not such an error, but a diagnostic.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CheckError {
    /// A path cannot be read.
    #[error("cannot read {path}: {reason}")]
    Unreadable {
        /// The path as given.
        path: String,
        reason: String,
    },
    /// Another error about a file.
    #[error(transparent)]
    Source(SourceError),
}

impl From<SourceError> for CheckError {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::Folder {
                folder: path,
                reason,
            }
            | SourceError::File { file: path, reason } => Self::Unreadable { path, reason },
            other => Self::Source(other),
        }
    }
}
