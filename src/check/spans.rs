//! Maps a finding's position in a string to its position in the file.

use std::collections::HashMap;

use crate::{
    document::ScalarMap,
    manifests::Located,
    network::{LineIndex, Position, Span},
};

/// The strings of one object. Each is mapped to the file when a finding needs it.
pub(super) struct StringSpans<'f> {
    file: &'f str,
    maps: HashMap<u32, Option<ScalarMap>>,
}

impl<'f> StringSpans<'f> {
    /// Returns an empty map for the file with this text.
    pub(super) fn new(file: &'f str) -> Self {
        Self {
            file,
            maps: HashMap::new(),
        }
    }

    /// Returns the span in the file of a part of a string. Without a part, or where the string's
    /// notation cannot be mapped, returns the string's first line.
    pub(super) fn span(&mut self, string: &Located<Box<str>>, part: Option<Span>) -> Span {
        let whole = string.location.span;
        let Some(part) = part else {
            return first_line(whole, self.file);
        };
        let map = self
            .maps
            .entry(whole.start)
            .or_insert_with(|| ScalarMap::new(self.file, string.location, &string.value));
        match map {
            Some(map) => Span::new(
                map.offset(part.start as usize),
                map.offset(part.end.max(part.start) as usize),
            ),
            None => first_line(whole, self.file),
        }
    }
}

/// Returns the part of a span that is on its first line.
pub(super) fn first_line(span: Span, text: &str) -> Span {
    let (start, end) = (span.start as usize, span.end as usize);
    let part = text.get(start..end).unwrap_or_default();
    let line = part.lines().next().unwrap_or_default();
    Span::new(start, start + line.trim_end().len())
}

/// Returns the empty span at a position.
pub(super) fn span_at(position: Position, lines: &LineIndex<'_>) -> Span {
    let offset = lines.offset(position).unwrap_or_else(|| {
        let line = lines.line(position.line);
        lines.start(position.line) + line.trim_end().len()
    });
    Span::new(offset, offset)
}
