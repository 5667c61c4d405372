//! Commands of a GitHub workflow: each becomes a note beside its line of a pull request.

use std::fmt::Write as _;

use crate::rules::Level;

use super::{Outcome, Remark, steering::harmless};

/// A command a remark.
pub(super) fn tell(outcome: &Outcome) -> String {
    let mut out = String::new();
    for remark in &outcome.remarks {
        let command = match remark.level {
            Level::Deny => "error",
            _ => "warning",
        };
        let stop = if remark.help.is_empty() { "" } else { "; " };
        let mut said = format!("{}{stop}{}", remark.message, remark.help);
        let title = property(remark.code);
        // An object of a cluster is in no file: the note itself names it.
        let properties = if outcome.cluster.is_some() {
            said = format!("{} {}: {said}", outcome.object(remark), remark.field);
            format!("title={title}")
        } else {
            format!("{},title={title}", place(outcome, remark))
        };
        // Writing to a String cannot fail.
        let _ = writeln!(out, "::{command} {properties}::{}", data(&said));
    }
    out
}

/// Where a remark is in its file.
fn place(outcome: &Outcome, remark: &Remark) -> String {
    let place = outcome.location(remark);
    let mut said = format!(
        "file={},line={},endLine={},col={}",
        property(outcome.name(remark)),
        place.start.line,
        place.end.line,
        place.start.column,
    );
    // GitHub takes columns within one line only.
    if place.end.line == place.start.line && place.end.column > place.start.column {
        // Writing to a String cannot fail.
        let _ = write!(said, ",endColumn={}", place.end.column);
    }
    said
}

/// A message as a workflow command takes it. What steers a terminal, which the log is shown on, cannot be
/// escaped, and is replaced.
fn data(text: &str) -> String {
    let escaped = text
        .replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A");
    harmless(&escaped)
}

/// A property's value, which ends at a comma or a colon.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_a_command_is_escaped() {
        assert_eq!(property("a:b,c%\n"), "a%3Ab%2Cc%25%0A");
        assert_eq!(data("a: b,\r\n"), "a: b,%0D%0A");
        assert_eq!(property("\u{1b}[2J\u{9b}.yaml"), "\u{fffd}[2J\u{fffd}.yaml");
    }
}
