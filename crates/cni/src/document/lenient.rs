//! Accepts a kind of YAML that kubectl accepts and the specification does not: lines of a quoted
//! scalar that are indented no deeper than its key, such as a closing bracket below it.
//!
//! Leading white space of such a line is insignificant. So the line is indented, the document is
//! parsed again, and every location is mapped back to the original text.
//!
//! The parser of `serde-saphyr` rejects such lines, as the specification does.

use super::{Booleans, DocumentNode, NodeValue, SyntaxError, split::Chunk, yaml};

/// The parser's error message for such a line.
pub(super) const FAULT: &str = "invalid indentation in multiline quoted scalar";

/// The maximum number of lines of a document that are indented.
const MAX_INDENTED_LINES: usize = 1000;
/// The maximum total size of the text that is parsed again, so that parsing always ends.
const MAX_REREAD_BYTES: usize = 32 << 20;

/// The lines of a document that were indented, and the width of the indentation.
#[derive(Debug, Default)]
pub(super) struct Indented {
    /// The numbers of the lines (from 1) and their original offsets, in order.
    lines: Vec<(usize, usize)>,
    width: usize,
}

impl Indented {
    /// Maps an offset in the indented text to the original text.
    pub(super) fn offset(&self, offset: usize) -> usize {
        let mut moved = 0;
        for (_, start) in &self.lines {
            if offset < start + moved {
                break;
            }
            moved += self.width.min(offset - start - moved);
        }
        offset - moved
    }

    /// Maps a column (from 0) of a line to the original text.
    pub(super) fn column(&self, line: usize, column: usize) -> usize {
        match self
            .lines
            .binary_search_by_key(&line, |(number, _)| *number)
        {
            Ok(_) => column.saturating_sub(self.width),
            Err(_) => column,
        }
    }

    /// Adds a line; `None` if it was indented before.
    fn add(&mut self, line: usize, text: &str) -> Option<()> {
        let index = self
            .lines
            .binary_search_by_key(&line, |(number, _)| *number);
        let lines = text.split_inclusive('\n').take(line.checked_sub(1)?);
        self.lines
            .insert(index.err()?, (line, lines.map(str::len).sum()));
        Some(())
    }

    fn applied_to(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len() + self.lines.len() * self.width);
        let mut done = 0;
        for (_, start) in &self.lines {
            out.push_str(&text[done..*start]);
            out.extend(std::iter::repeat_n(' ', self.width));
            done = *start;
        }
        out + &text[done..]
    }
}

/// Parses a document for which the parser returned [`FAULT`]; `None` if indenting lines does not
/// help.
pub(super) fn read(
    chunk: Chunk<'_>,
    booleans: Booleans,
    mut error: SyntaxError,
) -> Option<Result<Option<DocumentNode<'static>>, SyntaxError>> {
    let depth = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let mut indented = Indented {
        width: chunk.text.lines().map(depth).max()? + 1,
        ..Indented::default()
    };
    let mut left = MAX_REREAD_BYTES;
    for _ in 0..MAX_INDENTED_LINES {
        indented.add(error.position.line.checked_sub(chunk.lines)?, chunk.text)?;
        let size = chunk.text.len() + indented.lines.len() * indented.width;
        left = left.checked_sub(size)?;
        let text = indented.applied_to(chunk.text);
        let repaired = Chunk {
            text: &text,
            ..chunk
        };
        match yaml::parse(repaired, booleans, &indented) {
            Err(again) if again.reason.starts_with(FAULT) => error = again,
            other => return Some(other.map(|node| node.map(into_owned))),
        }
    }
    None
}

/// Converts a tree into one that owns its texts.
fn into_owned(node: DocumentNode<'_>) -> DocumentNode<'static> {
    let value = match node.value {
        NodeValue::Null => NodeValue::Null,
        NodeValue::Boolean(value) => NodeValue::Boolean(value),
        NodeValue::Number(value) => NodeValue::Number(value),
        NodeValue::String(text) => NodeValue::String(text.into_owned().into()),
        NodeValue::List(elements) => {
            NodeValue::List(elements.into_iter().map(into_owned).collect())
        }
        NodeValue::Object(entries) => {
            let own = |entry: super::ObjectEntry<'_>| super::ObjectEntry {
                key: into_owned(entry.key),
                value: into_owned(entry.value),
            };
            NodeValue::Object(entries.into_iter().map(own).collect())
        }
    };
    DocumentNode {
        value,
        location: node.location,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_mapped_back() {
        let text = "ab\ncd\nef\n";
        let mut indented = Indented {
            width: 3,
            ..Indented::default()
        };
        assert_eq!(
            [indented.add(3, text), indented.add(2, text)],
            [Some(()); 2]
        );
        assert_eq!(indented.add(2, text), None);
        let wide = indented.applied_to(text);
        assert_eq!(wide, "ab\n   cd\n   ef\n");
        let back: Vec<usize> = (0..=wide.len()).map(|at| indented.offset(at)).collect();
        assert_eq!(back, [0, 1, 2, 3, 3, 3, 3, 4, 5, 6, 6, 6, 6, 7, 8, 9]);
        assert_eq!([indented.column(1, 1), indented.column(3, 4)], [1, 1]);
    }
}
