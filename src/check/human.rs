//! The output for people: the line, a caret under the position, the problem and the remedy. See
//! [`super::cluster_report`] for clusters.
//!
//! `annotate-snippets` renders nearly the same, but has no place for the object behind the position, adds
//! an empty line before the help, and cuts long lines elsewhere; the output is stable for scripts.

use std::fmt::Write as _;

use super::{
    CheckOutcome, Diagnostic, cluster_report,
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
    for diagnostic in &outcome.diagnostics {
        write_diagnostic(outcome, diagnostic, &mut out);
    }
    write_summary(outcome, &mut out);
    out
}

fn write_diagnostic(outcome: &CheckOutcome, diagnostic: &Diagnostic, out: &mut String) {
    let color = style(diagnostic.level);
    let range = outcome.location(diagnostic);
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
    let text = outcome.text(diagnostic);
    if let Some(line) = text.lines().nth(range.start.line - 1) {
        let excerpt = Excerpt::of(
            line,
            range.start.column - 1,
            carets(outcome, diagnostic, line),
        );
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

/// Returns the number of characters to underline on the first line.
fn carets(outcome: &CheckOutcome, diagnostic: &Diagnostic, line: &str) -> usize {
    let range = outcome.location(diagnostic);
    let end = if range.end.line == range.start.line {
        range.end.column
    } else {
        line.trim_end().chars().count() + 1
    };
    end.saturating_sub(range.start.column).max(1)
}

/// The visible part of a line.
struct Excerpt {
    text: String,
    /// The number of characters before the position.
    before: usize,
    carets: usize,
}

impl Excerpt {
    fn of(line: &str, before: usize, carets: usize) -> Self {
        let line = printable(line);
        let length = line.chars().count();
        if length <= WIDTH {
            return Self {
                text: line,
                before,
                carets,
            };
        }
        let first = before.saturating_sub(CONTEXT_BEFORE).min(length);
        let dots = |is_cut: bool| if is_cut { "…" } else { "" };
        let text: String = line.chars().skip(first).take(WIDTH).collect();
        let carets = carets.min(WIDTH.saturating_sub(before - first)).max(1);
        Self {
            text: format!("{}{text}{}", dots(first > 0), dots(first + WIDTH < length)),
            before: before - first + usize::from(first > 0),
            carets,
        }
    }
}

fn write_summary(outcome: &CheckOutcome, out: &mut String) {
    let read = format!(
        "{} in {}",
        plural(outcome.objects, "object"),
        plural(outcome.files.len(), "file")
    );
    let _ = writeln!(out, "{} ({read})", level_counts(outcome));
}
