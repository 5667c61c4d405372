//! Injecting addresses into an annotation.

use std::{borrow::Cow, fmt::Write as _};

use super::{Annotation, AnnotationFormat, Selection};

/// The values to inject into a selection.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Addition {
    /// The complete list of `ips`, which replaces an existing one; an empty one removes it.
    pub ips: Option<Vec<String>>,
    /// The `mac`, which replaces an existing one.
    pub mac: Option<String>,
}

impl Annotation<'_> {
    /// Prints the annotation in the JSON format, with one addition per selection in their order.
    /// Every other member keeps its position and text. Selections without an addition are not
    /// changed.
    ///
    /// The annotation must have no decode errors: elements that are not selections are not printed.
    pub fn with_additions(&self, additions: &[Addition]) -> String {
        let none = Addition::default();
        let mut out = String::with_capacity(self.text.len() + 96);
        out.push('[');
        for (index, selection) in self.selections.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            let addition = additions.get(index).unwrap_or(&none);
            push(&mut out, selection, self.format, addition);
        }
        out.push(']');
        out
    }
}

fn push(
    out: &mut String,
    selection: &Selection<'_>,
    format: AnnotationFormat,
    addition: &Addition,
) {
    let mut members = match format {
        AnnotationFormat::Short => short_members(selection),
        AnnotationFormat::Json => json_members(selection),
    };
    if addition.ips.as_ref().is_some_and(Vec::is_empty) {
        members.retain(|member| member.key != Some("ips"));
    }
    let ips = addition.ips.as_ref().filter(|ips| !ips.is_empty());
    let ips = ips.map(json);
    let mac = addition.mac.as_ref().map(json);
    for (key, value) in [("ips", ips), ("mac", mac)] {
        let Some(value) = value else { continue };
        // The last of repeated members counts.
        match members.iter_mut().rev().find(|m| m.key == Some(key)) {
            Some(member) => member.value = value.into(),
            None => members.push(PrintedMember {
                key: Some(key),
                name: json(key),
                value: value.into(),
            }),
        }
    }
    out.push('{');
    for (index, member) in members.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        // Writing to memory cannot fail.
        let _ = write!(out, "{comma}{}:{}", member.name, member.value);
    }
    out.push('}');
}

/// A member to print: its name and value as JSON, and the key that Go matches the name with.
struct PrintedMember<'a> {
    key: Option<&'static str>,
    name: String,
    value: Cow<'a, str>,
}

fn json_members<'a>(selection: &Selection<'a>) -> Vec<PrintedMember<'a>> {
    let members = selection.members.iter();
    members
        .map(|member| PrintedMember {
            key: member.key,
            name: json(&*member.member.name.value),
            value: Cow::Borrowed(member.member.value.text()),
        })
        .collect()
}

fn short_members(selection: &Selection<'_>) -> Vec<PrintedMember<'static>> {
    let name = selection.name.as_ref().map(|name| &name.text);
    let namespace = selection.namespace.as_ref().map(|name| &name.text);
    let interface = selection.interface.as_ref().map(|name| &name.text);
    let members = [
        ("name", name),
        ("namespace", namespace),
        ("interface", interface),
    ];
    members
        .into_iter()
        .filter_map(|(key, text)| {
            Some(PrintedMember {
                key: Some(key),
                name: json(key),
                value: json(&**text?).into(),
            })
        })
        .collect()
}

fn json(value: impl serde::Serialize) -> String {
    // Serializing strings and lists of strings to memory cannot fail.
    serde_json::to_string(&value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: &str, additions: &[Addition]) -> String {
        let printed = Annotation::parse(text).with_additions(additions);
        let again = Annotation::parse(&printed);
        assert!(again.decode_errors.is_empty(), "{printed}");
        printed
    }

    fn both() -> Addition {
        Addition {
            ips: Some(vec!["192.0.2.205/27".to_owned()]),
            mac: Some("02:5e:00:00:00:0d".to_owned()),
        }
    }

    #[test]
    fn the_short_format_becomes_json() {
        assert_eq!(
            with("storage-net, ns/other@eth1", &[both()]),
            r#"[{"name":"storage-net","ips":["192.0.2.205/27"],"mac":"02:5e:00:00:00:0d"},"#
                .to_owned()
                + r#"{"name":"other","namespace":"ns","interface":"eth1"}]"#
        );
    }

    #[test]
    fn every_other_member_keeps_its_position() {
        assert_eq!(
            with(
                r#"[{"x.y/z": [1, 2], "name":"a", "default-route": ["192.0.2.1"]}, {"name":"b"}]"#,
                &[Addition::default(), both()]
            ),
            r#"[{"x.y/z":[1, 2],"name":"a","default-route":["192.0.2.1"]},"#.to_owned()
                + r#"{"name":"b","ips":["192.0.2.205/27"],"mac":"02:5e:00:00:00:0d"}]"#
        );
    }

    #[test]
    fn an_empty_list_removes_the_addresses() {
        let addition = Addition {
            ips: Some(Vec::new()),
            mac: None,
        };
        assert_eq!(
            with(
                r#"[{"ips":["x"],"name":"a","IPs":["192.0.2.205"],"mac":"CA:FE:C0:FF:EE:00"}]"#,
                &[addition]
            ),
            r#"[{"name":"a","mac":"CA:FE:C0:FF:EE:00"}]"#
        );
    }

    #[test]
    fn existing_values_are_replaced_under_their_own_keys() {
        assert_eq!(
            with(
                r#"[{"ips":["x"],"name":"a","IPs":["192.0.2.205"],"MAC":"CA:FE:C0:FF:EE:00"}]"#,
                &[both()]
            ),
            r#"[{"ips":["x"],"name":"a","IPs":["192.0.2.205/27"],"MAC":"02:5e:00:00:00:0d"}]"#
        );
    }
}
