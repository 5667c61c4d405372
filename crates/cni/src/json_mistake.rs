//! Common mistakes in JSON: a comment, missing or wrong quotes, a missing or trailing comma.
//!
//! A parser reports what it expected; this module looks at the text where the parser stopped to
//! report what the user likely intended.

use std::fmt;

/// The maximum number of characters of the text that a message quotes.
const MAX_QUOTED_CHARS: usize = 40;

/// A mistake at the position where a parser stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JsonMistake<'a> {
    Comment(&'a str),
    /// A comma before a closing bracket.
    TrailingComma,
    /// A member's name without quotes.
    UnquotedKey(&'a str),
    /// A literal of another language, and the JSON literal to write instead: `true`, `false` or
    /// `null`.
    ForeignLiteral(&'a str, &'static str),
    /// A string without quotes.
    UnquotedText(&'a str),
    /// A string in single or typographic quotes.
    WrongQuotes(char),
    /// No comma between two values.
    MissingComma,
}

impl<'a> JsonMistake<'a> {
    /// Finds the mistake at byte `at`, where the parser stopped for `reason`; returns it with its
    /// offset.
    pub(super) fn at(text: &'a str, at: usize, reason: &str) -> Option<(Self, usize)> {
        let after = text.get(at..)?;
        let at = at + (after.len() - after.trim_ascii_start().len());
        let rest = text.get(at..)?;
        let first = rest.chars().next()?;
        let starts = |start: &str| rest.starts_with(start);
        let mistake = match first {
            '#' => Self::Comment(line(rest)),
            '/' if starts("//") || starts("/*") => Self::Comment(line(rest)),
            '}' | ']' => {
                let before = text.get(..at)?.trim_ascii_end();
                let comma = before.strip_suffix(',')?;
                return Some((Self::TrailingComma, comma.len()));
            }
            '\'' | '`' | '\u{2018}'..='\u{201f}' | '\u{ab}' | '\u{bb}' => Self::WrongQuotes(first),
            '"' if reason.starts_with("expected `,`") => Self::MissingComma,
            _ if first.is_alphabetic() || first == '_' => unquoted(text, at)?,
            _ => return None,
        };
        Some((mistake, at))
    }
}

/// Returns the mistake for a word without quotes: a name if a colon follows, otherwise a value. The
/// parser may have stopped inside of the word, at the first wrong letter.
fn unquoted(text: &str, at: usize) -> Option<JsonMistake<'_>> {
    let part = |c: char| c.is_alphanumeric() || "_-./:".contains(c);
    let before = text.get(..at)?;
    let start = before.trim_end_matches(part).len();
    let rest = text.get(start..)?;
    let end = rest.find(|c| !part(c)).unwrap_or(rest.len());
    let word = rest.get(..end)?;
    let name = word.find(':').map_or(word, |colon| &word[..colon]);
    let after = rest.get(name.len()..)?.trim_ascii_start();
    let opened = text.get(..start)?.trim_ascii_end();
    if opened.ends_with(['{', ',']) && after.starts_with(':') {
        return Some(JsonMistake::UnquotedKey(name));
    }
    let same = |words: &[&str]| words.iter().any(|known| word.eq_ignore_ascii_case(known));
    Some(if same(&["true", "yes", "on"]) {
        JsonMistake::ForeignLiteral(word, "true")
    } else if same(&["false", "no", "off"]) {
        JsonMistake::ForeignLiteral(word, "false")
    } else if same(&["null", "none", "nil", "undefined"]) {
        JsonMistake::ForeignLiteral(word, "null")
    } else {
        JsonMistake::UnquotedText(word)
    })
}

fn line(text: &str) -> &str {
    let line = text.split(['\n', '\r']).next().unwrap_or_default();
    line.trim_ascii_end()
}

fn truncated(text: &str) -> &str {
    let end = text
        .char_indices()
        .nth(MAX_QUOTED_CHARS)
        .map_or(text.len(), |(i, _)| i);
    &text[..end]
}

impl fmt::Display for JsonMistake<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Comment(text) => write!(
                f,
                "{:?} is a comment, which JSON does not allow: remove it",
                truncated(text)
            ),
            Self::TrailingComma => f.write_str("trailing comma"),
            Self::UnquotedKey(name) => write!(
                f,
                "the key {} has no quotes: write \"{}\"",
                truncated(name),
                truncated(name)
            ),
            Self::ForeignLiteral(word, meant) => {
                write!(f, "{} is not a JSON value: write {meant}", truncated(word))
            }
            Self::UnquotedText(word) => write!(
                f,
                "the text {} has no quotes: write \"{}\"",
                truncated(word),
                truncated(word)
            ),
            Self::WrongQuotes(quote) => {
                write!(
                    f,
                    "JSON does not quote strings with {quote}: write \" around the text"
                )
            }
            Self::MissingComma => f.write_str("a comma is missing before this position"),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::json::JsonNode;

    /// Returns the reason of the error, and the text at its offset.
    fn error_at(text: &str) -> (String, &str) {
        let error = JsonNode::document(text).map(|_| ()).unwrap_err();
        let rest = &text[error.offset as usize..];
        (error.reason, rest.get(..6).unwrap_or(rest))
    }

    #[test]
    fn each_mistake_is_reported_at_its_offset() {
        for (text, reason, place) in [
            (
                "{\"a\": \"b\", # host\n \"c\": 1}",
                "\"# host\" is a comment, which JSON does not allow: remove it",
                "# host",
            ),
            (
                "{\"a\": \"b\" // host\n, \"c\": 1}",
                "\"// host\" is a comment, which JSON does not allow: remove it",
                "// hos",
            ),
            (
                "/* a */ {}",
                "\"/* a */ {}\" is a comment, which JSON does not allow: remove it",
                "/* a *",
            ),
            ("{\"a\": 1 ,}", "trailing comma", ",}"),
            ("[1, 2, ]", "trailing comma", ", ]"),
            (
                "{type: \"macvlan\"}",
                "the key type has no quotes: write \"type\"",
                "type: ",
            ),
            (
                "{\"a\": 1, name : 2}",
                "the key name has no quotes: write \"name\"",
                "name :",
            ),
            (
                "{'type': 1}",
                "JSON does not quote strings with ': write \" around the text",
                "'type'",
            ),
            (
                "{\"a\": 'b'}",
                "JSON does not quote strings with ': write \" around the text",
                "'b'}",
            ),
            (
                "{\u{201c}type\u{201d}: 1}",
                "JSON does not quote strings with \u{201c}: write \" around the text",
                "\u{201c}typ",
            ),
            (
                "{\"a\": True}",
                "True is not a JSON value: write true",
                "True}",
            ),
            (
                "{\"a\": eth0}",
                "the text eth0 has no quotes: write \"eth0\"",
                "eth0}",
            ),
            (
                "{\"a\": \"b\"\n \"c\": 1}",
                "a comma is missing before this position",
                "\"c\": 1",
            ),
        ] {
            assert_eq!(error_at(text), (reason.to_owned(), place), "{text}");
        }
    }

    #[test]
    fn a_comma_is_trailing_only_before_a_bracket() {
        let (reason, _) = error_at("{\"a\": 1, 5}");
        assert_eq!(reason, "key must be a string");
        let (reason, _) = error_at("{\"a\": 1, # c\n}");
        assert!(reason.contains("comment"), "{reason}");
    }

    #[test]
    fn no_broken_text_panics() {
        for text in [
            "{\"a\": é}",
            "é",
            "{é",
            "nul",
            "{\"a\": tru",
            "{\"a\":\u{a0}1}",
            "[1 é]",
            "'",
        ] {
            let error = JsonNode::document(text).map(|_| ()).unwrap_err();
            assert!(text.is_char_boundary(error.offset as usize), "{text}");
        }
    }
}
