//! GitHub workflow commands: each becomes an annotation at its line of a pull request.

use std::fmt::Write as _;

use crate::{admission::tag, rules::Level};

use super::{CheckOutcome, Diagnostic, locations::Locations, terminal::sanitize};

/// Renders one command for each diagnostic.
pub(super) fn render(outcome: &CheckOutcome) -> String {
    let mut out = String::new();
    let locations = Locations::new(outcome);
    for diagnostic in &outcome.diagnostics {
        let command = match diagnostic.level {
            Level::Deny => "error",
            _ => "warning",
        };
        let stop = if diagnostic.help.is_empty() { "" } else { "; " };
        let mut text = format!("{}{stop}{}", diagnostic.message, diagnostic.help);
        let title = property(&tag(diagnostic.code));
        // A cluster's object has no file, so the annotation itself names it.
        let properties = if outcome.cluster.is_some() {
            text = format!(
                "{} {}: {text}",
                outcome.object(diagnostic),
                diagnostic.field
            );
            format!("title={title}")
        } else {
            let place = location_properties(outcome, &locations, diagnostic);
            format!("{place},title={title}")
        };
        // Writing to a String cannot fail.
        let _ = writeln!(out, "::{command} {properties}::{}", data(&text));
    }
    out
}

/// Returns the properties with a diagnostic's position in its file.
fn location_properties(
    outcome: &CheckOutcome,
    locations: &Locations<'_>,
    diagnostic: &Diagnostic,
) -> String {
    let range = locations.of(diagnostic);
    let mut text = format!(
        "file={},line={},endLine={},col={}",
        property(outcome.name(diagnostic)),
        range.start.line,
        range.end.line,
        range.start.column,
    );
    // GitHub accepts columns within one line only.
    if range.end.line == range.start.line && range.end.column > range.start.column {
        // Writing to a String cannot fail.
        let _ = write!(text, ",endColumn={}", range.end.column);
    }
    text
}

/// Escapes a message for a workflow command. Terminal control characters cannot be escaped and are
/// replaced, because terminals show these logs.
fn data(text: &str) -> String {
    let escaped = text
        .replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A");
    sanitize(&escaped)
}

/// Escapes a property's value, which a comma or colon would end.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_delimiters_are_escaped() {
        assert_eq!(property("a:b,c%\n"), "a%3Ab%2Cc%25%0A");
        assert_eq!(data("a: b,\r\n"), "a: b,%0D%0A");
        assert_eq!(property("\u{1b}[2J\u{9b}.yaml"), "\u{fffd}[2J\u{fffd}.yaml");
    }
}
