//! The output for people: the line, a caret under the position, the problem and the remedy. See
//! [`super::cluster_report`] for clusters.
//!
//! `annotate-snippets` renders nearly the same, but has no place for the object behind the position, adds
//! an empty line before the help, and cuts long lines elsewhere; the output is stable for scripts.

use std::fmt::Write as _;

use crate::network::{LineIndex, Position};

use super::{
    CheckOutcome, Diagnostic, cluster_report,
    locations::{Location, Locations},
    terminal::sanitize_line as printable,
    text::{FRAME, level_counts, plural, style, write_headline, write_help},
};

/// The maximum number of characters shown of a line.
const WIDTH: usize = 100;
/// The number of characters shown before the position in a longer line.
const CONTEXT_BEFORE: usize = 40;

/// Renders all diagnostics and a summary line.
pub(super) fn render(outcome: &CheckOutcome) -> String {
    if let Some(scope) = &outcome.cluster {
        return cluster_report::render(outcome, scope);
    }
    let mut out = String::new();
    let locations = Locations::new(outcome);
    for diagnostic in &outcome.diagnostics {
        write_diagnostic(outcome, &locations, diagnostic, &mut out);
    }
    write_summary(outcome, &mut out);
    out
}

fn write_diagnostic(
    outcome: &CheckOutcome,
    locations: &Locations<'_>,
    diagnostic: &Diagnostic,
    out: &mut String,
) {
    let color = style(diagnostic.level);
    let range = locations.of(diagnostic);
    let gutter = range.start.line.to_string().len();
    write_headline(diagnostic, out);
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "{:gutter$}{FRAME}-->{FRAME:#} {}:{}:{}{}",
        "",
        printable(outcome.name(diagnostic)),
        range.start.line,
        range.start.column,
        object_suffix(diagnostic),
    );
    let lines = locations.lines(diagnostic);
    if let Some(excerpt) = lines.and_then(|lines| Excerpt::of(lines, range)) {
        let _ = writeln!(out, "{:gutter$} {FRAME}|{FRAME:#}", "");
        let _ = writeln!(
            out,
            "{FRAME}{} |{FRAME:#} {}",
            range.start.line,
            excerpt.text.trim_end()
        );
        let _ = writeln!(
            out,
            "{:gutter$} {FRAME}|{FRAME:#} {}{color}{}{color:#}{}",
            "",
            " ".repeat(excerpt.before),
            "^".repeat(excerpt.carets),
            field_suffix(&diagnostic.field),
        );
    }
    write_help(diagnostic, gutter, out);
    out.push('\n');
}

fn object_suffix(diagnostic: &Diagnostic) -> String {
    if diagnostic.object.is_empty() {
        return String::new();
    }
    format!(" ({})", printable(&diagnostic.object))
}

fn field_suffix(field: &str) -> String {
    if field.is_empty() {
        return String::new();
    }
    format!(" {}", printable(field))
}

/// The visible part of a line.
struct Excerpt {
    text: String,
    /// The number of characters before the position.
    before: usize,
    /// The number of characters to underline.
    carets: usize,
}

impl Excerpt {
    /// Returns the part of the first line around a position; `None` after the last line.
    fn of(lines: &LineIndex<'_>, range: Location) -> Option<Self> {
        let written = lines.line(range.start.line);
        if written.is_empty() {
            return None;
        }
        let line = written.strip_suffix("\r\n");
        let line = line.or(written.strip_suffix('\n')).unwrap_or(written);
        let before = range.start.column - 1;
        let length = column_after(lines, range.start.line, line) - 1;
        let end = if range.end.line == range.start.line {
            range.end.column
        } else {
            column_after(lines, range.start.line, line.trim_end())
        };
        let carets = end.saturating_sub(range.start.column).max(1);
        if length <= WIDTH {
            return Some(Self {
                text: printable(line),
                before,
                carets,
            });
        }
        let first = before.saturating_sub(CONTEXT_BEFORE).min(length);
        let dots = |is_cut: bool| if is_cut { "…" } else { "" };
        let start = lines.offset(Position {
            line: range.start.line,
            column: first + 1,
        });
        let start = start.map_or(line.len(), |start| start - lines.start(range.start.line));
        let shown: String = line.get(start..)?.chars().take(WIDTH).collect();
        let text = printable(&shown);
        let carets = carets.min(WIDTH.saturating_sub(before - first)).max(1);
        Some(Self {
            text: format!("{}{text}{}", dots(first > 0), dots(first + WIDTH < length)),
            before: before - first + usize::from(first > 0),
            carets,
        })
    }
}

/// Returns the column after a part of a line that begins with the line.
fn column_after(lines: &LineIndex<'_>, line: usize, part: &str) -> usize {
    let end = lines.start(line) + part.len();
    lines
        .position(u32::try_from(end).unwrap_or(u32::MAX))
        .column
}

fn write_summary(outcome: &CheckOutcome, out: &mut String) {
    let read = format!(
        "{} in {}",
        plural(outcome.objects, "object"),
        plural(outcome.files.len(), "file")
    );
    let _ = writeln!(out, "{} ({read})", level_counts(outcome));
}
