//! The lines of a document that are indented before it is parsed again.

/// The lines of a document that were indented, and the width of the indentation.
#[derive(Debug, Default)]
pub(super) struct Indented {
    /// The numbers of the lines (from 1) and their original offsets, in order.
    lines: Vec<(usize, usize)>,
    width: usize,
}

impl Indented {
    /// Returns an indentation of no line yet.
    pub(super) fn by(width: usize) -> Self {
        Self {
            lines: Vec::new(),
            width,
        }
    }

    /// Returns the number of bytes that the indentation adds.
    pub(super) fn added_bytes(&self) -> usize {
        self.lines.len() * self.width
    }

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
    pub(super) fn add(&mut self, line: usize, text: &str) -> Option<()> {
        let index = self
            .lines
            .binary_search_by_key(&line, |(number, _)| *number);
        let lines = text.split_inclusive('\n').take(line.checked_sub(1)?);
        self.lines
            .insert(index.err()?, (line, lines.map(str::len).sum()));
        Some(())
    }

    /// Returns the text with its lines indented.
    pub(super) fn applied_to(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len() + self.added_bytes());
        let mut done = 0;
        for (_, start) in &self.lines {
            out.push_str(&text[done..*start]);
            out.extend(std::iter::repeat_n(' ', self.width));
            done = *start;
        }
        out + &text[done..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_mapped_back() {
        let text = "ab\ncd\nef\n";
        let mut indented = Indented::by(3);
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
