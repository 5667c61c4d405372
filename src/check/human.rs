//! The output for people: the line, a caret under the position, the problem and the remedy. See
//! [`super::cluster_report`] for clusters.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use crate::rules::Level;

use super::{CheckOutcome, Diagnostic, cluster_report, terminal::sanitize_line as printable};

pub(super) const BOLD: Style = Style::new().bold();
pub(super) const FRAME: Style = AnsiColor::Blue.on_default().bold();

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

/// Returns the colour of a level.
pub(super) fn style(level: Level) -> Style {
    let color = match level {
        Level::Deny => AnsiColor::Red,
        _ => AnsiColor::Yellow,
    };
    color.on_default().bold()
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

/// Writes the level, the code and the message.
pub(super) fn write_headline(diagnostic: &Diagnostic, out: &mut String) {
    let color = style(diagnostic.level);
    let (level, code) = (diagnostic.level, diagnostic.code);
    let message = printable(&diagnostic.message);
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "{color}{level}[{code}]{color:#}{BOLD}: {message}{BOLD:#}"
    );
}

/// Writes the help, if there is any.
pub(super) fn write_help(diagnostic: &Diagnostic, gutter: usize, out: &mut String) {
    if diagnostic.help.is_empty() {
        return;
    }
    let help = printable(&diagnostic.help);
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "{:gutter$} {FRAME}={FRAME:#} {BOLD}help{BOLD:#}: {help}",
        ""
    );
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

/// Returns a number with its noun in singular or plural.
pub(super) fn plural(count: usize, word: &str) -> String {
    match count {
        1 => format!("1 {word}"),
        _ => format!("{count} {word}s"),
    }
}

/// Returns the numbers of denials and warnings, coloured.
pub(super) fn level_counts(outcome: &CheckOutcome) -> String {
    let (denials, warnings) = (outcome.count(Level::Deny), outcome.count(Level::Warn));
    let (color, text) = match (denials, warnings) {
        (0, 0) => (
            AnsiColor::Green.on_default().bold(),
            "no finding".to_owned(),
        ),
        (0, _) => (style(Level::Warn), denials_and_warnings(denials, warnings)),
        _ => (style(Level::Deny), denials_and_warnings(denials, warnings)),
    };
    format!("{color}{text}{color:#}")
}

fn denials_and_warnings(denials: usize, warnings: usize) -> String {
    format!(
        "{}, {}",
        plural(denials, "denial"),
        plural(warnings, "warning")
    )
}
