//! YAML that kubectl takes and the specification does not: lines of a quoted text that are indented
//! no deeper than its key, such as a closing bracket below it.
//!
//! White space at the beginning of such a line means nothing, so the line is indented, the document
//! read once more, and every place moved back to where it is in the file.

use super::{Booleans, Node, SyntaxError, Value, split::Chunk, yaml};

/// What the parser says of such a line.
pub(super) const FAULT: &str = "invalid indentation in multiline quoted scalar";

/// The most lines of a document that are indented.
const MOST_LINES: usize = 1000;
/// How much text may be read once more, all in all: reading ends, whatever the document says.
const MOST_TEXT: usize = 32 << 20;

/// Lines of a document that were indented, and how deep.
#[derive(Debug, Default)]
pub(super) struct Indented {
    /// Their numbers from 1, and where they began, in their order.
    lines: Vec<(usize, usize)>,
    width: usize,
}

impl Indented {
    /// Where the byte at `offset` of the indented text was before.
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

    /// The column from 0 that a column of a line was before.
    pub(super) fn column(&self, line: usize, column: usize) -> usize {
        match self
            .lines
            .binary_search_by_key(&line, |(number, _)| *number)
        {
            Ok(_) => column.saturating_sub(self.width),
            Err(_) => column,
        }
    }

    /// Takes over one more line; `None` if it was indented before.
    fn add(&mut self, line: usize, text: &str) -> Option<()> {
        let place = self
            .lines
            .binary_search_by_key(&line, |(number, _)| *number);
        let lines = text.split_inclusive('\n').take(line.checked_sub(1)?);
        self.lines
            .insert(place.err()?, (line, lines.map(str::len).sum()));
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

/// Reads a document of which the parser said [`FAULT`]; `None` if that does not help.
pub(super) fn read(
    chunk: Chunk<'_>,
    booleans: Booleans,
    mut error: SyntaxError,
) -> Option<Result<Option<Node<'static>>, SyntaxError>> {
    let depth = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let mut indented = Indented {
        width: chunk.text.lines().map(depth).max()? + 1,
        ..Indented::default()
    };
    let mut left = MOST_TEXT;
    for _ in 0..MOST_LINES {
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
            other => return Some(other.map(|node| node.map(owned))),
        }
    }
    None
}

/// The same tree, with its texts its own.
fn owned(node: Node<'_>) -> Node<'static> {
    let value = match node.value {
        Value::Null => Value::Null,
        Value::Boolean(value) => Value::Boolean(value),
        Value::Number(value) => Value::Number(value),
        Value::String(text) => Value::String(text.into_owned().into()),
        Value::List(elements) => Value::List(elements.into_iter().map(owned).collect()),
        Value::Object(entries) => {
            let own = |entry: super::Entry<'_>| super::Entry {
                key: owned(entry.key),
                value: owned(entry.value),
            };
            Value::Object(entries.into_iter().map(own).collect())
        }
    };
    Node {
        value,
        place: node.place,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_moved_back() {
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
