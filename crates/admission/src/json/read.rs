//! A serde deserializer over scanned JSON ([`JsonScan`]): fields that are not requested are
//! skipped.
//!
//! It gives up, for `serde_json` to take over, on numbers, lists that are not skipped, and values
//! of another type than requested. The relevant fields of reviews contain none of these.

use std::{borrow::Cow, fmt, iter};

use serde::{
    Deserialize, Deserializer,
    de::{
        self, DeserializeSeed, IntoDeserializer, MapAccess, Visitor,
        value::{BorrowedStrDeserializer, MapDeserializer},
    },
    forward_to_deserialize_any,
};

use super::scan::JsonScan;

/// The struct name by which `serde_json::value::RawValue` requests a value's text.
const RAW: &str = "$serde_json::private::RawValue";

/// Parses a JSON object. `None` if it is not one, or if only `serde_json` can parse it.
pub(crate) fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Option<T> {
    let text = text.trim_ascii();
    let scan = JsonScan::of(text)?;
    T::deserialize(&mut JsonReader { text, scan, at: 0 }).ok()
}

/// A position in scanned JSON: at the first byte of a value, or just after one.
struct JsonReader<'a> {
    text: &'a str,
    scan: JsonScan,
    at: usize,
}

/// The error for input left to `serde_json`, which reports the actual reason.
#[derive(Debug)]
struct Unsupported;

impl<'a> JsonReader<'a> {
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Returns the end of the value that begins here.
    fn end(&self) -> Option<usize> {
        Some(match self.byte()? {
            b'"' => self.scan.string_end(self.at)? + 1,
            b'{' | b'[' => self.scan.bracket_end(self.at)? + 1,
            _ => {
                let mut rest = self.text.as_bytes()[self.at..].iter();
                self.at + rest.position(|byte| matches!(byte, b',' | b'}' | b']'))?
            }
        })
    }

    /// Returns the text of the value that begins here, and moves past it.
    fn raw(&mut self) -> Result<&'a str, Unsupported> {
        let end = self.end().ok_or(Unsupported)?;
        let raw = self.text.get(self.at..end).ok_or(Unsupported)?;
        self.at = end;
        Ok(raw)
    }

    fn string(&mut self) -> Result<Cow<'a, str>, Unsupported> {
        if self.byte() != Some(b'"') {
            return Err(Unsupported);
        }
        let raw = self.raw()?;
        if raw.as_bytes().contains(&b'\\') {
            let text = serde_json::from_str(raw).map_err(|_| Unsupported)?;
            return Ok(Cow::Owned(text));
        }
        Ok(Cow::Borrowed(&raw[1..raw.len() - 1]))
    }
}

impl<'de> Deserializer<'de> for &mut JsonReader<'de> {
    type Error = Unsupported;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unsupported> {
        match self.byte() {
            Some(b'{') => visitor.visit_map(ObjectMembers(self)),
            Some(b'"') => match self.string()? {
                Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
                Cow::Owned(text) => visitor.visit_string(text),
            },
            Some(b't' | b'f') => visitor.visit_bool(self.raw()? == "true"),
            Some(b'n') => {
                self.raw()?;
                visitor.visit_unit()
            }
            _ => Err(Unsupported),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unsupported> {
        if self.byte() == Some(b'n') {
            self.raw()?;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Unsupported> {
        if name == RAW {
            let raw = RawText(self.raw()?);
            return visitor.visit_map(MapDeserializer::new(iter::once((RAW, raw))));
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unsupported> {
        match self.string()? {
            Cow::Borrowed(text) => visitor.visit_enum(BorrowedStrDeserializer::new(text)),
            Cow::Owned(text) => visitor.visit_enum(text.into_deserializer()),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unsupported> {
        self.at = self.end().ok_or(Unsupported)?;
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map struct identifier
    }
}

/// The members of an object whose `{`, and possibly some members, were read.
struct ObjectMembers<'r, 'a>(&'r mut JsonReader<'a>);

impl<'de> MapAccess<'de> for ObjectMembers<'_, 'de> {
    type Error = Unsupported;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Unsupported> {
        // The byte before a name is `{` or a comma; either is skipped.
        let rest = self.0.text.as_bytes().get(self.0.at..).ok_or(Unsupported)?;
        let empty = rest.starts_with(b"{}");
        self.0.at += usize::from(empty);
        let ended = self.0.byte() == Some(b'}');
        self.0.at += 1;
        if ended {
            return Ok(None);
        }
        seed.deserialize(&mut *self.0).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, Unsupported> {
        // Skips the colon.
        self.0.at += 1;
        seed.deserialize(&mut *self.0)
    }
}

/// A value's text, borrowed.
struct RawText<'a>(&'a str);

impl<'de> IntoDeserializer<'de, Unsupported> for RawText<'de> {
    type Deserializer = BorrowedStrDeserializer<'de, Unsupported>;

    fn into_deserializer(self) -> Self::Deserializer {
        BorrowedStrDeserializer::new(self.0)
    }
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not read")
    }
}

impl std::error::Error for Unsupported {}

impl de::Error for Unsupported {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}
