//! The rules on the names of JSON members: `unknown-key`, `repeated-key`, `key-case`, `obsolete-key`.

use std::collections::BTreeSet;

use crate::{
    Attachment, Check, Example, FieldRef, Levels, PodSubject, Report, Rule, RuleDocs,
    examples::{STORAGE_NET, pod},
};
use nadmit_cni::selection::{
    SelectionMember,
    json::{KEYS, OBSOLETE_INTERFACE},
};

pub(crate) const UNKNOWN_KEY: Rule = Rule {
    code: "unknown-key",
    levels: Levels::ADVICE,
    summary: "A key of a network entry is not in the spec",
    docs: RuleDocs {
        checks: "A network entry has a key that the spec does not define. Keys without a dot are \
            reserved for the spec. Your own keys have a domain (example.com/key) and are not \
            reported. There is no key \"gateway\": default-route makes an attachment carry the \
            pod's default route.",
        consequence: "Multus ignores keys that it does not know, so that a misspelt request is \
            lost without an error.",
        fix: "Correct the key or remove it, and add a domain to a key of your own. Write \
            \"default-route\": [\"192.0.2.1\"] for the pod's default route.",
        source: "The spec, section 4.1.2.",
    },
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
    summary: "A network entry has the same key twice",
    docs: RuleDocs {
        checks: "A network entry has the same key twice. Keys of the spec that differ only in \
            case are the same key to Multus.",
        consequence: "Multus reads the last value, other readers the first.",
        fix: "Keep one of the two; Multus uses the last.",
        source: "RFC 8259, section 4; Go, encoding/json.",
    },
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
    summary: "A key differs in case from the spec",
    docs: RuleDocs {
        checks: "A key of a network entry differs from the spec only in upper and lower case, \
            such as \"IPs\" for \"ips\".",
        consequence: "Multus reads keys in any case, because Go does. Other readers of the \
            annotation (KubeVirt's tools, admission policies, your own scripts) ignore such a \
            key.",
        fix: "Write the key as in the spec, such as \"ips\".",
        source: "Go, encoding/json.",
    },
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
    summary: "A key was renamed in Multus 3.2",
    docs: RuleDocs {
        checks: "A network entry has the key interfaceRequest, ipRequest or macRequest. The keys \
            are interface, ips and mac since Multus 3.2.",
        consequence: "Multus still reads interfaceRequest if interface is absent, but its \
            removal is announced. Multus no longer reads ipRequest and macRequest, so that these \
            requests are lost.",
        fix: "Write interface, ips or mac.",
        source: "Multus, NetworkSelectionElement.",
    },
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
            format!("Multus ignores the unknown key {key:?}"),
            unknown_help(key),
        );
    });
}

fn unknown_help(key: &str) -> String {
    if key.eq_ignore_ascii_case("gateway") {
        return "write \"default-route\": [\"192.0.2.1\"] for the pod's default route; the network's \
                author adds other routes to its configuration"
            .to_owned();
    }
    let known = KEYS
        .into_iter()
        .filter(|known| *known != OBSOLETE_INTERFACE);
    match nadmit_catalog::most_similar(key, known) {
        Some(similar) => format!("did you mean \"{similar}\"?"),
        None => "remove it, or add a domain to a key of your own: \"example.com/key\"".to_owned(),
    }
}

fn repeated(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    for attachment in subject.attachments() {
        if report.is_full() {
            return;
        }
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        for given in &attachment.selection.members {
            if report.is_full() {
                return;
            }
            let key = given.key.unwrap_or(&given.member.name.value);
            if !seen.insert(key) {
                report.add(
                    field_ref(attachment, given),
                    format!("the key \"{key}\" is repeated"),
                    "keep one of the two: Multus uses the last",
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
            format!("only Multus reads the key \"{written}\", because Go ignores case"),
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
            format!("Multus no longer reads the obsolete key \"{written}\"")
        };
        report.add(
            field_ref(attachment, given),
            message,
            format!("write \"{key}\""),
        );
    });
}
