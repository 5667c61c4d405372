//! Lines and columns of many positions in one text.

use super::text::Position;

/// The number of bytes between two stored counts of characters.
const STRIDE: usize = 256;

/// An index of a text's lines and characters. Positions are found without reading the text from its
/// beginning, or a long line from its own.
#[derive(Debug, Clone)]
pub struct LineIndex<'t> {
    text: &'t str,
    /// The offset at which each line begins.
    lines: Vec<usize>,
    /// The number of characters that begin before every [`STRIDE`]th byte.
    chars: Vec<usize>,
}

impl<'t> LineIndex<'t> {
    /// Creates the index of a text.
    pub fn new(text: &'t str) -> Self {
        let ends = line_starts(text);
        let mut count = 0;
        let mut chars = vec![0];
        for block in text.as_bytes().chunks_exact(STRIDE) {
            count += characters(block);
            chars.push(count);
        }
        Self {
            text,
            lines: std::iter::once(0).chain(ends).collect(),
            chars,
        }
    }

    /// Returns the text.
    pub fn text(&self) -> &'t str {
        self.text
    }

    /// Returns the position of the byte at `offset`, as [`Position::of`] does.
    pub fn position(&self, offset: u32) -> Position {
        let offset = self.text.floor_char_boundary(offset as usize);
        let line = self.lines.partition_point(|start| *start <= offset);
        let start = self.start(line);
        Position {
            line,
            column: self.characters_before(offset) - self.characters_before(start) + 1,
        }
    }

    /// Returns the line of this number (from 1) with its line break; empty after the last line.
    pub fn line(&self, line: usize) -> &'t str {
        let end = self.lines.get(line).copied();
        let end = end.unwrap_or(self.text.len());
        self.text.get(self.start(line)..end).unwrap_or_default()
    }

    /// Returns the offset of the character at a position; `None` if the line has no such column.
    pub fn offset(&self, position: Position) -> Option<usize> {
        let (line, start) = (self.line(position.line), self.start(position.line));
        let wanted = self.characters_before(start) + position.column.saturating_sub(1);
        // The last stored count before the character, unless the line begins after it.
        let block = self.chars.partition_point(|count| *count <= wanted);
        let known = self
            .text
            .ceil_char_boundary(block.saturating_sub(1) * STRIDE);
        let from = known.max(start);
        let passed = wanted.checked_sub(self.characters_before(from))?;
        let rest = line.get(from - start..)?;
        let (inside, _) = rest.char_indices().nth(passed)?;
        Some(from + inside)
    }

    /// Returns the offset at which a line begins; for a line that does not exist, the end.
    pub fn start(&self, line: usize) -> usize {
        let start = self.lines.get(line.saturating_sub(1)).copied();
        start.unwrap_or(self.text.len())
    }

    fn characters_before(&self, offset: usize) -> usize {
        let block = offset / STRIDE;
        let rest = self.text.as_bytes().get(block * STRIDE..offset);
        self.chars.get(block).copied().unwrap_or_default() + rest.map_or(0, characters)
    }
}

/// Returns the offsets after the line breaks.
fn line_starts(text: &str) -> impl Iterator<Item = usize> {
    text.match_indices('\n').map(|(newline, _)| newline + 1)
}

/// Counts the characters that begin in these bytes.
fn characters(bytes: &[u8]) -> usize {
    let begins = |byte: &&u8| **byte & 0xc0 != 0x80;
    bytes.iter().filter(begins).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn positions_are_those_of_a_search_from_the_beginning(
            text in "[a-zäß€😀 \n]{0,40}", copies in 1_usize..40, offset in 0_u32..9000,
        ) {
            let text = text.repeat(copies);
            let index = LineIndex::new(&text);
            let position = Position::of(offset, &text);
            prop_assert_eq!(index.position(offset), position);
            let lines: Vec<&str> = text.split_inclusive('\n').collect();
            let line = lines.get(position.line - 1).copied().unwrap_or_default();
            prop_assert_eq!(index.line(position.line), line);
            let before: usize = lines.iter().take(position.line - 1).map(|line| line.len()).sum();
            let inside = line.char_indices().nth(position.column - 1);
            prop_assert_eq!(index.offset(position), inside.map(|(at, _)| before + at));
            let none = Position { line: position.line, column: line.chars().count() + 1 };
            prop_assert_eq!(index.offset(none), None);
            let none = Position { line: lines.len() + 2, column: 1 };
            prop_assert_eq!(index.offset(none), None);
        }
    }
}
