//! Why a run is none.

use thiserror::Error;

use crate::sources::SourceError;

/// Why nothing could be judged. What is wrong with a manifest is no such error, but a remark.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CheckError {
    /// A path that cannot be read.
    #[error("cannot read {path}: {reason}")]
    Unreadable {
        /// The path as named.
        path: String,
        /// Why not.
        reason: String,
    },
    /// Something else about a file.
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
