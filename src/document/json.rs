//! JSON texts as trees.
//!
//! YAML's parser would read most JSON, but not say what is wrong with the rest as JSON's does, and
//! kubectl reads what begins with `{` as JSON.

use super::{Entry, MAX_DEPTH, MAX_NODES, Node, Place, SyntaxError, Value, ValueKind};
use crate::network::{Position, Span, json};

/// Reads a whole text as one JSON object; `None` if it does not begin as one.
pub(super) fn read(text: &str) -> Option<Result<Node<'_>, SyntaxError>> {
    let begins = text.trim_start().starts_with('{');
    begins.then(|| document(text))
}

fn document(text: &str) -> Result<Node<'_>, SyntaxError> {
    let root = json::JsonNode::document(text).map_err(|error| SyntaxError {
        reason: format!("the text is not JSON: {}", error.reason),
        position: Position::of(error.offset, text),
    })?;
    let mut cursor = Cursor {
        text,
        offset: 0,
        position: Position { line: 1, column: 1 },
    };
    if separators(root.text()) > MAX_NODES {
        return Err(SyntaxError::too_large(cursor.place(root.span())));
    }
    node(root, &mut cursor, 0)
}

/// How many commas and colons stand outside of the strings: so many values it has at most, give
/// or take those that stand alone.
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

/// A place in the text that moves forward only, so that finding all positions costs one pass.
struct Cursor<'a> {
    text: &'a str,
    offset: usize,
    position: Position,
}

impl Cursor<'_> {
    fn place(&mut self, span: Span) -> Place {
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
        Place {
            span,
            position: self.position,
        }
    }
}

fn node<'a>(
    source: json::JsonNode<'a>,
    cursor: &mut Cursor<'_>,
    depth: usize,
) -> Result<Node<'a>, SyntaxError> {
    let place = cursor.place(source.span());
    if depth > MAX_DEPTH {
        return Err(SyntaxError::too_deep(place));
    }
    let value = match source.kind() {
        ValueKind::Null => Value::Null,
        ValueKind::Boolean => Value::Boolean(source.boolean().unwrap_or_default()),
        ValueKind::Number => Value::Number(source.integer()),
        ValueKind::String => Value::String(source.string().unwrap_or_default()),
        ValueKind::List => {
            let elements = source.elements().unwrap_or_default().into_iter();
            let nodes = elements.map(|element| node(element, cursor, depth + 1));
            Value::List(nodes.collect::<Result<_, _>>()?)
        }
        ValueKind::Object => {
            let members = source.members().unwrap_or_default().into_iter();
            let entries = members.map(|member| entry(member, cursor, depth + 1));
            Value::Object(entries.collect::<Result<_, _>>()?)
        }
    };
    Ok(Node { value, place })
}

fn entry<'a>(
    member: json::JsonMember<'a>,
    cursor: &mut Cursor<'_>,
    depth: usize,
) -> Result<Entry<'a>, SyntaxError> {
    // The span of a JSON name is without its quotes; a node's place has them.
    let inner = member.name.span;
    let span = Span::new(
        (inner.start as usize).saturating_sub(1),
        inner.end as usize + 1,
    );
    let key = Node {
        place: cursor.place(span),
        value: Value::String(member.name.value),
    };
    let value = node(member.value, cursor, depth)?;
    Ok(Entry { key, value })
}
