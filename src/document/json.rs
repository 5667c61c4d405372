//! JSON texts as trees.
//!
//! YAML's parser would read most JSON, but not say what is wrong with the rest as JSON's does, and
//! kubectl reads what begins with `{` as JSON.

use super::{Entry, Kind, MAX_DEPTH, Node, Place, SyntaxError, Value};
use crate::network::{Position, Span, json};

/// Reads a whole text as one JSON object; `None` if it does not begin as one.
pub(super) fn read(text: &str) -> Option<Result<Node<'_>, SyntaxError>> {
    let begins = text.trim_start().starts_with('{');
    begins.then(|| document(text))
}

fn document(text: &str) -> Result<Node<'_>, SyntaxError> {
    let root = json::Node::document(text).map_err(|error| SyntaxError {
        reason: format!("the text is not JSON: {}", error.reason),
        position: Position::of(error.at, text),
    })?;
    let mut lines = Lines {
        text,
        offset: 0,
        line: 1,
        line_start: 0,
    };
    node(root, &mut lines, 0)
}

/// A place in the text that moves forward only, so that finding all positions costs one pass.
struct Lines<'a> {
    text: &'a str,
    offset: usize,
    line: usize,
    line_start: usize,
}

impl Lines<'_> {
    fn place(&mut self, span: Span) -> Place {
        let start = span.start as usize;
        for (index, _) in self.text[self.offset..start].match_indices('\n') {
            self.line += 1;
            self.line_start = self.offset + index + 1;
        }
        self.offset = start;
        Place {
            span,
            position: Position {
                line: self.line,
                column: self.text[self.line_start..start].chars().count() + 1,
            },
        }
    }
}

fn node<'a>(
    source: json::Node<'a>,
    lines: &mut Lines<'_>,
    depth: usize,
) -> Result<Node<'a>, SyntaxError> {
    let place = lines.place(source.span());
    if depth > MAX_DEPTH {
        return Err(SyntaxError::too_deep(place));
    }
    let value = match source.kind() {
        Kind::Null => Value::Null,
        Kind::Boolean => Value::Boolean(source.boolean().unwrap_or_default()),
        Kind::Number => Value::Number,
        Kind::String => Value::String(source.string().unwrap_or_default()),
        Kind::List => {
            let elements = source.elements().unwrap_or_default().into_iter();
            let nodes = elements.map(|element| node(element, lines, depth + 1));
            Value::List(nodes.collect::<Result<_, _>>()?)
        }
        Kind::Object => {
            let members = source.members().unwrap_or_default().into_iter();
            let entries = members.map(|member| entry(member, lines, depth + 1));
            Value::Object(entries.collect::<Result<_, _>>()?)
        }
    };
    Ok(Node { value, place })
}

fn entry<'a>(
    member: json::Member<'a>,
    lines: &mut Lines<'_>,
    depth: usize,
) -> Result<Entry<'a>, SyntaxError> {
    // The span of a JSON name is without its quotes; a node's place has them.
    let inner = member.name.span;
    let span = Span::new(
        (inner.start as usize).saturating_sub(1),
        inner.end as usize + 1,
    );
    let key = Node {
        place: lines.place(span),
        value: Value::String(member.name.value),
    };
    let value = node(member.value, lines, depth)?;
    Ok(Entry { key, value })
}
