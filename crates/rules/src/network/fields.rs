//! Access to the objects of a configuration, field by field, with the path and span of each value.
//!
//! Keys are matched as by Go's decoder. A rule first checks the types of all fields by a table
//! ([`Fields::check_types`]), and then reads the fields of the right type.

use std::borrow::Cow;

use crate::{FieldRef, Levels, NetworkSubject, Report, network_subject::PluginObject};
use nadmit_cni::{
    json::{JsonMember, JsonNode, ValueKind, find},
    range::RangeError,
};

/// An object of a configuration and its path.
#[derive(Clone)]
pub(super) struct Fields<'s, 'a> {
    subject: &'s NetworkSubject<'a>,
    path: String,
    node: JsonNode<'a>,
    members: Cow<'s, [JsonMember<'a>]>,
    /// For a plugin: its `ipam`, which is already parsed.
    ipam: Option<&'s (JsonNode<'a>, Vec<JsonMember<'a>>)>,
}

/// A value of a configuration and its path.
pub(super) struct FieldValue<'s, 'a> {
    subject: &'s NetworkSubject<'a>,
    path: String,
    /// The JSON value.
    pub(super) node: JsonNode<'a>,
}

/// The type of a field that Go's decoder requires.
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
            Unsigned => "a whole number of 0 or more",
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
    /// Returns the plugins' objects with their types.
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

    /// Returns the `ipam` objects of this type.
    pub(super) fn ipams(subject: &'s NetworkSubject<'a>, kind: &str) -> Vec<Self> {
        let plugins = Self::plugins(subject).into_iter();
        let ipams = plugins.filter_map(|(_, plugin)| plugin.object("ipam"));
        ipams
            .filter(|ipam| ipam.text("type").is_some_and(|found| found == kind))
            .collect()
    }

    /// Returns the whole configuration, if it is an object.
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

    /// Returns the network of the configuration.
    pub(super) fn subject(&self) -> &'s NetworkSubject<'a> {
        self.subject
    }

    /// Returns the members as written.
    pub(super) fn members(&self) -> &[JsonMember<'a>] {
        &self.members
    }

    /// Returns the value of a field; `None` if it is missing or `null`.
    pub(super) fn value(&self, key: &str) -> Option<FieldValue<'s, 'a>> {
        let member = find(&self.members, key)?;
        Some(FieldValue {
            subject: self.subject,
            path: format!("{}.{key}", self.path),
            node: member.value,
        })
    }

    /// Returns true if the field is present.
    pub(super) fn has(&self, key: &str) -> bool {
        find(&self.members, key).is_some()
    }

    /// Returns true if the field is a string, possibly empty.
    pub(super) fn is_text(&self, key: &str) -> bool {
        find(&self.members, key).is_some_and(|member| member.value.kind() == ValueKind::String)
    }

    /// Returns the string of a field; `None` if it is empty.
    pub(super) fn text(&self, key: &str) -> Option<Cow<'a, str>> {
        find(&self.members, key)?
            .value
            .string()
            .filter(|text| !text.is_empty())
    }

    /// Returns the integer of a field.
    pub(super) fn integer(&self, key: &str) -> Option<i64> {
        find(&self.members, key)?.value.integer()
    }

    /// Returns true if the field is `true`.
    pub(super) fn is_true(&self, key: &str) -> bool {
        find(&self.members, key).is_some_and(|member| member.value.boolean() == Some(true))
    }

    /// Returns the object of a field.
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

    /// Returns the elements of a field's list.
    pub(super) fn list(&self, key: &str) -> Vec<FieldValue<'s, 'a>> {
        self.value(key)
            .map(|value| value.elements())
            .unwrap_or_default()
    }

    /// Returns the objects in a field's list.
    pub(super) fn objects(&self, key: &str) -> Vec<Self> {
        let list = self.list(key).into_iter();
        list.filter_map(|value| value.fields()).collect()
    }

    /// Returns a reference to the object itself.
    pub(super) fn own_ref(&self) -> FieldRef<'a> {
        self.subject.field_ref(&self.path, self.node.span())
    }

    /// Returns a reference to the value of a field, or to the object that lacks it.
    pub(super) fn field_ref(&self, key: &str) -> FieldRef<'a> {
        match self.value(key) {
            Some(value) => value.field_ref(),
            None => self.own_ref(),
        }
    }

    /// Returns a reference to the name of a member.
    pub(super) fn name_ref(&self, member: &JsonMember<'_>) -> FieldRef<'a> {
        let path = format!("{}.{}", self.path, short(&member.name.value));
        self.subject.field_ref(&path, member.name.span)
    }

    /// Reports the fields that Go could not decode. The table maps field names to types.
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

    /// Reports a string that is not one of `allowed`.
    pub(super) fn check_one_of(&self, key: &str, allowed: &[&str], report: &mut Report<'_>) {
        let Some(text) = self.text(key) else { return };
        if allowed.contains(&&*text) {
            return;
        }
        report.add(
            self.field_ref(key),
            format!("the plugin does not support {key} {}", quoted(&text)),
            format!("write {}", alternatives(allowed)),
        );
    }

    /// Reports a number outside of `range`.
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
    /// Returns a reference to the value.
    pub(super) fn field_ref(&self) -> FieldRef<'a> {
        self.subject.field_ref(&self.path, self.node.span())
    }

    /// Returns the value as an object, if it is one.
    pub(super) fn fields(&self) -> Option<Fields<'s, 'a>> {
        Some(Fields {
            subject: self.subject,
            path: self.path.clone(),
            node: self.node,
            members: Cow::Owned(self.node.members()?),
            ipam: None,
        })
    }

    /// Returns the elements, if the value is a list.
    pub(super) fn elements(&self) -> Vec<Self> {
        let elements = self.node.elements().unwrap_or_default();
        let element = |(index, node)| Self {
            subject: self.subject,
            path: format!("{}[{index}]", self.path),
            node,
        };
        elements.into_iter().enumerate().map(element).collect()
    }

    /// Reports that the value is not of the given type.
    pub(super) fn report_wrong_type(
        &self,
        what: &str,
        field_type: FieldType,
        report: &mut Report<'_>,
    ) {
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

/// Returns the class of an invalid address or subnet. Go's parser accepts an IPv4 address in IPv6 notation,
/// and fails on everything else.
pub(super) fn range_error_class(error: RangeError) -> Levels {
    match error {
        RangeError::Address(nadmit_cni::AddressError::Mapped) => Levels::ADVICE,
        _ => Levels::FAILS,
    }
}

/// Quotes a text and shortens it to [`MAX_QUOTED`] characters.
pub(super) fn quoted(text: &str) -> String {
    format!("{:?}", short(text))
}

/// The maximum number of characters that a message quotes.
const MAX_QUOTED: usize = 80;

fn short(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(MAX_QUOTED) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}...", &text[..end])),
    }
}

/// Joins words for a message: `"a", "b" or "c"`.
pub(super) fn alternatives(allowed: &[&str]) -> String {
    let allowed: Vec<String> = allowed.iter().map(|word| format!("\"{word}\"")).collect();
    match &*allowed {
        [] => String::new(),
        [one] => one.clone(),
        [all @ .., last] => format!("{} or {last}", all.join(", ")),
    }
}
