//! An annotation with addresses put in.

use std::{borrow::Cow, fmt::Write as _};

use super::{Annotation, Format, Selection};

/// What is put into one selection.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Addition {
    /// The complete list of `ips`, which takes the place of the one that is there.
    pub ips: Option<Vec<String>>,
    /// The `mac`, which takes the place of the one that is there.
    pub mac: Option<String>,
}

impl Annotation<'_> {
    /// The annotation in the JSON format, with an addition for each selection in its order; every
    /// other member stays, in its place and words. What follows without an addition has none.
    ///
    /// For an annotation without faults: what is no selection is not in it.
    pub fn with(&self, additions: &[Addition]) -> String {
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

fn push(out: &mut String, selection: &Selection<'_>, format: Format, addition: &Addition) {
    let mut members = match format {
        Format::Short => short_members(selection),
        Format::Json => json_members(selection),
    };
    let ips = addition.ips.as_ref().map(json);
    let mac = addition.mac.as_ref().map(json);
    for (key, value) in [("ips", ips), ("mac", mac)] {
        let Some(value) = value else { continue };
        // Of repeated members the last one counts.
        match members.iter_mut().rev().find(|m| m.meaning == Some(key)) {
            Some(member) => member.value = value.into(),
            None => members.push(Member {
                meaning: Some(key),
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

/// A member to print: name and value as JSON, and the key that Go takes the name for.
struct Member<'a> {
    meaning: Option<&'static str>,
    name: String,
    value: Cow<'a, str>,
}

fn json_members<'a>(selection: &Selection<'a>) -> Vec<Member<'a>> {
    let members = selection.members.iter();
    members
        .map(|given| Member {
            meaning: given.key,
            name: json(&*given.member.name.value),
            value: Cow::Borrowed(given.member.value.text()),
        })
        .collect()
}

fn short_members(selection: &Selection<'_>) -> Vec<Member<'static>> {
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
            Some(Member {
                meaning: Some(key),
                name: json(key),
                value: json(&**text?).into(),
            })
        })
        .collect()
}

fn json(value: impl serde::Serialize) -> String {
    // Texts and lists of them: writing them to memory cannot fail.
    serde_json::to_string(&value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: &str, additions: &[Addition]) -> String {
        let printed = Annotation::parse(text).with(additions);
        let again = Annotation::parse(&printed);
        assert!(again.faults.is_empty(), "{printed}");
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
    fn every_other_member_stays_where_it_was() {
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
    fn what_is_there_is_replaced_under_its_own_key() {
        assert_eq!(
            with(
                r#"[{"ips":["x"],"name":"a","IPs":["192.0.2.205"],"MAC":"CA:FE:C0:FF:EE:00"}]"#,
                &[both()]
            ),
            r#"[{"ips":["x"],"name":"a","IPs":["192.0.2.205/27"],"MAC":"02:5e:00:00:00:0d"}]"#
        );
    }
}
