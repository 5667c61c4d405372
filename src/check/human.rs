//! For people: the line, a caret under the place, what is wrong, what to write instead. Of a cluster
//! see [`super::living`].

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use crate::rules::Level;

use super::{Outcome, Remark, living, steering::on_one_line as printable};

pub(super) const BOLD: Style = Style::new().bold();
pub(super) const FRAME: Style = AnsiColor::Blue.on_default().bold();

/// How many characters of a line are shown.
const WIDTH: usize = 100;
/// How many of them stand before the place, in a line that is longer.
const BEFORE: usize = 40;

/// All remarks, and a line that sums them up.
pub(super) fn tell(outcome: &Outcome) -> String {
    if let Some(examined) = &outcome.cluster {
        return living::tell(outcome, examined);
    }
    let mut out = String::new();
    for remark in &outcome.remarks {
        one(outcome, remark, &mut out);
    }
    sum(outcome, &mut out);
    out
}

/// The colour of a level.
pub(super) fn style(level: Level) -> Style {
    let color = match level {
        Level::Deny => AnsiColor::Red,
        _ => AnsiColor::Yellow,
    };
    color.on_default().bold()
}

fn one(outcome: &Outcome, remark: &Remark, out: &mut String) {
    let color = style(remark.level);
    let place = outcome.location(remark);
    let gutter = place.start.line.to_string().len();
    headline(remark, out);
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "{:gutter$}{FRAME}-->{FRAME:#} {}:{}:{}{}",
        "",
        printable(outcome.name(remark)),
        place.start.line,
        place.start.column,
        about(remark),
    );
    let text = outcome.text(remark);
    if let Some(line) = text.lines().nth(place.start.line - 1) {
        let shown = Shown::of(line, place.start.column - 1, carets(outcome, remark, line));
        let _ = writeln!(out, "{:gutter$} {FRAME}|{FRAME:#}", "");
        let _ = writeln!(
            out,
            "{FRAME}{} |{FRAME:#} {}",
            place.start.line,
            shown.text.trim_end()
        );
        let _ = writeln!(
            out,
            "{:gutter$} {FRAME}|{FRAME:#} {}{color}{}{color:#}{}",
            "",
            " ".repeat(shown.before),
            "^".repeat(shown.carets),
            spaced(&remark.field),
        );
    }
    help(remark, gutter, out);
    out.push('\n');
}

/// What is wrong.
pub(super) fn headline(remark: &Remark, out: &mut String) {
    let color = style(remark.level);
    let (level, code) = (remark.level, remark.code);
    let message = printable(&remark.message);
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "{color}{level}[{code}]{color:#}{BOLD}: {message}{BOLD:#}"
    );
}

/// What to write instead.
pub(super) fn help(remark: &Remark, gutter: usize, out: &mut String) {
    if remark.help.is_empty() {
        return;
    }
    let help = printable(&remark.help);
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "{:gutter$} {FRAME}={FRAME:#} {BOLD}help{BOLD:#}: {help}",
        ""
    );
}

fn about(remark: &Remark) -> String {
    if remark.object.is_empty() {
        return String::new();
    }
    format!(" ({})", printable(&remark.object))
}

fn spaced(field: &str) -> String {
    if field.is_empty() {
        return String::new();
    }
    format!(" {}", printable(field))
}

/// How many characters the place has on its first line.
fn carets(outcome: &Outcome, remark: &Remark, line: &str) -> usize {
    let place = outcome.location(remark);
    let end = if place.end.line == place.start.line {
        place.end.column
    } else {
        line.trim_end().chars().count() + 1
    };
    end.saturating_sub(place.start.column).max(1)
}

/// The part of a line that is shown.
struct Shown {
    text: String,
    /// How many characters stand before the place.
    before: usize,
    carets: usize,
}

impl Shown {
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
        let first = before.saturating_sub(BEFORE).min(length);
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

fn sum(outcome: &Outcome, out: &mut String) {
    let read = format!(
        "{} in {}",
        many(outcome.objects, "object"),
        many(outcome.files.len(), "file")
    );
    let _ = writeln!(out, "{} ({read})", counted(outcome));
}

/// A number of things.
pub(super) fn many(count: usize, word: &str) -> String {
    match count {
        1 => format!("1 {word}"),
        _ => format!("{count} {word}s"),
    }
}

/// How many denials and warnings there are.
pub(super) fn counted(outcome: &Outcome) -> String {
    let (denials, warnings) = (outcome.count(Level::Deny), outcome.count(Level::Warn));
    let (color, said) = match (denials, warnings) {
        (0, 0) => (
            AnsiColor::Green.on_default().bold(),
            "no finding".to_owned(),
        ),
        (0, _) => (style(Level::Warn), both(denials, warnings)),
        _ => (style(Level::Deny), both(denials, warnings)),
    };
    format!("{color}{said}{color:#}")
}

fn both(denials: usize, warnings: usize) -> String {
    format!("{}, {}", many(denials, "denial"), many(warnings, "warning"))
}
