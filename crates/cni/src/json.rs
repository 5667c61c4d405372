//! JSON as Go's decoder reads it; each value has its span.
//!
//! Multus and the CNI plugins decode with Go's `encoding/json`, which matches member names in any
//! case, uses the last of repeated members, and takes `null` for absent. serde's derive supports
//! neither that nor spans, so annotations and NAD configurations are read through this small layer.
//! `serde_json` does the parsing; a node is a slice of the text that it found to be one value.
//!
//! `simd-json` and `sonic-rs` were considered: they deserialize through serde, too, and a check that
//! reads a name otherwise than the plugin can be evaded.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use thiserror::Error;

use super::{
    json_mistake::JsonMistake,
    text::{Span, Spanned},
};

/// A syntax error in a JSON text.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{reason}")]
pub struct JsonSyntaxError {
    /// The reason, without a position.
    pub reason: String,
    /// The offset of the byte at which the parser failed.
    pub offset: u32,
}

/// The type of a JSON or YAML value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueKind {
    Null,
    /// `true` or `false`
    Boolean,
    Number,
    String,
    List,
    Object,
}

impl ValueKind {
    /// Returns the kind with its article, for messages: "a list".
    pub fn described(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "a boolean",
            Self::Number => "a number",
            Self::String => "a string",
            Self::List => "a list",
            Self::Object => "an object",
        }
    }
}

/// A JSON value: a slice of the text of its document.
#[derive(Debug, Clone, Copy)]
pub struct JsonNode<'a> {
    text: &'a str,
    start: usize,
}

/// A member of an object.
#[derive(Debug, Clone)]
pub struct JsonMember<'a> {
    /// The name as written, with escapes resolved.
    pub name: Spanned<Cow<'a, str>>,
    pub value: JsonNode<'a>,
}

impl<'a> JsonNode<'a> {
    /// Parses a whole text as one value.
    ///
    /// # Errors
    /// Returns an error if the text is not exactly one JSON value.
    pub fn document(text: &'a str) -> Result<Self, JsonSyntaxError> {
        let raw: &RawValue =
            serde_json::from_str(text).map_err(|error| JsonSyntaxError::new(&error, text))?;
        // `raw` is a slice of `text`: only leading white space lies between their starts.
        let start = Span::of(raw.get(), text).map_or(0, |span| span.start as usize);
        Ok(Self {
            text: raw.get(),
            start,
        })
    }

    /// Returns the value's text.
    pub fn text(self) -> &'a str {
        self.text
    }

    /// Returns the span of the value in the document.
    pub fn span(self) -> Span {
        Span::new(self.start, self.start + self.text.len())
    }

    /// Returns the type of the value.
    pub fn kind(self) -> ValueKind {
        match self.text.as_bytes().first() {
            Some(b'n') => ValueKind::Null,
            Some(b't' | b'f') => ValueKind::Boolean,
            Some(b'"') => ValueKind::String,
            Some(b'[') => ValueKind::List,
            Some(b'{') => ValueKind::Object,
            _ => ValueKind::Number,
        }
    }

    /// Returns true if the value is `null`.
    pub fn is_null(self) -> bool {
        self.kind() == ValueKind::Null
    }

    /// Returns true if this is an empty string, list or object.
    pub fn is_empty(self) -> bool {
        let inner = self
            .text
            .get(1..self.text.len().saturating_sub(1))
            .unwrap_or_default();
        match self.kind() {
            ValueKind::String => inner.is_empty(),
            ValueKind::List | ValueKind::Object => inner.trim_ascii().is_empty(),
            _ => false,
        }
    }

    /// Returns the content of a string; `None` for other values. As in Go, an escape that is half
    /// of a surrogate pair becomes U+FFFD.
    pub fn string(self) -> Option<Cow<'a, str>> {
        if self.kind() != ValueKind::String {
            return None;
        }
        let inner = self.text.get(1..self.text.len().checked_sub(1)?)?;
        if !inner.contains('\\') {
            return Some(Cow::Borrowed(inner));
        }
        match serde_json::from_str(self.text) {
            Ok(text) => Some(Cow::Owned(text)),
            Err(_) => {
                let lossy = serde_json::from_str(self.text).ok();
                lossy.map(|LossyString(text)| Cow::Owned(text))
            }
        }
    }

    /// Returns the content of a string and its span without the quotes; `None` for other values.
    pub fn spanned_string(self) -> Option<Spanned<Cow<'a, str>>> {
        let value = self.string()?;
        Some(Spanned {
            value,
            span: Span::new(self.start + 1, self.start + self.text.len() - 1),
        })
    }

    /// Returns the boolean, if this is one.
    pub fn boolean(self) -> Option<bool> {
        match self.text {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    /// Returns the number if Go decodes it as an `int`: no fraction, no exponent, 64 bits.
    pub fn integer(self) -> Option<i64> {
        if self.kind() != ValueKind::Number {
            return None;
        }
        self.text.parse().ok()
    }

    /// Returns the elements, if this is a list.
    pub fn elements(self) -> Option<Vec<JsonNode<'a>>> {
        if self.kind() != ValueKind::List {
            return None;
        }
        let mut elements = Vec::new();
        let mut at = self.skip_space(1);
        while self.byte(at)? != b']' {
            let element = self.child(at)?;
            at = self.skip_comma(at + element.text.len());
            elements.push(element);
        }
        Some(elements)
    }

    /// Returns the members in their order, including repeated ones, if this is an object.
    pub fn members(self) -> Option<Vec<JsonMember<'a>>> {
        if self.kind() != ValueKind::Object {
            return None;
        }
        let mut members = Vec::new();
        let mut at = self.skip_space(1);
        while self.byte(at)? != b'}' {
            let name = self.child(at)?;
            let colon = self.skip_space(at + name.text.len());
            let value = self.child(self.skip_space(colon + 1))?;
            at = self.skip_comma(value.start - self.start + value.text.len());
            members.push(JsonMember {
                name: name.spanned_string()?,
                value,
            });
        }
        Some(members)
    }

    fn byte(self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    /// Returns the value within this one that begins at `at`. The syntax was validated when the
    /// document was parsed.
    fn child(self, at: usize) -> Option<Self> {
        let rest = self.text.as_bytes().get(at..)?;
        let length = match rest.first()? {
            b'"' => string_length(rest),
            b'[' | b'{' => brackets_length(rest),
            _ => {
                let ends = |byte: &u8| matches!(byte, b',' | b']' | b'}') || is_space(*byte);
                rest.iter().position(ends)
            }
        };
        Some(Self {
            text: self.text.get(at..at + length?)?,
            start: self.start + at,
        })
    }

    fn skip_space(self, at: usize) -> usize {
        let rest = self.text.as_bytes().get(at..).unwrap_or_default();
        at + rest.iter().take_while(|byte| is_space(**byte)).count()
    }

    fn skip_comma(self, at: usize) -> usize {
        let comma = self.skip_space(at);
        match self.byte(comma) {
            Some(b',') => self.skip_space(comma + 1),
            _ => comma,
        }
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Returns the length of the string at the start of `text`, including its quotes.
fn string_length(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Returns the length of the list or object at the start of `text`.
fn brackets_length(text: &[u8]) -> Option<usize> {
    let (mut at, mut depth) = (0, 0usize);
    loop {
        match text.get(at)? {
            b'"' => {
                at += string_length(&text[at..])?;
                continue;
            }
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth -= 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
}

/// Finds a member as Go's decoder does: in any case, the last one that is not `null`.
pub fn find<'m, 'a>(members: &'m [JsonMember<'a>], name: &str) -> Option<&'m JsonMember<'a>> {
    members
        .iter()
        .rev()
        .find(|m| folds_to(&m.name.value, name) && !m.value.is_null())
}

/// Returns true if Go's decoder matches `text` with the field `canonical`. It uses Unicode's simple
/// case folding: besides ASCII, `ſ` (U+017F) is an `s` and the Kelvin sign (U+212A) a `k`.
pub fn folds_to(text: &str, canonical: &str) -> bool {
    if text == canonical {
        return true;
    }
    if text.is_ascii() {
        return text.eq_ignore_ascii_case(canonical);
    }
    let fold = |c: char| match c {
        'ſ' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    };
    text.chars().map(fold).eq(canonical.chars().map(fold))
}

impl JsonSyntaxError {
    fn new(error: &serde_json::Error, text: &str) -> Self {
        let line_start: usize = text
            .split_inclusive('\n')
            .take(error.line().saturating_sub(1))
            .map(str::len)
            .sum();
        let at = (line_start + error.column().saturating_sub(1)).min(text.len());
        let message = error.to_string();
        let reason = message
            .rsplit_once(" at line ")
            .map_or(message.as_str(), |(reason, _)| reason);
        // serde_json counts bytes; the offset must be at the start of a character.
        let at = (0..=at).rev().find(|at| text.is_char_boundary(*at));
        let at = at.unwrap_or_default();
        if let Some((mistake, at)) = JsonMistake::at(text, at, reason) {
            return Self {
                reason: mistake.to_string(),
                offset: Span::new(at, at).start,
            };
        }
        Self {
            reason: reason.to_owned(),
            offset: Span::new(at, at).start,
        }
    }
}

/// The content of a string literal with any escapes. It is read as bytes and not as text, so that
/// half of a surrogate pair is not an error.
struct LossyString(String);

impl<'de> Deserialize<'de> for LossyString {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = LossyString;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Self::Value, E> {
                Ok(LossyString(String::from_utf8_lossy(bytes).into_owned()))
            }
        }
        deserializer.deserialize_bytes(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(text: &str) -> JsonNode<'_> {
        JsonNode::document(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn members_keep_order_repetition_and_span() {
        let text = r#" {"a": 1, "é\n" : [2], "a":null} "#;
        let members = document(text).members().unwrap_or_default();
        let pairs: Vec<_> = members
            .iter()
            .map(|m| {
                (
                    &text[m.name.span.start as usize..m.name.span.end as usize],
                    m.value.text(),
                )
            })
            .collect();
        assert_eq!(pairs, [("a", "1"), (r"é\n", "[2]"), ("a", "null")]);
        assert_eq!(members[1].name.value, "é\n");
        let list = members[1].value.elements().unwrap_or_default();
        let span = list[0].span();
        assert_eq!(&text[span.start as usize..span.end as usize], "2");
    }

    #[test]
    fn parts_are_cut_where_serde_json_ends_them() {
        for text in [
            "[]",
            " [ ] ",
            "[\n1 ,\t-2.5e+3\r, \"a,]}\" ,true,null]",
            r#"["\"","\\","\\\"]", "é",[[]], {"]":[ "}" ]} ,{}, {"a":{"b":"{"}} ]"#,
        ] {
            let theirs: Vec<&RawValue> = serde_json::from_str(text).unwrap();
            let theirs: Vec<&str> = theirs.into_iter().map(RawValue::get).collect();
            let elements = document(text).elements().unwrap();
            let ours: Vec<&str> = elements.iter().map(|element| element.text()).collect();
            assert_eq!(ours, theirs, "{text}");
            for element in elements {
                let span = element.span();
                let there = &text[span.start as usize..span.end as usize];
                assert_eq!(there, element.text(), "{text}");
            }
        }
    }

    #[test]
    fn go_finds_members_in_any_case_and_the_last_that_is_not_null() {
        let members = document(r#"{"ips":1,"IPs":2,"ipſ":3,"ips":null}"#)
            .members()
            .unwrap_or_default();
        assert_eq!(find(&members, "ips").map(|m| m.value.text()), Some("3"));
        assert!(folds_to("\u{212a}ey", "key"));
        assert!(!folds_to("ipé", "ips"));
    }

    #[test]
    fn numbers_are_integers_only_as_go_takes_them() {
        assert_eq!(document("42").integer(), Some(42));
        assert_eq!(document("-1").integer(), Some(-1));
        for not in ["1.0", "1e2", "9223372036854775808", "\"1\""] {
            assert_eq!(document(not).integer(), None, "{not}");
        }
    }

    #[test]
    fn half_a_surrogate_pair_is_replaced_not_refused() {
        let text = document(r#""a\ud800b""#).string().unwrap_or_default();
        assert!(text.starts_with('a') && text.ends_with('b') && text.contains('\u{fffd}'));
        assert_eq!(
            document(r#"{"\ud800":1}"#).members().map(|m| m.len()),
            Some(1)
        );
    }

    #[test]
    fn a_syntax_error_has_its_offset() {
        let error = JsonNode::document("[\n  {,}]").map(|_| ()).unwrap_err();
        assert_eq!(error.offset, 5, "{error}");
        let error = JsonNode::document(r#"[{"a": 1 ,}]"#)
            .map(|_| ())
            .unwrap_err();
        assert_eq!((&*error.reason, error.offset), ("trailing comma", 9));
        assert!(JsonNode::document("[1] x").is_err());
        assert!(JsonNode::document("").is_err());
    }

    #[test]
    fn deep_nesting_does_not_overflow_the_stack() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(document(&deep).elements().map(|e| e.len()), Some(1));
    }
}
