//! Where one document of a YAML text ends and the next begins.
//!
//! YAML allows `---` and `...` at the beginning of a line nowhere but between documents: in no
//! quoted text and in no block. So the split needs no parser, and a document that no parser could
//! read ends where it ends all the same.

/// A document's text and where it begins in the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chunk<'a> {
    /// The text, with the `---` or directives that open it.
    pub text: &'a str,
    /// Its first byte.
    pub offset: usize,
    /// The lines before it.
    pub lines: usize,
}

/// The documents of `text` that have any content.
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
    /// Takes the first document off; says whether it has content.
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

/// Whether a line has more than a comment, a directive or a lone `---`.
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
    fn documents_are_split_at_their_markers_and_empty_ones_passed_over() {
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
    fn a_document_may_begin_behind_its_marker() {
        assert_eq!(split("--- text\n---x\n"), [("--- text\n---x\n", 0)]);
        assert_eq!(split("---\r\na: 1\r\n---"), [("---\r\na: 1\r\n", 0)]);
    }

    #[test]
    fn dashes_in_a_block_are_text() {
        let text = "a: |\n  ---\n  b\n";
        assert_eq!(split(text), [(text, 0)]);
    }
}
