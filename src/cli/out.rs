//! Standard output. Whoever closes it early (`| head`) has read enough: that is no error.

use std::{fmt, io::Write as _};

/// Writes text as it is, with colours where somebody looks.
pub(super) fn text(text: impl fmt::Display) {
    let _ = write!(anstream::stdout(), "{text}");
}

/// Writes a line.
pub(super) fn line(line: impl fmt::Display) {
    let _ = writeln!(anstream::stdout(), "{line}");
}
