//! Standard output and its formats. A reader that closes it early (`| head`) is not an error.

use std::{fmt, io::Write as _};

use clap::ValueEnum;

/// Output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// For people
    Table,
    /// For programs
    Json,
}

/// Writes text, with colours if the output is a terminal.
pub(super) fn text(text: impl fmt::Display) {
    let _ = write!(anstream::stdout(), "{text}");
}

/// Writes a line.
pub(super) fn line(line: impl fmt::Display) {
    let _ = writeln!(anstream::stdout(), "{line}");
}
