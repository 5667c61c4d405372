//! Mistakes that people make in JSON, named: a comment, quotes that are missing or of the wrong sort, a
//! comma too many or too few.
//!
//! A parser says what it expected; here the text at the place where it stopped says what was meant.

use std::fmt;

/// The most characters of the text that a message repeats.
const SHORT: usize = 40;

/// A mistake at the place where a parser stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mistake<'a> {
    /// A comment.
    Comment(&'a str),
    /// A comma before a closing bracket.
    TrailingComma,
    /// A name of a member without quotes.
    BareKey(&'a str),
    /// A word of another language for `true`, `false` or `null`.
    Word(&'a str, &'static str),
    /// A text without quotes.
    BareText(&'a str),
    /// A text in single or typographic quotes.
    OddQuotes(char),
    /// No comma between two values.
    MissingComma,
}

impl<'a> Mistake<'a> {
    /// Finds the mistake at the byte `at`, where the parser stopped for `reason`, and its place.
    pub(super) fn at(text: &'a str, at: usize, reason: &str) -> Option<(Self, usize)> {
        let behind = text.get(at..)?;
        let at = at + (behind.len() - behind.trim_ascii_start().len());
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
            '\'' | '`' | '\u{2018}'..='\u{201f}' | '\u{ab}' | '\u{bb}' => Self::OddQuotes(first),
            '"' if reason.starts_with("expected `,`") => Self::MissingComma,
            _ if first.is_alphabetic() || first == '_' => bare(text, at)?,
            _ => return None,
        };
        Some((mistake, at))
    }
}

/// A word without quotes: a name if a colon follows, else a value. The parser may have stopped within it,
/// at the first letter that is wrong.
fn bare(text: &str, at: usize) -> Option<Mistake<'_>> {
    let part = |c: char| c.is_alphanumeric() || "_-./:".contains(c);
    let before = text.get(..at)?;
    let start = before.trim_end_matches(part).len();
    let rest = text.get(start..)?;
    let end = rest.find(|c| !part(c)).unwrap_or(rest.len());
    let word = rest.get(..end)?;
    let name = word.find(':').map_or(word, |colon| &word[..colon]);
    let behind = rest.get(name.len()..)?.trim_ascii_start();
    let opened = text.get(..start)?.trim_ascii_end();
    if opened.ends_with(['{', ',']) && behind.starts_with(':') {
        return Some(Mistake::BareKey(name));
    }
    let same = |words: &[&str]| words.iter().any(|known| word.eq_ignore_ascii_case(known));
    Some(if same(&["true", "yes", "on"]) {
        Mistake::Word(word, "true")
    } else if same(&["false", "no", "off"]) {
        Mistake::Word(word, "false")
    } else if same(&["null", "none", "nil", "undefined"]) {
        Mistake::Word(word, "null")
    } else {
        Mistake::BareText(word)
    })
}

fn line(text: &str) -> &str {
    let line = text.split(['\n', '\r']).next().unwrap_or_default();
    line.trim_ascii_end()
}

fn short(text: &str) -> &str {
    let end = text
        .char_indices()
        .nth(SHORT)
        .map_or(text.len(), |(i, _)| i);
    &text[..end]
}

impl fmt::Display for Mistake<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Comment(text) => write!(
                f,
                "{:?} is a comment, and JSON has no comments: remove it",
                short(text)
            ),
            Self::TrailingComma => f.write_str("trailing comma"),
            Self::BareKey(name) => write!(
                f,
                "the key {} has no quotes: write \"{}\"",
                short(name),
                short(name)
            ),
            Self::Word(word, meant) => {
                write!(f, "{} is not a word of JSON: write {meant}", short(word))
            }
            Self::BareText(word) => write!(
                f,
                "the text {} has no quotes: write \"{}\"",
                short(word),
                short(word)
            ),
            Self::OddQuotes(quote) => {
                write!(f, "JSON has no texts in {quote}: write \" around the text")
            }
            Self::MissingComma => f.write_str("a comma is missing before this place"),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::network::json::Node;

    /// What is said, and the text at the place where it is said.
    fn said(text: &str) -> (String, &str) {
        let error = Node::document(text).map(|_| ()).unwrap_err();
        let rest = &text[error.at as usize..];
        (error.reason, rest.get(..6).unwrap_or(rest))
    }

    #[test]
    fn each_mistake_is_named_at_its_place() {
        for (text, reason, place) in [
            (
                "{\"a\": \"b\", # host\n \"c\": 1}",
                "\"# host\" is a comment, and JSON has no comments: remove it",
                "# host",
            ),
            (
                "{\"a\": \"b\" // host\n, \"c\": 1}",
                "\"// host\" is a comment, and JSON has no comments: remove it",
                "// hos",
            ),
            (
                "/* a */ {}",
                "\"/* a */ {}\" is a comment, and JSON has no comments: remove it",
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
                "JSON has no texts in ': write \" around the text",
                "'type'",
            ),
            (
                "{\"a\": 'b'}",
                "JSON has no texts in ': write \" around the text",
                "'b'}",
            ),
            (
                "{\u{201c}type\u{201d}: 1}",
                "JSON has no texts in \u{201c}: write \" around the text",
                "\u{201c}typ",
            ),
            (
                "{\"a\": True}",
                "True is not a word of JSON: write true",
                "True}",
            ),
            (
                "{\"a\": eth0}",
                "the text eth0 has no quotes: write \"eth0\"",
                "eth0}",
            ),
            (
                "{\"a\": \"b\"\n \"c\": 1}",
                "a comma is missing before this place",
                "\"c\": 1",
            ),
        ] {
            assert_eq!(said(text), (reason.to_owned(), place), "{text}");
        }
    }

    #[test]
    fn a_comma_is_trailing_only_before_a_bracket() {
        let (reason, _) = said("{\"a\": 1, 5}");
        assert_eq!(reason, "key must be a string");
        let (reason, _) = said("{\"a\": 1, # c\n}");
        assert!(reason.contains("comment"), "{reason}");
    }

    #[test]
    fn whatever_is_broken_is_said_without_a_panic() {
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
            let error = Node::document(text).map(|_| ()).unwrap_err();
            assert!(text.is_char_boundary(error.at as usize), "{text}");
        }
    }
}
