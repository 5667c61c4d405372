//! Progress of a long read, shown on a terminal.

use std::{
    io::{IsTerminal as _, Write as _},
    time::Instant,
};

/// Milliseconds after which progress is shown.
const SHOW_AFTER_MS: u128 = 1_000;

/// A progress line on a terminal, shown when an operation takes long.
pub(super) struct ProgressLine {
    begun: Instant,
    terminal: bool,
    shown: bool,
}

impl ProgressLine {
    /// Starts the clock.
    pub(super) fn new() -> Self {
        Self {
            begun: Instant::now(),
            terminal: std::io::stderr().is_terminal(),
            shown: false,
        }
    }

    /// Shows a line, if enough time has passed.
    pub(super) fn show(&mut self, line: impl FnOnce() -> String) {
        if self.terminal && self.begun.elapsed().as_millis() > SHOW_AFTER_MS {
            self.shown = true;
            let _ = write!(std::io::stderr(), "\r{}\x1b[K", line());
        }
    }

    /// Clears the line.
    pub(super) fn clear(&self) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
