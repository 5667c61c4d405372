//! `empty-request`: a key with an empty value.

use crate::{
    Check, Example, Levels, PodSubject, Report, Rule, RuleDocs,
    examples::{MACVLAN_CONF, pod},
};
use nadmit_cni::{
    json::{JsonMember, ValueKind},
    selection::SelectionMember,
};

pub(crate) const RULE: Rule = Rule {
    code: "empty-request",
    levels: Levels::SPEC,
    summary: "A key is present, but its value is empty",
    docs: RuleDocs {
        checks: "A key is present, but its value is empty. The spec requires at least one item in ips \
            and portMappings, and a limit in bandwidth. It requires a value in mac, interface, \
            infiniband-guid and ipam-claim-reference.",
        consequence: "Multus reads the empty value as absent. A request from an empty template \
            variable is silently dropped.",
        fix: "Remove the key, or write a value.",
        source: "The spec, section 4.1.2.1.",
    },
    wrong: Example(&[
        MACVLAN_CONF,
        pod!(r#"[{"name": "macvlan-conf", "ips": []}]"#),
    ]),
    right: Example(&[MACVLAN_CONF, pod!(r#"[{"name": "macvlan-conf"}]"#)]),
    check: Check::Pod(check),
};

const LISTS: [&str; 2] = ["ips", "portMappings"];
const TEXTS: [&str; 4] = [
    "mac",
    "interface",
    "infiniband-guid",
    "ipam-claim-reference",
];

fn check(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    for attachment in subject.attachments() {
        if report.is_full() {
            return;
        }
        for SelectionMember { member, key } in &attachment.selection.members {
            if report.is_full() {
                return;
            }
            let Some(key) = *key else { continue };
            if is_empty(key, member) {
                report.add(
                    attachment.field_ref(key, member.value.span()),
                    format!("\"{key}\" is empty, so Multus reads it as absent"),
                    "remove it, or write a value",
                );
            }
        }
    }
}

fn is_empty(key: &str, member: &JsonMember<'_>) -> bool {
    let may_not_be = match member.value.kind() {
        ValueKind::List => LISTS.contains(&key),
        ValueKind::String => TEXTS.contains(&key),
        ValueKind::Object => key == "bandwidth",
        _ => false,
    };
    may_not_be && member.value.is_empty()
}
