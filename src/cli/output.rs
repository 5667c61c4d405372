//! Output of the commands: formats, styles, tables and progress.
//!
//! A reader that closes standard output early (`| head`) is not an error. `comfy-table` and
//! `tabled` wrap cells and draw borders; these columns are only padded, and the last one may be
//! styled.

use std::{
    fmt,
    io::{IsTerminal as _, Write as _},
    time::Instant,
};

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use serde::Serialize;

use crate::check::sanitize;

pub(super) const BOLD: Style = Style::new().bold();
pub(super) const DIM: Style = Style::new().dimmed();
pub(super) const GREEN: Style = AnsiColor::Green.on_default();
pub(super) const YELLOW: Style = AnsiColor::Yellow.on_default();
pub(super) const RED: Style = AnsiColor::Red.on_default();

/// Output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// For people
    Table,
    /// For people, with more columns
    Wide,
    /// For programs
    Json,
    /// For programs
    Yaml,
}

impl Output {
    /// Serializes a value; `None` if the format is for people.
    ///
    /// # Errors
    /// When the value cannot be serialized, which is a bug in this program.
    pub(super) fn serialized(self, value: &impl Serialize) -> anyhow::Result<Option<String>> {
        Ok(match self {
            Self::Table | Self::Wide => None,
            Self::Json => Some(serde_json::to_string_pretty(value)? + "\n"),
            // Annotations of users are in it, and not all scalars have escapes.
            Self::Yaml => Some(sanitize(&serde_saphyr::to_string(value)?)),
        })
    }
}

/// Writes text, with colours if the output is a terminal.
pub(super) fn print(text: impl fmt::Display) {
    let _ = write!(anstream::stdout(), "{text}");
}

/// Writes a line.
pub(super) fn print_line(line: impl fmt::Display) {
    let _ = writeln!(anstream::stdout(), "{line}");
}

/// Alignment of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// Renders a table. The last column may contain styled text; the others must be plain.
pub(super) fn table(head: &[(&str, Align)], rows: &[Vec<String>]) -> String {
    let titles = head.iter().map(|(title, _)| (*title).to_owned()).collect();
    let alignments: Vec<Align> = head.iter().map(|(_, align)| *align).collect();
    let all: Vec<Vec<String>> = [titles].into_iter().chain(rows.iter().cloned()).collect();
    let mut lines = lines(&alignments, &all).into_iter();
    let titles = lines.next().unwrap_or_default();
    let mut out = format!("{BOLD}{titles}{BOLD:#}\n");
    for line in lines {
        out += &line;
        out.push('\n');
    }
    out
}

/// Renders each row as a line of padded columns.
pub(super) fn lines(alignments: &[Align], rows: &[Vec<String>]) -> Vec<String> {
    let width = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at));
        cells.map(|cell| cell.chars().count()).max()
    };
    let columns = alignments.iter().enumerate();
    let columns: Vec<(Align, usize)> = columns
        .map(|(at, align)| (*align, width(at).unwrap_or_default()))
        .collect();
    rows.iter().map(|row| line(&columns, row)).collect()
}

/// Renders a row with columns of these alignments and widths.
fn line(columns: &[(Align, usize)], row: &[String]) -> String {
    let mut line = String::new();
    let last = row.len().saturating_sub(1);
    for (at, ((align, width), cell)) in columns.iter().zip(row).enumerate() {
        let pad = " ".repeat(width.saturating_sub(cell.chars().count()));
        match align {
            Align::Right => line += &format!("{pad}{cell}"),
            Align::Left if at == last => line += cell,
            Align::Left => line += &format!("{cell}{pad}"),
        }
        if at < last {
            line += "  ";
        }
    }
    line.trim_end().to_owned()
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let head = [
            ("NAME", Align::Left),
            ("FREE", Align::Right),
            ("NOTE", Align::Left),
        ];
        let rows = [["a", "12345", "x"], ["longest", "1", ""]];
        let rows = rows.map(|row| row.map(str::to_owned).to_vec());
        let table = table(&head, &rows);
        assert_eq!(
            anstream::adapter::strip_str(&table).to_string(),
            "NAME      FREE  NOTE\na        12345  x\nlongest      1\n"
        );
    }
}
