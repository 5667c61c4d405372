//! Spans and positions in a user's text, and texts of a bounded length.

use std::borrow::Cow;

/// The mark of an omission.
pub const OMISSION: char = '…';

/// Returns a text of at most `bytes`, with a mark if its end is missing.
pub fn clipped(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    let kept = text.floor_char_boundary(bytes.saturating_sub(OMISSION.len_utf8()));
    format!("{}{OMISSION}", &text[..kept])
}

/// A range of bytes of a text: start and end offset, the end not included.
///
/// For an annotation the text is the annotation's value, not the review that contains it. Offsets
/// fit in 32 bits because a review has at most 8 MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Span {
    /// The offset of the first byte.
    pub start: u32,
    /// The offset after the last byte.
    pub end: u32,
}

impl Span {
    /// Creates the span from `start` to `end`; offsets above 4 GiB are clamped.
    pub fn new(start: usize, end: usize) -> Self {
        let clamp = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
        Self {
            start: clamp(start),
            end: clamp(end),
        }
    }

    /// Returns the span of `piece` in `whole`, if it is a slice of it.
    ///
    /// Parsed values get their position in this way: a slice that was cut from the text still
    /// points into it.
    pub fn of(piece: &str, whole: &str) -> Option<Self> {
        let start = (piece.as_ptr() as usize).checked_sub(whole.as_ptr() as usize)?;
        let end = start.checked_add(piece.len())?;
        (end <= whole.len()).then(|| Self::new(start, end))
    }
}

/// The line and column of a position in a text as an editor counts them: from 1, columns in
/// characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
}

impl Position {
    /// Returns the position of byte `offset` in `text`; for an offset after the end, that of the
    /// end.
    pub fn of(offset: u32, text: &str) -> Self {
        let mut offset = (offset as usize).min(text.len());
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        let before = &text[..offset];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

/// A value and its span in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spanned<T> {
    pub value: T,
    /// The span in the text.
    pub span: Span,
}

/// A user's text together with its parsed value, or the reason why it is invalid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed<'a, T, E> {
    /// The text as written, with JSON escapes resolved, and without surrounding white space where
    /// the format ignores it.
    pub text: Cow<'a, str>,
    /// The span in the text.
    pub span: Span,
    /// The parsed value or the error.
    pub value: Result<T, E>,
}

impl<'a, T, E> Parsed<'a, T, E> {
    /// Parses `text` with `parse` and stores both text and result.
    pub fn new(text: Spanned<Cow<'a, str>>, parse: impl FnOnce(&str) -> Result<T, E>) -> Self {
        let value = parse(&text.value);
        Self {
            text: text.value,
            span: text.span,
            value,
        }
    }

    /// Returns the parsed value, if the text is valid.
    pub fn ok(&self) -> Option<&T> {
        self.value.as_ref().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_clipped_between_characters() {
        assert_eq!(clipped("größe", 10), "größe");
        assert_eq!(clipped("ääää", 6), "ä…");
    }

    #[test]
    fn a_slice_of_a_text_has_its_span() {
        let text = String::from("net-a,net-b");
        assert_eq!(Span::of(&text[6..], &text), Some(Span::new(6, 11)));
        assert_eq!(Span::of("elsewhere", &text), None);
    }

    #[test]
    fn positions_count_characters_from_one() {
        let text = "a\nüb";
        assert_eq!(Position::of(0, text), Position { line: 1, column: 1 });
        assert_eq!(Position::of(4, text), Position { line: 2, column: 2 });
        assert_eq!(Position::of(99, text), Position { line: 2, column: 3 });
        assert_eq!(
            Position::of(3, text),
            Position { line: 2, column: 1 },
            "inside a character"
        );
    }
}
