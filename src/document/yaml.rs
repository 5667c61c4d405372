//! One YAML document as a tree, within limits.
//!
//! The tree is built from the parser's events and not by serde: nothing here recurses while
//! reading, so no nesting overflows a stack, and each event brings its place.

use std::{borrow::Cow, collections::HashMap};

use serde_saphyr::granit_parser::{
    Event, Marker, Options, Parser, ScalarStyle, ScanError, Span as Extent,
};

use super::{
    Booleans, Entry, MAX_DEPTH, MAX_NODES, Node, Place, SyntaxError, Value,
    lenient::{self, Indented},
    merge::{Pairs, is_merge_key},
    scalar,
    split::Chunk,
};
use crate::network::{Position, Span};

/// How much text aliases may add to a document.
const MAX_COPIED: usize = 32 << 20;

/// Reads one document; `None` if it turns out to be empty.
pub(super) fn read(chunk: Chunk<'_>, booleans: Booleans) -> Result<Option<Node<'_>>, SyntaxError> {
    match parse(chunk, booleans, &Indented::default()) {
        Err(error) if error.reason.starts_with(lenient::FAULT) => {
            lenient::read(chunk, booleans, error.clone()).unwrap_or(Err(error))
        }
        read => read,
    }
}

/// The same of a document whose lines were `indented`.
pub(super) fn parse<'a>(
    chunk: Chunk<'a>,
    booleans: Booleans,
    indented: &Indented,
) -> Result<Option<Node<'a>>, SyntaxError> {
    let mut builder = Builder {
        chunk,
        indented,
        booleans,
        open: Vec::new(),
        anchors: HashMap::new(),
        root: None,
        nodes: 0,
        copied: 0,
    };
    for event in Parser::new_from_str_with_options(chunk.text, options()) {
        let (event, extent) = event.map_err(|error| builder.syntax_error(&error))?;
        builder.take(event, &extent)?;
    }
    Ok(builder.root.filter(|root| !root.is_null()))
}

fn options() -> Options {
    let mut options = Options::default();
    options.set_emit_comments(false);
    options
}

/// A tree half built.
struct Builder<'a, 'i> {
    chunk: Chunk<'a>,
    indented: &'i Indented,
    booleans: Booleans,
    open: Vec<Open<'a>>,
    anchors: HashMap<usize, Node<'a>>,
    root: Option<Node<'a>>,
    nodes: usize,
    copied: usize,
}

/// A list or object that has not ended yet.
struct Open<'a> {
    place: Place,
    anchor: usize,
    content: Content<'a>,
}

enum Content<'a> {
    List(Vec<Node<'a>>),
    Object(Pairs<'a>),
}

impl<'a> Builder<'a, '_> {
    fn take(&mut self, event: Event<'a>, extent: &Extent) -> Result<(), SyntaxError> {
        let place = self.place(extent);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                let core = tag.as_deref().map(|tag| tag.core_suffix());
                let merge = plain && is_merge_key(&text);
                let value = scalar::value(text, plain, core, self.booleans);
                self.put(Node { value, place }, anchor, merge)
            }
            Event::SequenceStart(_, anchor, _) => {
                self.open(place, anchor, Content::List(Vec::new()))
            }
            Event::MappingStart(_, anchor, _) => {
                self.open(place, anchor, Content::Object(Pairs::default()))
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(anchor) => {
                let node = self.copy(anchor, place)?;
                self.put(node, 0, false)
            }
            _ => Ok(()),
        }
    }

    fn open(
        &mut self,
        place: Place,
        anchor: usize,
        content: Content<'a>,
    ) -> Result<(), SyntaxError> {
        if self.open.len() >= MAX_DEPTH {
            return Err(SyntaxError::too_deep(place));
        }
        self.open.push(Open {
            place,
            anchor,
            content,
        });
        Ok(())
    }

    fn close(&mut self) -> Result<(), SyntaxError> {
        let Some(done) = self.open.pop() else {
            return Ok(());
        };
        let value = match done.content {
            Content::List(elements) => Value::List(elements),
            Content::Object(pairs) => Value::Object(pairs.merged()?),
        };
        let node = Node {
            value,
            place: done.place,
        };
        self.put(node, done.anchor, false)
    }

    /// Puts a finished node where it belongs.
    fn put(&mut self, node: Node<'a>, anchor: usize, merge: bool) -> Result<(), SyntaxError> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(SyntaxError::too_large(node.place));
        }
        if anchor > 0 {
            let copy = self.counted(&node, 0)?;
            self.anchors.insert(anchor, copy);
        }
        match self.open.last_mut().map(|open| &mut open.content) {
            Some(Content::List(elements)) => elements.push(node),
            Some(Content::Object(pairs)) => pairs.put(node, merge),
            None => self.root = Some(node),
        }
        Ok(())
    }

    /// What an alias stands for.
    fn copy(&mut self, anchor: usize, place: Place) -> Result<Node<'a>, SyntaxError> {
        match self.anchors.remove(&anchor) {
            Some(node) => {
                let copy = self.counted(&node, self.open.len());
                self.anchors.insert(anchor, node);
                copy
            }
            None => Err(SyntaxError::at(
                place,
                "this alias stands inside of what it refers to",
            )),
        }
    }

    /// A copy of a tree at this depth, within the limits.
    fn counted(&mut self, node: &Node<'a>, depth: usize) -> Result<Node<'a>, SyntaxError> {
        if depth > MAX_DEPTH {
            return Err(SyntaxError::too_deep(node.place));
        }
        self.nodes += 1;
        if let Value::String(Cow::Owned(text)) = &node.value {
            self.copied += text.len();
        }
        if self.nodes > MAX_NODES || self.copied > MAX_COPIED {
            return Err(SyntaxError::too_large(node.place));
        }
        let value = match &node.value {
            Value::List(elements) => {
                let copies = elements.iter().map(|e| self.counted(e, depth + 1));
                Value::List(copies.collect::<Result<_, _>>()?)
            }
            Value::Object(entries) => {
                let copies = entries.iter().map(|entry| {
                    Ok(Entry {
                        key: self.counted(&entry.key, depth + 1)?,
                        value: self.counted(&entry.value, depth + 1)?,
                    })
                });
                Value::Object(copies.collect::<Result<_, _>>()?)
            }
            plain => plain.clone(),
        };
        Ok(Node {
            value,
            place: node.place,
        })
    }

    fn place(&self, extent: &Extent) -> Place {
        let offset = |marker: &Marker| {
            self.chunk.offset + self.indented.offset(marker.byte_offset().unwrap_or(0))
        };
        Place {
            span: Span::new(offset(&extent.start), offset(&extent.end)),
            position: self.position(&extent.start),
        }
    }

    fn position(&self, marker: &Marker) -> Position {
        let line = marker.line().max(1);
        Position {
            line: self.chunk.lines + line,
            column: self.indented.column(line, marker.col()) + 1,
        }
    }

    fn syntax_error(&self, error: &ScanError) -> SyntaxError {
        SyntaxError {
            // The text may quote the file, and ends up in terminals and logs.
            reason: reason(&error.info().replace(char::is_control, "\u{fffd}")),
            position: self.position(error.marker()),
        }
    }
}

/// What the parser stumbled over, with what to write instead where kubectl's parser is more lenient.
fn reason(info: &str) -> String {
    match info {
        lenient::FAULT => {
            format!("{info}: indent this line of the quoted text deeper than its key")
        }
        _ => info.to_owned(),
    }
}
