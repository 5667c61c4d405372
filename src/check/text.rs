//! Styles and lines that the outputs for people share.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use crate::{admission::tag, rules::Level};

use super::{CheckOutcome, Diagnostic, terminal::sanitize_line as printable};

pub(crate) const BOLD: Style = Style::new().bold();
pub(crate) const FRAME: Style = AnsiColor::Blue.on_default().bold();

/// Returns the colour of a level.
pub(crate) fn style(level: Level) -> Style {
    let color = match level {
        Level::Deny => AnsiColor::Red,
        _ => AnsiColor::Yellow,
    };
    color.on_default().bold()
}

/// Writes the level, the code and the message.
pub(super) fn write_headline(diagnostic: &Diagnostic, out: &mut String) {
    let color = style(diagnostic.level);
    let (level, tag) = (diagnostic.level, tag(diagnostic.code));
    let message = printable(&diagnostic.message);
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "{color}{level}{color:#}: {tag} {BOLD}{message}{BOLD:#}"
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

/// Returns a number with its noun in singular or plural.
pub(crate) fn plural(count: usize, word: &str) -> String {
    match count {
        1 => format!("1 {word}"),
        _ => format!("{count} {word}s"),
    }
}

/// Returns the numbers of denials and warnings, coloured.
pub(super) fn level_counts(outcome: &CheckOutcome) -> String {
    level_totals(outcome.count(Level::Deny), outcome.count(Level::Warn))
}

/// Returns numbers of denials and warnings in words, coloured.
pub(crate) fn level_totals(denials: usize, warnings: usize) -> String {
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
