//! Splits a YAML text into documents.
//!
//! In YAML, `---` and `...` at the beginning of a line separate documents in every context, even
//! inside of quoted scalars and blocks. So splitting needs no parser, and works for documents with
//! syntax errors, too.

/// The text of a document, and its location in the whole text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chunk<'a> {
    /// The text, including the `---` or directives that open it.
    pub text: &'a str,
    /// The offset of its first byte.
    pub offset: usize,
    /// The number of lines before it.
    pub lines: usize,
}

/// Returns the documents of `text` that have content.
pub(super) fn chunks(text: &str) -> impl Iterator<Item = Chunk<'_>> {
    let mut rest = Chunk {
        text,
        offset: 0,
        lines: 0,
    };
    std::iter::from_fn(move || {
        while !rest.text.is_empty() {
            let (chunk, filled) = rest.cut();
            if filled {
                return Some(chunk);
            }
        }
        None
    })
}

impl<'a> Chunk<'a> {
    /// Removes and returns the first document, and whether it has content.
    fn cut(&mut self) -> (Self, bool) {
        let (mut length, mut lines) = (0, 0);
        let (mut opened, mut filled) = (false, false);
        for line in self.text.split_inclusive('\n') {
            if is_marker(line, "---") {
                // Comments and directives before the first `---` belong to the document it opens.
                if opened || filled {
                    break;
                }
                opened = true;
            }
            length += line.len();
            lines += 1;
            if is_marker(line, "...") {
                break;
            }
            filled |= has_content(line);
        }
        let chunk = Chunk {
            text: &self.text[..length],
            ..*self
        };
        self.text = &self.text[length..];
        self.offset += length;
        self.lines += lines;
        (chunk, filled)
    }
}

fn is_marker(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

/// Returns true if a line has more than a comment, a directive or a lone `---`.
fn has_content(line: &str) -> bool {
    let line = line.trim_start_matches('\u{feff}');
    let line = match line.strip_prefix("---") {
        Some(behind) if is_marker(line, "---") => behind,
        _ if line.starts_with('%') => return false,
        _ => line,
    };
    let text = line.trim();
    !text.is_empty() && !text.starts_with('#')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<(&str, usize)> {
        chunks(text).map(|c| (c.text, c.lines)).collect()
    }

    #[test]
    fn documents_are_split_at_their_markers_and_empty_ones_skipped() {
        assert_eq!(
            split("a: 1\n---\n# nothing\n---\nb: 2\n...\nc: 3\n"),
            [("a: 1\n", 0), ("---\nb: 2\n...\n", 3), ("c: 3\n", 6)]
        );
        assert_eq!(split("# only\n---\n"), []);
        assert_eq!(split(""), []);
    }

    #[test]
    fn directives_belong_to_the_document_they_open() {
        let text = "%YAML 1.2\n---\na: 1\n";
        assert_eq!(split(text), [(text, 0)]);
    }

    #[test]
    fn a_document_may_begin_on_the_line_of_its_marker() {
        assert_eq!(split("--- text\n---x\n"), [("--- text\n---x\n", 0)]);
        assert_eq!(split("---\r\na: 1\r\n---"), [("---\r\na: 1\r\n", 0)]);
    }

    #[test]
    fn dashes_in_a_block_are_text() {
        let text = "a: |\n  ---\n  b\n";
        assert_eq!(split(text), [(text, 0)]);
    }
}
