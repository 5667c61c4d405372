//! Rows of cells, each after the address of its first.

use anstyle::Style;

use crate::{allocation::Address, cli::output::DIM};

/// Number of cells per row.
pub(super) const CELLS_PER_ROW: usize = 32;
/// Number of cells that are not separated by a space.
const CELL_GROUP: usize = 8;

/// The size of a grid.
#[derive(Debug, Clone, Copy)]
pub(super) struct GridSize {
    /// Width of the labels.
    pub(super) label_width: usize,
    /// Number of cells in all rows.
    pub(super) cells: usize,
}

/// Renders one row of cells after its label.
pub(super) fn line(
    label: &str,
    size: GridSize,
    cells: impl Iterator<Item = (char, Style)>,
    note: &str,
) -> String {
    let mut row = String::new();
    let mut length = 0;
    for (at, (sign, style)) in cells.enumerate() {
        if at > 0 && at % CELL_GROUP == 0 {
            row.push(' ');
            length += 1;
        }
        row += &format!("{style}{sign}{style:#}");
        length += 1;
    }
    let pad = " ".repeat(full(size.cells).saturating_sub(length));
    let width = size.label_width;
    if note.is_empty() {
        return format!("  {label:<width$}  {row}\n");
    }
    format!("  {label:<width$}  {row}{pad}  {DIM}{note}{DIM:#}\n")
}

/// Renders the offsets above a grid.
pub(super) fn ruler(width: usize, cells: usize) -> String {
    let offsets = (0..CELLS_PER_ROW.min(cells)).step_by(CELL_GROUP);
    let marks = offsets.map(|at| format!("{:<9}", format!("+{at}")));
    let marks: String = marks.collect();
    format!("  {:width$}  {DIM}{}{DIM:#}\n", "", marks.trim_end())
}

pub(super) fn label_width(labels: impl Iterator<Item = Address>) -> usize {
    let lengths = labels.map(|address| address.to_string().len());
    lengths.max().unwrap_or_default()
}

/// Returns the width of the longest row of a grid with this many cells.
fn full(cells: usize) -> usize {
    let cells = cells.min(CELLS_PER_ROW);
    cells + cells.saturating_sub(1) / CELL_GROUP
}
