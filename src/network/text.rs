//! Places in a user's text.

use std::borrow::Cow;

/// A run of bytes in the text it came from: start and end offset, end not included.
///
/// For an annotation the text is the annotation's value, not the review around it. Offsets fit in
/// 32 bits because a review is at most 8 MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Offset behind the last byte.
    pub end: u32,
}

impl Span {
    /// The span from `start` to `end`; offsets above 4 GiB are held at the limit.
    pub fn new(start: usize, end: usize) -> Self {
        let clamp = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
        Self {
            start: clamp(start),
            end: clamp(end),
        }
    }

    /// Where `piece` lies in `whole`, if it is a borrowed part of it.
    ///
    /// This is how parsed values know their place without being told: a slice that was cut from
    /// the text still points into it.
    pub fn of(piece: &str, whole: &str) -> Option<Self> {
        let start = (piece.as_ptr() as usize).checked_sub(whole.as_ptr() as usize)?;
        let end = start.checked_add(piece.len())?;
        (end <= whole.len()).then(|| Self::new(start, end))
    }

    /// This span, seen from a text that begins `offset` bytes earlier.
    #[must_use]
    pub fn shifted(self, offset: usize) -> Self {
        Self::new(self.start as usize + offset, self.end as usize + offset)
    }
}

/// Line and column of a place, as an editor counts them: both from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1, counted in characters.
    pub column: usize,
}

impl Position {
    /// The position of byte `offset` in `text`. An offset behind the end is the end's position.
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

/// A value and where it stood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it stood.
    pub span: Span,
}

/// A user's text together with what it means, or why it means nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed<'a, T, E> {
    /// The text as written (JSON escapes resolved, surrounding white space removed where the
    /// format ignores it).
    pub text: Cow<'a, str>,
    /// Where it stood.
    pub span: Span,
    /// Its meaning.
    pub value: Result<T, E>,
}

impl<'a, T, E> Parsed<'a, T, E> {
    /// Parses `text` with `parse` and keeps both.
    pub fn new(text: Spanned<Cow<'a, str>>, parse: impl FnOnce(&str) -> Result<T, E>) -> Self {
        let value = parse(&text.value);
        Self {
            text: text.value,
            span: text.span,
            value,
        }
    }

    /// The meaning, where there is one.
    pub fn ok(&self) -> Option<&T> {
        self.value.as_ref().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_borrowed_piece_knows_its_place() {
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
