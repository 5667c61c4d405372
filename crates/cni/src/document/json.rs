//! Parses JSON texts into trees.
//!
//! A YAML parser would accept most JSON, but its error messages for the rest are worse, and kubectl
//! reads texts that begin with `{` as JSON.

use super::{
    DocumentNode, MAX_DEPTH, MAX_NODES, NodeValue, ObjectEntry, SourceLocation, SyntaxError,
    ValueKind,
};
use crate::{Position, Span, json};

/// Parses a whole text as one JSON object; `None` if it does not begin with `{`.
pub(super) fn read(text: &str) -> Option<Result<DocumentNode<'_>, SyntaxError>> {
    let begins = text.trim_start().starts_with('{');
    begins.then(|| document(text))
}

fn document(text: &str) -> Result<DocumentNode<'_>, SyntaxError> {
    let root = json::JsonNode::document(text).map_err(|error| SyntaxError {
        reason: format!("the text is not JSON: {}", error.reason),
        position: Position::of(error.offset, text),
    })?;
    let mut cursor = LocationCursor {
        text,
        offset: 0,
        position: Position { line: 1, column: 1 },
    };
    if separators(root.text()) > MAX_NODES {
        return Err(SyntaxError::too_large(cursor.location(root.span())));
    }
    node(root, &mut cursor, 0)
}

/// Returns the number of commas and colons outside of strings: an estimate of the number of values
/// that needs no parsing.
fn separators(json: &str) -> usize {
    let (mut count, mut in_string, mut escaped) = (0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            b',' | b':' if !in_string => count += 1,
            _ => {}
        }
    }
    count
}

/// A location in the text that moves forward only, so that all positions are computed in one pass.
struct LocationCursor<'a> {
    text: &'a str,
    offset: usize,
    position: Position,
}

impl LocationCursor<'_> {
    fn location(&mut self, span: Span) -> SourceLocation {
        let start = span.start as usize;
        let passed = &self.text[self.offset..start];
        self.offset = start;
        let line = match passed.rsplit_once('\n') {
            Some((lines, line)) => {
                self.position.line += lines.matches('\n').count() + 1;
                self.position.column = 1;
                line
            }
            None => passed,
        };
        self.position.column += line.chars().count();
        SourceLocation {
            span,
            position: self.position,
        }
    }
}

fn node<'a>(
    source: json::JsonNode<'a>,
    cursor: &mut LocationCursor<'_>,
    depth: usize,
) -> Result<DocumentNode<'a>, SyntaxError> {
    let location = cursor.location(source.span());
    if depth > MAX_DEPTH {
        return Err(SyntaxError::too_deep(location));
    }
    let value = match source.kind() {
        ValueKind::Null => NodeValue::Null,
        ValueKind::Boolean => NodeValue::Boolean(source.boolean().unwrap_or_default()),
        ValueKind::Number => NodeValue::Number(source.integer()),
        ValueKind::String => NodeValue::String(source.string().unwrap_or_default()),
        ValueKind::List => {
            let elements = source.elements().unwrap_or_default().into_iter();
            let nodes = elements.map(|element| node(element, cursor, depth + 1));
            NodeValue::List(nodes.collect::<Result<_, _>>()?)
        }
        ValueKind::Object => {
            let members = source.members().unwrap_or_default().into_iter();
            let entries = members.map(|member| entry(member, cursor, depth + 1));
            NodeValue::Object(entries.collect::<Result<_, _>>()?)
        }
    };
    Ok(DocumentNode { value, location })
}

fn entry<'a>(
    member: json::JsonMember<'a>,
    cursor: &mut LocationCursor<'_>,
    depth: usize,
) -> Result<ObjectEntry<'a>, SyntaxError> {
    // The span of a JSON name excludes its quotes; a node's location includes them.
    let inner = member.name.span;
    let span = Span::new(
        (inner.start as usize).saturating_sub(1),
        inner.end as usize + 1,
    );
    let key = DocumentNode {
        location: cursor.location(span),
        value: NodeValue::String(member.name.value),
    };
    let value = node(member.value, cursor, depth)?;
    Ok(ObjectEntry { key, value })
}
