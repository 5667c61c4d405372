//! JSON as it is written, repeated members included, and the rules of Go's decoder.
//!
//! This does not use nadmit's own parsers, because they are under test.

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, Ipv6Addr},
};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};

/// One JSON value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    /// A number that fits Go's `int`.
    Integer(i64),
    /// Any other number.
    Float(f64),
    Text(String),
    List(Vec<Json>),
    Object(Vec<Member>),
}

/// One member of an object.
pub(super) type Member = (String, Json);

/// The reason why nothing, or nothing more, is attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum AttachFailure {
    /// Go's decoder rejects the text, or a value of another type.
    Decode(&'static str),
    /// Go panics.
    Panic(&'static str),
    /// Multus fails.
    Multus(&'static str),
    /// A plugin fails, or the kernel behind it.
    Plugin(&'static str),
}

impl Json {
    pub(super) fn parse(text: &str) -> Result<Self, AttachFailure> {
        serde_json::from_str(text).map_err(|_| AttachFailure::Decode("not JSON"))
    }

    pub(super) fn members(&self) -> Option<&[Member]> {
        match self {
            Self::Object(members) => Some(members),
            _ => None,
        }
    }

    /// Returns the value of exactly this key in a map.
    pub(super) fn at(&self, key: &str) -> Option<&Self> {
        let mut members = self.members()?.iter().rev();
        members
            .find(|(name, _)| name == key)
            .map(|(_, value)| value)
    }

    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the value after Go has decoded it into maps and encoded it again: the last of
    /// repeated keys, and keys sorted by their bytes.
    pub(super) fn normalized(&self) -> Self {
        match self {
            Self::List(elements) => Self::List(elements.iter().map(Self::normalized).collect()),
            Self::Object(members) => {
                let mut last = BTreeMap::new();
                for (name, value) in members {
                    last.insert(name.clone(), value.normalized());
                }
                Self::Object(last.into_iter().collect())
            }
            other => other.clone(),
        }
    }

    /// Sets a key of a normalized object.
    pub(super) fn set(&mut self, key: &str, value: Self) {
        if let Self::Object(members) = self {
            members.retain(|(name, _)| name != key);
            members.push((key.to_owned(), value));
            members.sort_by(|(a, _), (b, _)| a.cmp(b));
        }
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{}", serde_json::json!(value)),
            Self::Text(text) => write!(f, "{}", serde_json::json!(text)),
            Self::List(elements) => {
                let parts: Vec<String> = elements.iter().map(Self::to_string).collect();
                write!(f, "[{}]", parts.join(","))
            }
            Self::Object(members) => {
                let part = |(name, value): &Member| format!("{}:{value}", serde_json::json!(name));
                let parts: Vec<String> = members.iter().map(part).collect();
                write!(f, "{{{}}}", parts.join(","))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AsWritten)
    }
}

struct AsWritten;

impl<'de> Visitor<'de> for AsWritten {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Integer(value))
    }

    #[expect(clippy::cast_precision_loss, reason = "only that it is no int counts")]
    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(i64::try_from(value).map_or(Json::Float(value as f64), Json::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = elements.next_element()? {
            list.push(element);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let mut object = Vec::new();
        while let Some(member) = members.next_entry()? {
            object.push(member);
        }
        Ok(Json::Object(object))
    }
}

/// Returns the values of the members that Go accepts for the struct field `field`, in order.
pub(super) fn fields<'j>(members: &'j [Member], field: &str) -> impl Iterator<Item = &'j Json> {
    let wanted = folded(field);
    let named = members
        .iter()
        .filter(move |(name, _)| folded(name) == wanted);
    named.map(|(_, value)| value)
}

/// Folds a key by Unicode's simple folding, as far as that yields ASCII.
fn folded(name: &str) -> String {
    let fold = |c: char| match c {
        'ſ' => 'S',
        '\u{212a}' => 'K',
        other => other.to_ascii_uppercase(),
    };
    name.chars().map(fold).collect()
}

/// Decodes into a `string`: `null` leaves it unchanged.
pub(super) fn into_text(target: &mut String, value: &Json) -> Result<(), AttachFailure> {
    match value {
        Json::Null => {}
        Json::Text(text) => target.clone_from(text),
        _ => return Err(AttachFailure::Decode("not a string")),
    }
    Ok(())
}

/// Decodes a `string` field.
pub(super) fn text_field(members: &[Member], field: &str) -> Result<String, AttachFailure> {
    let mut text = String::new();
    for value in fields(members, field) {
        into_text(&mut text, value)?;
    }
    Ok(text)
}

/// Checks that a value decodes into an `int`.
pub(super) fn is_int(value: &Json) -> Result<(), AttachFailure> {
    match value {
        Json::Null | Json::Integer(_) => Ok(()),
        _ => Err(AttachFailure::Decode("not an int")),
    }
}

/// Checks that a value decodes into a `bool`.
pub(super) fn is_bool(value: &Json) -> Result<(), AttachFailure> {
    match value {
        Json::Null | Json::Bool(_) => Ok(()),
        _ => Err(AttachFailure::Decode("not a bool")),
    }
}

/// A Go slice that is decoded into. Elements beyond its length are kept, and reappear when a later,
/// longer list has `null` in their place.
#[derive(Debug, Clone, Default)]
pub(super) struct GoSlice<T> {
    behind: Vec<T>,
    length: Option<usize>,
}

impl<T: Default> GoSlice<T> {
    pub(super) fn decode(
        &mut self,
        value: &Json,
        element: impl Fn(&mut T, &Json) -> Result<(), AttachFailure>,
    ) -> Result<(), AttachFailure> {
        match value {
            Json::Null => {
                *self = Self {
                    behind: Vec::new(),
                    length: None,
                }
            }
            Json::List(list) => {
                if list.is_empty() {
                    self.behind.clear();
                }
                for (index, value) in list.iter().enumerate() {
                    if index == self.behind.len() {
                        self.behind.push(T::default());
                    }
                    element(&mut self.behind[index], value)?;
                }
                self.length = Some(list.len());
            }
            _ => return Err(AttachFailure::Decode("not a list")),
        }
        Ok(())
    }

    /// Returns the elements; `None` if the slice is nil.
    pub(super) fn elements(&self) -> Option<&[T]> {
        self.behind.get(..self.length?)
    }
}

/// Decodes a `[]string` field.
pub(super) fn texts_field(
    members: &[Member],
    field: &str,
) -> Result<GoSlice<String>, AttachFailure> {
    let mut slice = GoSlice::default();
    for value in fields(members, field) {
        slice.decode(value, into_text)?;
    }
    Ok(slice)
}

/// Returns the members of a nested struct, merged as Go decodes them. `null` leaves a struct
/// unchanged, but makes a pointer nil.
pub(super) fn struct_field(
    members: &[Member],
    field: &str,
    pointer: StructKind,
) -> Result<Option<Vec<Member>>, AttachFailure> {
    let mut merged: Option<Vec<Member>> = None;
    for value in fields(members, field) {
        match value {
            Json::Null if pointer == StructKind::Yes => merged = None,
            Json::Null => {}
            Json::Object(members) => {
                merged
                    .get_or_insert_default()
                    .extend(members.iter().cloned());
            }
            _ => return Err(AttachFailure::Decode("not an object")),
        }
    }
    Ok(merged)
}

/// The type of a field: a pointer to a struct, or a struct.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StructKind {
    Yes,
    No,
}

/// Parses as `net.ParseIP` does: an address, IPv4-mapped ones as IPv4.
pub(super) fn parse_ip(text: &str) -> Option<IpAddr> {
    text.parse().ok().map(unmapped)
}

/// Parses as `net.ParseCIDR` does: an address and the length of its prefix as the interface will have it.
pub(super) fn parse_cidr(text: &str) -> Option<(IpAddr, u32)> {
    let (address, prefix) = text.split_once('/')?;
    let written: IpAddr = address.parse().ok()?;
    let digits = !prefix.is_empty() && prefix.bytes().all(|b| b.is_ascii_digit());
    let bits = if written.is_ipv4() { 32 } else { 128 };
    let prefix: u32 = digits.then(|| prefix.parse().ok())??;
    if prefix > bits {
        return None;
    }
    let address = unmapped(written);
    // The last four bytes of the mask.
    let narrowed = address.is_ipv4() && written.is_ipv6();
    Some((
        address,
        if narrowed {
            prefix.saturating_sub(96)
        } else {
            prefix
        },
    ))
}

fn unmapped(address: IpAddr) -> IpAddr {
    let mapped = |v6: Ipv6Addr| v6.to_ipv4_mapped().map(IpAddr::V4);
    match address {
        IpAddr::V6(v6) => mapped(v6).unwrap_or(address),
        IpAddr::V4(_) => address,
    }
}

/// Parses as `net.ParseMAC` does: 6, 8 or 20 bytes.
pub(super) fn parse_mac(text: &str) -> Option<Vec<u8>> {
    let bytes = text.as_bytes();
    if bytes.len() < 14 {
        return None;
    }
    let (separator, group) = match (bytes[2], bytes[4]) {
        (mark @ (b':' | b'-'), _) => (mark, 2),
        (_, b'.') => (b'.', 4),
        _ => return None,
    };
    let groups = bytes.chunks(group + 1);
    let mut found = Vec::new();
    let last = bytes.len().div_ceil(group + 1) - 1;
    for (index, chunk) in groups.enumerate() {
        let whole = if index == last { group } else { group + 1 };
        if chunk.len() != whole || chunk.get(group).is_some_and(|mark| *mark != separator) {
            return None;
        }
        for pair in chunk.get(..group)?.chunks(2) {
            let pair = std::str::from_utf8(pair).ok()?;
            let hex = pair.bytes().all(|b| b.is_ascii_hexdigit());
            found.push(hex.then(|| u8::from_str_radix(pair, 16).ok())??);
        }
    }
    matches!(found.len(), 6 | 8 | 20).then_some(found)
}
