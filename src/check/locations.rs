//! The positions of diagnostics as editors count them. Each file is indexed once, by the first
//! diagnostic in it.

use std::cell::OnceCell;

use crate::network::{LineIndex, Position};

use super::{CheckOutcome, Diagnostic};

/// A diagnostic's position as editors count it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Location {
    pub start: Position,
    /// The position after the last character.
    pub end: Position,
}

/// The lines of an outcome's files.
pub(super) struct Locations<'o> {
    outcome: &'o CheckOutcome,
    files: Vec<OnceCell<LineIndex<'o>>>,
}

impl<'o> Locations<'o> {
    /// Creates the locations in the files of an outcome.
    pub(super) fn new(outcome: &'o CheckOutcome) -> Self {
        Self {
            outcome,
            files: outcome.files.iter().map(|_| OnceCell::new()).collect(),
        }
    }

    /// Returns the lines of a diagnostic's file; `None` if there is no such file.
    pub(super) fn lines(&self, diagnostic: &Diagnostic) -> Option<&LineIndex<'o>> {
        let lines = self.files.get(diagnostic.file)?;
        Some(lines.get_or_init(|| LineIndex::new(self.outcome.text(diagnostic))))
    }

    /// Returns the position of a diagnostic.
    pub(super) fn of(&self, diagnostic: &Diagnostic) -> Location {
        let start = diagnostic.span.start;
        let position = |offset| match self.lines(diagnostic) {
            Some(lines) => lines.position(offset),
            None => Position { line: 1, column: 1 },
        };
        Location {
            start: position(start),
            end: position(diagnostic.span.end.max(start)),
        }
    }
}
