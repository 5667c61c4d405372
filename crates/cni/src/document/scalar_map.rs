//! Maps each character of a string to its position in the file, for every notation of scalars.
//!
//! A finding has a position in an annotation's text, and that text is a scalar of a YAML or JSON
//! file: plain, single- or double-quoted, a literal or a folded block. The map is created by
//! decoding the scalar once more while recording the position of every character. It is used only
//! if the decoded text equals the parser's, so it is never wrong; for an unsupported notation no map
//! exists. Maps are created for findings only, which are rare.
//!
//! The parsers (`saphyr-parser`, `granit-parser`, `marked-yaml`) report where a scalar begins and ends,
//! but not where each of its characters is.

use super::SourceLocation;

/// The position in the file of every byte of a string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScalarMap {
    /// For each byte of the string, the offset in the file at which its character begins; at the
    /// end, the offset after the last character.
    offsets: Vec<u32>,
}

/// A string that is being decoded.
#[derive(Default)]
struct DecodedScalar {
    text: String,
    offsets: Vec<u32>,
}

/// The character of an escape, if it has one, and the length of the escape.
type Escape = (Option<char>, usize);

/// The decoders of the notations of a string.
const FORMS: [fn(&Scalar<'_>) -> Option<DecodedScalar>; 5] =
    [plain, single, double, literal, folded];

/// A scalar as written in the file.
struct Scalar<'t> {
    raw: &'t str,
    offset: usize,
    indent: usize,
    /// The offsets of the line breaks of the empty lines at the beginning of a block. The block's
    /// location begins after them.
    breaks: Vec<usize>,
}

impl ScalarMap {
    /// Creates the map of the string `decoded` at `location` in `file`; `None` if the two do not
    /// match.
    pub fn new(file: &str, location: SourceLocation, decoded: &str) -> Option<Self> {
        let (start, end) = (location.span.start as usize, location.span.end as usize);
        let scalar = Scalar {
            raw: file.get(start..end)?,
            offset: start,
            // A block's location begins after the indentation of its first line.
            indent: location.position.column.saturating_sub(1),
            breaks: empty_lines(
                &file[..start],
                decoded.len() - decoded.trim_start_matches('\n').len(),
            ),
        };
        let maps = FORMS.iter().filter_map(|form| form(&scalar));
        let mut fitting = maps.filter_map(|found| found.cut_to(decoded));
        fitting.next().map(|offsets| Self { offsets })
    }

    /// Returns the offset in the file of the character at this byte of the string, or of its
    /// escape. For an offset after the string's end, returns the end of its last character.
    pub fn offset(&self, byte: usize) -> usize {
        let last = self.offsets.len().saturating_sub(1);
        self.offsets.get(byte.min(last)).map_or(0, |o| *o as usize)
    }
}

impl DecodedScalar {
    fn push(&mut self, c: char, offset: usize) {
        self.text.push(c);
        let offset = u32::try_from(offset).unwrap_or(u32::MAX);
        self.offsets.extend((0..c.len_utf8()).map(|_| offset));
    }

    fn append(&mut self, other: &mut Self) {
        self.text.push_str(&other.text);
        self.offsets.append(&mut other.offsets);
        other.text.clear();
    }

    /// Returns the offsets if the decoded text is `text`. Blocks are decoded with all line breaks
    /// at their end, of which some are then removed.
    fn cut_to(mut self, text: &str) -> Option<Vec<u32>> {
        let rest = self.text.strip_prefix(text)?;
        if rest.chars().any(|c| c != '\n') {
            return None;
        }
        let end = text
            .chars()
            .next_back()
            .map_or(0, |c| text.len() - c.len_utf8());
        let end_offset = match self.offsets.get(text.len()).or(self.offsets.last()) {
            Some(next) if text.len() < self.text.len() => *next,
            _ => self.offsets.get(end).map_or(0, |last| last + 1),
        };
        self.offsets.truncate(text.len());
        self.offsets.push(end_offset);
        Some(self.offsets)
    }
}

fn plain(scalar: &Scalar<'_>) -> Option<DecodedScalar> {
    flow(scalar.raw, scalar.offset, |_| None)
}

fn single(scalar: &Scalar<'_>) -> Option<DecodedScalar> {
    let inner = scalar.raw.strip_prefix('\'')?.strip_suffix('\'')?;
    flow(inner, scalar.offset + 1, |rest| {
        rest.starts_with("''").then_some((Some('\''), 2))
    })
}

fn double(scalar: &Scalar<'_>) -> Option<DecodedScalar> {
    let inner = scalar.raw.strip_prefix('"')?.strip_suffix('"')?;
    flow(inner, scalar.offset + 1, escape)
}

/// Returns the escape at the start of `rest`; `None` if the text is not escaped there. An escape that joins two
/// lines has no character.
fn escape(rest: &str) -> Option<Escape> {
    let letter = rest.strip_prefix('\\')?.chars().next()?;
    let plain = |c| Some((Some(c), 1 + letter.len_utf8()));
    match letter {
        '0' => plain('\0'),
        'a' => plain('\u{7}'),
        'b' => plain('\u{8}'),
        't' | '\t' => plain('\t'),
        'n' => plain('\n'),
        'v' => plain('\u{b}'),
        'f' => plain('\u{c}'),
        'r' => plain('\r'),
        'e' => plain('\u{1b}'),
        'N' => plain('\u{85}'),
        '_' => plain('\u{a0}'),
        'L' => plain('\u{2028}'),
        'P' => plain('\u{2029}'),
        ' ' | '"' | '/' | '\\' | '\'' => plain(letter),
        'x' => number(rest, 2),
        'u' => number(rest, 4).or_else(|| pair(rest)),
        'U' => number(rest, 8),
        '\n' | '\r' => {
            let line = 1 + newline(&rest[1..])?;
            let blank = rest[line..].len() - rest[line..].trim_start_matches([' ', '\t']).len();
            Some((None, line + blank))
        }
        _ => None,
    }
}

fn number(rest: &str, digits: usize) -> Option<Escape> {
    let code = u32::from_str_radix(rest.get(2..2 + digits)?, 16).ok()?;
    Some((Some(char::from_u32(code)?), 2 + digits))
}

/// Returns the character of two escapes that are a surrogate pair.
fn pair(rest: &str) -> Option<Escape> {
    let unit = |at: usize| u16::from_str_radix(rest.get(at..at + 4)?, 16).ok();
    let units = [unit(2)?, unit(8).filter(|_| rest.get(6..8) == Some("\\u"))?];
    let c = char::decode_utf16(units).next()?.ok()?;
    Some((Some(c), 12))
}

/// Returns the length of the line break at the start of `text`.
fn newline(text: &str) -> Option<usize> {
    match text.as_bytes() {
        [b'\r', b'\n', ..] => Some(2),
        [b'\r' | b'\n', ..] => Some(1),
        _ => None,
    }
}

/// Decodes plain and quoted scalars: a single line break becomes a space, several become one less,
/// and the white space around them is removed.
fn flow(raw: &str, offset: usize, escape: fn(&str) -> Option<Escape>) -> Option<DecodedScalar> {
    let (mut out, mut blanks, mut at) = (DecodedScalar::default(), DecodedScalar::default(), 0);
    while let Some(c) = raw[at..].chars().next() {
        if let Some((meaning, length)) = escape(&raw[at..]) {
            out.append(&mut blanks);
            if let Some(c) = meaning {
                out.push(c, offset + at);
            }
            at += length;
        } else if matches!(c, ' ' | '\t') {
            blanks.push(c, offset + at);
            at += 1;
        } else if newline(&raw[at..]).is_some() {
            blanks = DecodedScalar::default();
            at = fold(raw, at, offset, &mut out);
        } else {
            out.append(&mut blanks);
            out.push(c, offset + at);
            at += c.len_utf8();
        }
    }
    out.append(&mut blanks);
    Some(out)
}

/// Decodes line breaks and the white space between and after them; returns the offset of the next
/// character.
fn fold(raw: &str, mut at: usize, offset: usize, out: &mut DecodedScalar) -> usize {
    let first = at;
    let mut breaks = 0;
    while let Some(length) = newline(&raw[at..]) {
        if breaks > 0 {
            out.push('\n', offset + at);
        }
        breaks += 1;
        at += length;
        at += raw[at..].len() - raw[at..].trim_start_matches([' ', '\t']).len();
    }
    if breaks == 1 {
        out.push(' ', offset + first);
    }
    at
}

/// Returns the offsets of the line breaks of at most `most` empty lines at the end of the text `before`,
/// whose last line is incomplete.
fn empty_lines(before: &str, most: usize) -> Vec<usize> {
    let mut rest = before.trim_end_matches(' ');
    let mut breaks = Vec::new();
    while breaks.len() < most {
        let Some(end) = rest.strip_suffix('\n') else {
            break;
        };
        rest = end.trim_end_matches(['\r', ' ']);
        if !rest.ends_with('\n') {
            break;
        }
        breaks.push(end.strip_suffix('\r').unwrap_or(end).len());
    }
    breaks.reverse();
    breaks
}

fn literal(scalar: &Scalar<'_>) -> Option<DecodedScalar> {
    Some(block(scalar, false))
}

fn folded(scalar: &Scalar<'_>) -> Option<DecodedScalar> {
    Some(block(scalar, true))
}

/// Decodes blocks: the indentation is removed; a folded block joins lines that do not begin with
/// white space.
fn block(scalar: &Scalar<'_>, folded: bool) -> DecodedScalar {
    let (mut out, mut empty) = (DecodedScalar::default(), DecodedScalar::default());
    // The line break after the last line with content, and whether that line began with white
    // space.
    let mut last: Option<(usize, bool)> = None;
    let mut at = 0;
    for offset in &scalar.breaks {
        out.push('\n', *offset);
    }
    for (index, line) in scalar.raw.split_inclusive('\n').enumerate() {
        let content = line.trim_end_matches(['\n', '\r']);
        let spaces = content.len() - content.trim_start_matches(' ').len();
        let cut = if index == 0 {
            0
        } else {
            spaces.min(scalar.indent)
        };
        let (start, body) = (scalar.offset + at + cut, &content[cut..]);
        let end = scalar.offset + at + content.len();
        at += line.len();
        if body.is_empty() {
            if content.len() < line.len() {
                empty.push('\n', end);
            }
            continue;
        }
        let blank = body.starts_with([' ', '\t']);
        if let Some((offset, before)) = last {
            let joined = folded && !before && !blank;
            if !joined {
                out.push('\n', offset);
            } else if empty.text.is_empty() {
                out.push(' ', offset);
            }
        }
        out.append(&mut empty);
        for (inside, c) in body.char_indices() {
            out.push(c, start + inside);
        }
        last = Some((end, blank));
    }
    if let Some((offset, _)) = last {
        out.push('\n', offset);
    }
    out.append(&mut empty);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::document::{Booleans, read};

    /// Parses the file; returns the string under the key `a` and its map.
    fn mapped(file: &str, name: &str) -> (String, ScalarMap) {
        let document = read(file, name, Booleans::Yaml11).next();
        let root = document.map(|d| d.unwrap_or_else(|e| panic!("{e}: {file:?}")));
        let root = root.unwrap_or_else(|| panic!("no document: {file:?}"));
        let node = root.get("a").unwrap_or_else(|| panic!("no key: {file:?}"));
        let text = node
            .string()
            .unwrap_or_else(|| panic!("{node:?}: {file:?}"));
        let map = ScalarMap::new(file, node.location, text);
        let map = map.unwrap_or_else(|| panic!("{:?} is not {text:?} in {file:?}", node.location));
        (text.to_owned(), map)
    }

    /// Checks that the map leads from every character of the string to that character, its escape,
    /// or, where lines were joined, the line break.
    fn check(file: &str, name: &str) -> String {
        let (text, map) = mapped(file, name);
        let mut before = 0;
        for (byte, c) in text.char_indices() {
            let at = map.offset(byte);
            let there = file[at..].chars().next();
            let fits = there == Some(c)
                || there == Some('\\')
                || (matches!(c, ' ' | '\n') && matches!(there, Some('\n' | '\r')));
            assert!(fits, "{c:?} at {byte} is {there:?} at {at} of {file:?}");
            assert!(byte == 0 || at > before, "{byte} goes back in {file:?}");
            before = at;
        }
        assert!(map.offset(text.len()) > before || text.is_empty());
        text
    }

    #[test]
    fn every_form_is_mapped() {
        for (file, text) in [
            ("a: x\n", "x"),
            ("a: x y\n   z\n\n   w # c\n", "x y z\nw"),
            ("a: 'it''s\n\n\n  so'\n", "it's\n\nso"),
            ("a: \"x \\\n    y\\u00fc\\n\\\"\" \n", "x yü\n\""),
            ("a: |\n  x\n   y\n\n  z\nb: 1\n", "x\n y\n\nz\n"),
            ("a: |-  # why\n  'x'\n", "'x'"),
            ("a: |2+\n    x\n\n", "  x\n\n"),
            (
                "a: >\n  x\n  y\n\n  z\n    more\n  w\n",
                "x y\nz\n  more\nw\n",
            ),
            ("a: |\n\n  x\n", "\nx\n"),
            ("a: >-\n\n\n  x\n  y\n", "\n\nx y"),
            ("a: |\r\n  x\r\n  y\r\n", "x\ny\n"),
            ("a: !!str \"x\"\n", "x"),
            ("a: &b\n  'x'\n", "x"),
            ("b: {c: &d 'x y'}\na: *d\n", "x y"),
        ] {
            assert_eq!(check(file, "f.yaml"), text);
        }
        let json = "{\"a\": \"x\\ud83d\\ude00\\\"\\u00fcü\"}";
        assert_eq!(check(json, "f.json"), "x😀\"üü");
    }

    /// Generates a text of JSON on one line or on several.
    fn text() -> impl Strategy<Value = String> {
        let word = "[a-z0-9ü'\"\\\\ 😀#:@/.-]{0,12}";
        let member = ("[a-z]{1,6}", word).prop_map(|(name, value)| {
            let value = serde_json::to_string(&value).unwrap_or_default();
            format!("\"{name}\": {value}")
        });
        let gap = prop::sample::select(vec![" ", "\n", "\n  ", "\n\n", "\n    \n"]);
        (prop::collection::vec((member, gap), 1..5)).prop_map(|members| {
            let mut text = String::from("[{");
            for (member, gap) in members {
                text.push_str(&member);
                text.push(',');
                text.push_str(gap);
            }
            text.push_str("\"z\": 1}]");
            text
        })
    }

    fn indented(text: &str, indent: usize) -> String {
        let spaces = " ".repeat(indent);
        let lines = text.split('\n').map(|line| match line.trim() {
            "" => String::new(),
            _ => format!("{spaces}{line}"),
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Formats a quoted scalar: its line breaks are doubled, because single ones would be folded.
    fn quoted(text: &str, indent: usize) -> String {
        indented(&text.replace('\n', "\n\n"), indent)
            .trim_start()
            .to_owned()
    }

    proptest! {
        #[test]
        fn every_character_is_found(text in text(), indent in 1_usize..6, chomp in "[+-]?", tail in "\n{1,3}") {
            let one_line = text.replace('\n', " ");
            check(&format!("a: '{}'\n", one_line.replace('\'', "''")), "f.yaml");
            check(&format!("a: '{}'\n", quoted(&text, indent).replace('\'', "''")), "f.yaml");
            let escaped = serde_json::to_string(&text).unwrap_or_default();
            prop_assert_eq!(&check(&format!("a: {escaped}\n"), "f.yaml"), &text);
            prop_assert_eq!(&check(&format!("{{\"b\": [1],\n \"a\": {escaped}}}"), "f.json"), &text);
            for style in ["|", ">"] {
                let block = indented(&text, indent);
                check(&format!("b: 1\na: {style}{chomp}\n{block}{tail}c: 2\n"), "f.yaml");
                check(&format!("a: {style}{indent}{chomp} # why\n{block}{tail}"), "f.yaml");
            }
        }

        #[test]
        fn every_character_of_plain_texts_is_found(words in prop::collection::vec("[a-zü][a-z0-9/@.ü-]{0,9},?", 1..6), gap in "( {1,2}|\n {1,4}|\n\n  )") {
            let text = words.join(&gap);
            check(&format!("a: p{text}\nb: 1\n"), "f.yaml");
        }

        #[test]
        fn no_input_panics(file in "\\PC{0,40}", start in 0_usize..50, end in 0_usize..50, text in "\\PC{0,9}") {
            let location = SourceLocation {
                span: crate::Span::new(start, end),
                position: crate::Position { line: 1, column: 3 },
            };
            if let Some(map) = ScalarMap::new(&file, location, &text) {
                map.offset(99);
            }
        }
    }
}
