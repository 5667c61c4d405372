//! The rules on the names of JSON members: `unknown-key`, `repeated-key`, `key-case`, `obsolete-key`.

use std::collections::BTreeSet;

use crate::{
    Attachment, Check, Example, FieldRef, Levels, PodSubject, Report, Rule,
    examples::{STORAGE_NET, pod},
};
use nadmit_cni::selection::{
    SelectionMember,
    json::{KEYS, OBSOLETE_INTERFACE},
};

pub(crate) const UNKNOWN_KEY: Rule = Rule {
    code: "unknown-key",
    levels: Levels::ADVICE,
    summary: "A key of a selection is not one of the spec",
    explanation: "Multus passes over keys that it does not know, so a misspelt request is lost \
        without a word. There is no key \"gateway\": default-route makes an attachment carry the \
        pod's default route. Keys without a dot are reserved for the spec; your own carry a domain \
        (example.com/key) and are left alone. Source: the spec, section 4.1.2.",
    wrong: Example(&[
        STORAGE_NET,
        pod!(r#"[{"name": "storage-net", "ips": ["192.0.2.205/24"], "gateway": "192.0.2.1"}]"#),
    ]),
    right: Example(&[
        STORAGE_NET,
        pod!(
            r#"[{"name": "storage-net", "ips": ["192.0.2.205/24"], "example.com/note": "rack 7"}]"#
        ),
    ]),
    check: Check::Pod(unknown),
};

pub(crate) const REPEATED_KEY: Rule = Rule {
    code: "repeated-key",
    levels: Levels::ADVICE,
    summary: "A key stands twice in one selection",
    explanation: "Of a repeated key Multus reads the last, other readers the first; keys that \
        differ in case only count as repeated there. Source: RFC 8259, section 4; Go, \
        encoding/json.",
    wrong: Example(&[
        STORAGE_NET,
        pod!(r#"[{"name": "storage-net", "ips": ["192.0.2.204/24"], "ips": ["192.0.2.205/24"]}]"#),
    ]),
    right: Example(&[
        STORAGE_NET,
        pod!(r#"[{"name": "storage-net", "ips": ["192.0.2.205/24"]}]"#),
    ]),
    check: Check::Pod(repeated),
};

pub(crate) const KEY_CASE: Rule = Rule {
    code: "key-case",
    levels: Levels::ADVICE,
    summary: "A key is written in another case than in the spec",
    explanation: "Multus reads keys in any case, because Go does. Other readers of the annotation \
        (KubeVirt's tools, admission policies, your own scripts) pass over such a key. Source: Go, \
        encoding/json.",
    wrong: Example(&[
        STORAGE_NET,
        pod!(r#"[{"name": "storage-net", "IPs": ["192.0.2.205/24"]}]"#),
    ]),
    right: Example(&[
        STORAGE_NET,
        pod!(r#"[{"name": "storage-net", "ips": ["192.0.2.205/24"]}]"#),
    ]),
    check: Check::Pod(case),
};

pub(crate) const OBSOLETE_KEY: Rule = Rule {
    code: "obsolete-key",
    levels: Levels::ADVICE,
    summary: "A key has another name since Multus 3.2",
    explanation: "interfaceRequest is still read where interface is absent, and announced to go; \
        ipRequest and macRequest are read no more. Source: Multus, NetworkSelectionElement.",
    wrong: Example(&[
        STORAGE_NET,
        pod!(
            r#"[{"name": "storage-net", "ips": ["192.0.2.205/24"], "interfaceRequest": "storage0"}]"#
        ),
    ]),
    right: Example(&[
        STORAGE_NET,
        pod!(r#"[{"name": "storage-net", "ips": ["192.0.2.205/24"], "interface": "storage0"}]"#),
    ]),
    check: Check::Pod(obsolete),
};

/// Obsolete keys and their replacements.
const RENAMED: [(&str, &str); 3] = [
    (OBSOLETE_INTERFACE, "interface"),
    ("ipRequest", "ips"),
    ("macRequest", "mac"),
];

fn renamed(key: &str) -> Option<&'static str> {
    RENAMED
        .into_iter()
        .find(|(old, _)| key.eq_ignore_ascii_case(old))
        .map(|(_, new)| new)
}

fn each_member(
    subject: &PodSubject<'_>,
    mut check: impl FnMut(Attachment<'_, '_>, &SelectionMember<'_>),
) {
    for attachment in subject.attachments() {
        for given in &attachment.selection.members {
            check(attachment, given);
        }
    }
}

fn field_ref<'a>(attachment: Attachment<'_, 'a>, given: &SelectionMember<'_>) -> FieldRef<'a> {
    attachment.field_ref(&given.member.name.value, given.member.name.span)
}

fn unknown(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    each_member(subject, |attachment, given| {
        let key = &*given.member.name.value;
        let foreign = key.contains('.');
        if given.key.is_some() || foreign || renamed(key).is_some() {
            return;
        }
        report.add(
            field_ref(attachment, given),
            format!("Multus does not know the key {key:?} and passes over it"),
            unknown_help(key),
        );
    });
}

fn unknown_help(key: &str) -> String {
    if key.eq_ignore_ascii_case("gateway") {
        return "for the pod's default route write \"default-route\": [\"192.0.2.1\"]; other \
                routes belong into the network's own configuration"
            .to_owned();
    }
    let known = KEYS
        .into_iter()
        .filter(|known| *known != OBSOLETE_INTERFACE);
    match nadmit_catalog::most_similar(key, known) {
        Some(similar) => format!("did you mean \"{similar}\"?"),
        None => "remove it, or give a key of your own a domain: \"example.com/key\"".to_owned(),
    }
}

fn repeated(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    for attachment in subject.attachments() {
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        for given in &attachment.selection.members {
            let key = given.key.unwrap_or(&given.member.name.value);
            if !seen.insert(key) {
                report.add(
                    field_ref(attachment, given),
                    format!("the key \"{key}\" stands here for the second time"),
                    "keep one of the two; Multus reads the last",
                );
            }
        }
    }
}

fn case(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    each_member(subject, |attachment, given| {
        let written = &*given.member.name.value;
        let Some(key) = given.key.filter(|key| *key != written) else {
            return;
        };
        report.add(
            field_ref(attachment, given),
            format!("the key \"{written}\" is read by Multus only, because Go ignores case"),
            format!("write \"{key}\""),
        );
    });
}

fn obsolete(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    each_member(subject, |attachment, given| {
        let written = &*given.member.name.value;
        let Some(key) = renamed(written) else { return };
        let message = if given.key.is_some() {
            format!("the key \"{written}\" is obsolete")
        } else {
            format!("the key \"{written}\" is obsolete and no longer read")
        };
        report.add(
            field_ref(attachment, given),
            message,
            format!("write \"{key}\""),
        );
    });
}
