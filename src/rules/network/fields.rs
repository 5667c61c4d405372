//! A configuration's objects, read field by field: each value with its path and its place.
//!
//! Keys are found as Go's decoder finds them. A rule first has the kinds of all fields checked by a
//! table ([`Fields::check_types`]) and then reads what is of the right kind.

use std::borrow::Cow;

use crate::{
    network::{
        json::{JsonMember, JsonNode, ValueKind, find},
        range::RangeError,
    },
    rules::{Levels, NetworkSubject, FieldRef, Report, network_subject::PluginObject},
};

/// An object and where it stands.
#[derive(Clone)]
pub(super) struct Fields<'s, 'a> {
    subject: &'s NetworkSubject<'a>,
    path: String,
    node: JsonNode<'a>,
    members: Cow<'s, [JsonMember<'a>]>,
    /// Of a plugin: its `ipam`, which is read already.
    ipam: Option<&'s (JsonNode<'a>, Vec<JsonMember<'a>>)>,
}

/// A value and where it stands.
pub(super) struct FieldValue<'s, 'a> {
    subject: &'s NetworkSubject<'a>,
    path: String,
    /// The value.
    pub(super) node: JsonNode<'a>,
}

/// What a field has to hold for Go to decode it.
#[derive(Clone, Copy)]
pub(super) enum FieldType {
    Text,
    Integer,
    Unsigned,
    Boolean,
    Texts,
    Object,
    Objects,
    /// An object of strings.
    TextMap,
}

use FieldType::{Boolean, Integer, Object, Objects, Text, TextMap, Texts, Unsigned};

impl FieldType {
    fn described(self) -> &'static str {
        match self {
            Text => "a string",
            Integer => "a whole number",
            Unsigned => "a whole number, not negative",
            Boolean => "true or false",
            Texts => "a list of strings",
            Object => "an object",
            Objects => "a list of objects",
            TextMap => "an object of strings",
        }
    }

    fn fits(self, node: JsonNode<'_>) -> bool {
        match self {
            Text => node.kind() == ValueKind::String,
            Integer => node.integer().is_some(),
            Unsigned => node.kind() == ValueKind::Number && node.text().parse::<u64>().is_ok(),
            Boolean => node.kind() == ValueKind::Boolean,
            Texts | Objects => node.kind() == ValueKind::List,
            Object | TextMap => node.kind() == ValueKind::Object,
        }
    }
}

impl<'s, 'a> Fields<'s, 'a> {
    /// The plugins' objects with their types.
    pub(super) fn plugins(subject: &'s NetworkSubject<'a>) -> Vec<(&'s str, Self)> {
        let read = |plugin: &'s PluginObject<'a>| {
            let fields = Self {
                subject,
                path: plugin.path.clone(),
                node: plugin.node,
                members: Cow::Borrowed(&plugin.members),
                ipam: plugin.ipam.as_ref(),
            };
            (&*plugin.kind, fields)
        };
        subject.plugins().iter().map(read).collect()
    }

    /// The `ipam` objects of this type.
    pub(super) fn ipams(subject: &'s NetworkSubject<'a>, kind: &str) -> Vec<Self> {
        let plugins = Self::plugins(subject).into_iter();
        let ipams = plugins.filter_map(|(_, plugin)| plugin.object("ipam"));
        ipams
            .filter(|ipam| ipam.text("type").is_some_and(|found| found == kind))
            .collect()
    }

    /// The whole configuration.
    pub(super) fn document(subject: &'s NetworkSubject<'a>) -> Option<Self> {
        let (node, members) = subject.document()?;
        Some(Self {
            subject,
            path: String::new(),
            node,
            members: Cow::Borrowed(members),
            ipam: None,
        })
    }

    /// The network that it is of.
    pub(super) fn subject(&self) -> &'s NetworkSubject<'a> {
        self.subject
    }

    /// The members as written.
    pub(super) fn members(&self) -> &[JsonMember<'a>] {
        &self.members
    }

    /// The field's value; `null` is none.
    pub(super) fn value(&self, key: &str) -> Option<FieldValue<'s, 'a>> {
        let member = find(&self.members, key)?;
        Some(FieldValue {
            subject: self.subject,
            path: format!("{}.{key}", self.path),
            node: member.value,
        })
    }

    /// Whether the field is there.
    pub(super) fn has(&self, key: &str) -> bool {
        find(&self.members, key).is_some()
    }

    /// Whether the field is a text, be it empty.
    pub(super) fn is_text(&self, key: &str) -> bool {
        find(&self.members, key).is_some_and(|member| member.value.kind() == ValueKind::String)
    }

    /// The field's text; an empty one is none.
    pub(super) fn text(&self, key: &str) -> Option<Cow<'a, str>> {
        find(&self.members, key)?
            .value
            .string()
            .filter(|text| !text.is_empty())
    }

    /// The field's whole number.
    pub(super) fn integer(&self, key: &str) -> Option<i64> {
        find(&self.members, key)?.value.integer()
    }

    /// Whether the field is `true`.
    pub(super) fn is_true(&self, key: &str) -> bool {
        find(&self.members, key).is_some_and(|member| member.value.boolean() == Some(true))
    }

    /// The field's object.
    pub(super) fn object(&self, key: &str) -> Option<Self> {
        match self.ipam {
            Some((node, members)) if key == "ipam" => Some(Self {
                subject: self.subject,
                path: format!("{}.ipam", self.path),
                node: *node,
                members: Cow::Borrowed(members),
                ipam: None,
            }),
            _ => self.value(key)?.fields(),
        }
    }

    /// The elements of the field's list.
    pub(super) fn list(&self, key: &str) -> Vec<FieldValue<'s, 'a>> {
        self.value(key)
            .map(|value| value.elements())
            .unwrap_or_default()
    }

    /// The objects in the field's list.
    pub(super) fn objects(&self, key: &str) -> Vec<Self> {
        let list = self.list(key).into_iter();
        list.filter_map(|value| value.fields()).collect()
    }

    /// The place of the object.
    pub(super) fn own_ref(&self) -> FieldRef<'a> {
        self.subject.field_ref(&self.path, self.node.span())
    }

    /// The place of a field's value, or of the object that lacks it.
    pub(super) fn field_ref(&self, key: &str) -> FieldRef<'a> {
        match self.value(key) {
            Some(value) => value.field_ref(),
            None => self.own_ref(),
        }
    }

    /// The place of a member's name.
    pub(super) fn name_ref(&self, member: &JsonMember<'_>) -> FieldRef<'a> {
        let path = format!("{}.{}", self.path, short(&member.name.value));
        self.subject.field_ref(&path, member.name.span)
    }

    /// Finds the fields that Go could not decode: by their names, what each has to be.
    pub(super) fn check_types(&self, table: &[(&str, FieldType)], report: &mut Report<'_>) {
        for (key, field_type) in table {
            let Some(value) = self.value(key) else {
                continue;
            };
            if !field_type.fits(value.node) {
                value.report_wrong_type(key, *field_type, report);
                continue;
            }
            let (parts, part) = match field_type {
                Texts => (value.elements(), Text),
                Objects => (value.elements(), Object),
                TextMap => (value.fields().map(Fields::values).unwrap_or_default(), Text),
                _ => continue,
            };
            for inner in parts {
                if !inner.node.is_null() && !part.fits(inner.node) {
                    inner.report_wrong_type(&format!("an element of {key}"), part, report);
                }
            }
        }
    }

    fn values(self) -> Vec<FieldValue<'s, 'a>> {
        let (subject, path) = (self.subject, self.path);
        let members = self.members.into_owned().into_iter();
        members
            .map(|member| FieldValue {
                subject,
                path: format!("{path}.{}", short(&member.name.value)),
                node: member.value,
            })
            .collect()
    }

    /// Finds a text that is none of those that the plugin knows.
    pub(super) fn check_one_of(&self, key: &str, allowed: &[&str], report: &mut Report<'_>) {
        let Some(text) = self.text(key) else { return };
        if allowed.contains(&&*text) {
            return;
        }
        report.add(
            self.field_ref(key),
            format!("{key} {} is not one that the plugin knows", quoted(&text)),
            format!("write {}", alternatives(allowed)),
        );
    }

    /// Finds a number outside of what the plugin takes.
    pub(super) fn check_number(
        &self,
        key: &str,
        range: std::ops::RangeInclusive<i64>,
        report: &mut Report<'_>,
    ) {
        let Some(number) = self.integer(key).filter(|number| !range.contains(number)) else {
            return;
        };
        let help = match (range.start(), range.end()) {
            (from, &i64::MAX) => format!("write {from} or more"),
            (from, to) => format!("write a number from {from} to {to}"),
        };
        report.add(
            self.field_ref(key),
            format!("{key} {number} is out of range"),
            help,
        );
    }
}

impl<'s, 'a> FieldValue<'s, 'a> {
    /// Its place.
    pub(super) fn field_ref(&self) -> FieldRef<'a> {
        self.subject.field_ref(&self.path, self.node.span())
    }

    /// The object, if this is one.
    pub(super) fn fields(&self) -> Option<Fields<'s, 'a>> {
        Some(Fields {
            subject: self.subject,
            path: self.path.clone(),
            node: self.node,
            members: Cow::Owned(self.node.members()?),
            ipam: None,
        })
    }

    /// The elements, if this is a list.
    pub(super) fn elements(&self) -> Vec<Self> {
        let elements = self.node.elements().unwrap_or_default();
        let element = |(index, node)| Self {
            subject: self.subject,
            path: format!("{}[{index}]", self.path),
            node,
        };
        elements.into_iter().enumerate().map(element).collect()
    }

    /// Says that this is of the wrong kind.
    pub(super) fn report_wrong_type(&self, what: &str, field_type: FieldType, report: &mut Report<'_>) {
        let expected = field_type.described();
        let found = match self.node.kind() {
            ValueKind::Number => short(self.node.text()).into_owned(),
            kind => kind.described().to_owned(),
        };
        report.add(
            self.field_ref(),
            format!("{what} is {found}, but has to be {expected}"),
            format!("write {expected}"),
        );
    }
}

/// How grave a text is that is no address or subnet to nadmit: an IPv4 address in IPv6 notation
/// passes Go's parser, everything else fails there.
pub(super) fn range_error_class(error: RangeError) -> Levels {
    match error {
        RangeError::Address(crate::network::AddressError::Mapped) => Levels::ADVICE,
        _ => Levels::FAILS,
    }
}

/// A text in quotes, shortened if it is long.
pub(super) fn quoted(text: &str) -> String {
    format!("{:?}", short(text))
}

/// The most characters of a text that a message repeats.
const MAX_QUOTED: usize = 80;

fn short(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(MAX_QUOTED) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}...", &text[..end])),
    }
}

/// "a", "b" or "c".
pub(super) fn alternatives(allowed: &[&str]) -> String {
    let allowed: Vec<String> = allowed.iter().map(|word| format!("\"{word}\"")).collect();
    match &*allowed {
        [] => String::new(),
        [one] => one.clone(),
        [all @ .., last] => format!("{} or {last}", all.join(", ")),
    }
}
