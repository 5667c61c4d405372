//! Problems in the `spec` of a pool or reservation.

use thiserror::Error;

/// A problem in the `spec` of a pool or reservation.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{path}: {reason}")]
pub struct SpecError {
    /// The path below `spec` (`ranges[0].exclude[1]`).
    pub path: String,
    /// The problem, and what to write instead.
    pub reason: String,
}

impl SpecError {
    pub(super) fn new(path: impl Into<String>, reason: String) -> Self {
        Self {
            path: path.into(),
            reason,
        }
    }

    /// Prefixes the path with that of the parent.
    pub(super) fn under(mut self, parent: &str) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') {
            ""
        } else {
            "."
        };
        self.path = format!("{parent}{dot}{}", self.path);
        self
    }
}
