//! Accepts a kind of YAML that kubectl accepts and the specification does not: lines of a quoted
//! scalar that are indented no deeper than its key, such as a closing bracket below it.
//!
//! Leading white space of such a line is insignificant. So the line is indented, the document is
//! parsed again, and every location is mapped back to the original text.
//!
//! The parser of `serde-saphyr` rejects such lines, as the specification does.

use super::{
    Booleans, DocumentNode, NodeValue, SyntaxError,
    indented::Indented,
    split::Chunk,
    yaml::{self, QUOTED_INDENTATION},
};

/// The maximum number of lines of a document that are indented.
const MAX_INDENTED_LINES: usize = 1000;
/// The maximum total size of the text that is parsed again, so that parsing always ends.
const MAX_REREAD_BYTES: usize = 32 << 20;

/// Parses one document; `None` if it is empty.
pub(super) fn read(
    chunk: Chunk<'_>,
    booleans: Booleans,
) -> Result<Option<DocumentNode<'_>>, SyntaxError> {
    match yaml::parse(chunk, booleans, &Indented::default()) {
        Err(error) if error.reason.starts_with(QUOTED_INDENTATION) => {
            repair(chunk, booleans, error.clone()).unwrap_or(Err(error))
        }
        read => read,
    }
}

/// Parses a document for which the parser returned [`QUOTED_INDENTATION`]; `None` if indenting lines does not
/// help.
fn repair(
    chunk: Chunk<'_>,
    booleans: Booleans,
    mut error: SyntaxError,
) -> Option<Result<Option<DocumentNode<'static>>, SyntaxError>> {
    let depth = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let mut indented = Indented::by(chunk.text.lines().map(depth).max()? + 1);
    let mut left = MAX_REREAD_BYTES;
    for _ in 0..MAX_INDENTED_LINES {
        indented.add(error.position.line.checked_sub(chunk.lines)?, chunk.text)?;
        let size = chunk.text.len() + indented.added_bytes();
        left = left.checked_sub(size)?;
        let text = indented.applied_to(chunk.text);
        let repaired = Chunk {
            text: &text,
            ..chunk
        };
        match yaml::parse(repaired, booleans, &indented) {
            Err(again) if again.reason.starts_with(QUOTED_INDENTATION) => error = again,
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
