//! Parses one YAML document into a tree, within limits.
//!
//! The tree is built from the parser's events and not by serde: reading does not recurse, so
//! nesting cannot overflow the stack, and each event has its location.

use std::{borrow::Cow, collections::HashMap};

use serde_saphyr::granit_parser::{
    Event, Marker, Options, Parser, ScalarStyle, ScanError, Span as Extent,
};

use super::{
    Booleans, DocumentNode, MAX_DEPTH, MAX_NODES, NodeValue, ObjectEntry, SourceLocation,
    SyntaxError,
    indented::Indented,
    merge::{Pairs, is_merge_key},
    scalar,
    split::Chunk,
};
use crate::{Position, Span};

/// The parser's error message for a line of a quoted scalar that is not indented deep enough.
pub(super) const QUOTED_INDENTATION: &str = "invalid indentation in multiline quoted scalar";
/// The maximum size of the text that aliases may add to a document.
const MAX_COPIED_BYTES: usize = 32 << 20;

/// Parses one document, of which some lines were `indented`; `None` if it is empty. Locations are
/// mapped to the original text.
pub(super) fn parse<'a>(
    chunk: Chunk<'a>,
    booleans: Booleans,
    indented: &Indented,
) -> Result<Option<DocumentNode<'a>>, SyntaxError> {
    let mut builder = TreeBuilder {
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

/// A tree under construction.
struct TreeBuilder<'a, 'i> {
    chunk: Chunk<'a>,
    indented: &'i Indented,
    booleans: Booleans,
    open: Vec<OpenNode<'a>>,
    anchors: HashMap<usize, DocumentNode<'a>>,
    root: Option<DocumentNode<'a>>,
    nodes: usize,
    copied: usize,
}

/// A list or object that is still being parsed.
struct OpenNode<'a> {
    location: SourceLocation,
    anchor: usize,
    content: Content<'a>,
}

enum Content<'a> {
    List(Vec<DocumentNode<'a>>),
    Object(Pairs<'a>),
}

impl<'a> TreeBuilder<'a, '_> {
    fn take(&mut self, event: Event<'a>, extent: &Extent) -> Result<(), SyntaxError> {
        let location = self.location(extent);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                let core = tag.as_deref().map(|tag| tag.core_suffix());
                let merge = plain && is_merge_key(&text);
                let value = scalar::value(text, plain, core, self.booleans);
                self.put(DocumentNode { value, location }, anchor, merge)
            }
            Event::SequenceStart(_, anchor, _) => {
                self.open(location, anchor, Content::List(Vec::new()))
            }
            Event::MappingStart(_, anchor, _) => {
                self.open(location, anchor, Content::Object(Pairs::default()))
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(anchor) => {
                let node = self.copy(anchor, location)?;
                self.put(node, 0, false)
            }
            _ => Ok(()),
        }
    }

    fn open(
        &mut self,
        location: SourceLocation,
        anchor: usize,
        content: Content<'a>,
    ) -> Result<(), SyntaxError> {
        if self.open.len() >= MAX_DEPTH {
            return Err(SyntaxError::too_deep(location));
        }
        self.open.push(OpenNode {
            location,
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
            Content::List(elements) => NodeValue::List(elements),
            Content::Object(pairs) => NodeValue::Object(pairs.merged()?),
        };
        let node = DocumentNode {
            value,
            location: done.location,
        };
        self.put(node, done.anchor, false)
    }

    /// Adds a complete node to the innermost open list or object, or makes it the root.
    fn put(
        &mut self,
        node: DocumentNode<'a>,
        anchor: usize,
        merge: bool,
    ) -> Result<(), SyntaxError> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(SyntaxError::too_large(node.location));
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

    /// Returns a copy of the node that an alias refers to.
    fn copy(
        &mut self,
        anchor: usize,
        location: SourceLocation,
    ) -> Result<DocumentNode<'a>, SyntaxError> {
        match self.anchors.remove(&anchor) {
            Some(node) => {
                let copy = self.counted(&node, self.open.len());
                self.anchors.insert(anchor, node);
                copy
            }
            None => Err(SyntaxError::at(
                location,
                "this alias stands inside of what it refers to",
            )),
        }
    }

    /// Copies a tree to this depth, within the limits.
    fn counted(
        &mut self,
        node: &DocumentNode<'a>,
        depth: usize,
    ) -> Result<DocumentNode<'a>, SyntaxError> {
        if depth > MAX_DEPTH {
            return Err(SyntaxError::too_deep(node.location));
        }
        self.nodes += 1;
        if let NodeValue::String(Cow::Owned(text)) = &node.value {
            self.copied += text.len();
        }
        if self.nodes > MAX_NODES || self.copied > MAX_COPIED_BYTES {
            return Err(SyntaxError::too_large(node.location));
        }
        let value = match &node.value {
            NodeValue::List(elements) => {
                let copies = elements.iter().map(|e| self.counted(e, depth + 1));
                NodeValue::List(copies.collect::<Result<_, _>>()?)
            }
            NodeValue::Object(entries) => {
                let copies = entries.iter().map(|entry| {
                    Ok(ObjectEntry {
                        key: self.counted(&entry.key, depth + 1)?,
                        value: self.counted(&entry.value, depth + 1)?,
                    })
                });
                NodeValue::Object(copies.collect::<Result<_, _>>()?)
            }
            plain => plain.clone(),
        };
        Ok(DocumentNode {
            value,
            location: node.location,
        })
    }

    fn location(&self, extent: &Extent) -> SourceLocation {
        let offset = |marker: &Marker| {
            self.chunk.offset + self.indented.offset(marker.byte_offset().unwrap_or(0))
        };
        SourceLocation {
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
            // The message may quote the file, and is shown in terminals and logs.
            reason: reason(&error.info().replace(char::is_control, "\u{fffd}")),
            position: self.position(error.marker()),
        }
    }
}

/// Returns the parser's message, with a remedy where kubectl's parser is more lenient.
fn reason(info: &str) -> String {
    match info {
        QUOTED_INDENTATION => {
            format!("{info}: indent this line of the quoted text deeper than its key")
        }
        _ => info.to_owned(),
    }
}
