//! How far a check is, for who waits for it.

use std::{
    io::{IsTerminal as _, Write as _},
    time::Instant,
};

/// After how many milliseconds a terminal is told how far it is.
const SHOW_AFTER_MS: u128 = 1_000;

/// A line on a terminal that says how far it is, when it takes long.
pub(in crate::cli) struct ProgressLine {
    begun: Instant,
    terminal: bool,
    shown: bool,
}

impl ProgressLine {
    /// From now on.
    pub(in crate::cli) fn new() -> Self {
        Self {
            begun: Instant::now(),
            terminal: std::io::stderr().is_terminal(),
            shown: false,
        }
    }

    /// Shows a line, if it is time for one.
    pub(in crate::cli) fn render(&mut self, line: impl FnOnce() -> String) {
        if self.terminal && self.begun.elapsed().as_millis() > SHOW_AFTER_MS {
            self.shown = true;
            let _ = write!(std::io::stderr(), "\r{}\x1b[K", line());
        }
    }

    /// Takes the line away.
    pub(in crate::cli) fn clear(&self) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
