//! `fragile-network-name`: a `network_name` that may not be valid in the name of a record.

use crate::{
    Check, Example, Levels, NetworkSubject, Report, Rule,
    examples::{MACVLAN_CONF, network},
};

use super::{super::fields::quoted, ipams};

pub(crate) const RULE: Rule = Rule {
    code: "fragile-network-name",
    levels: Levels::ADVICE,
    summary: "network_name may not do as part of an object's name",
    explanation: "network_name becomes part of the names of Whereabouts' records \
        (NAME-192.0.2.192-27). Kubernetes takes small letters, digits and \"-\" there, at most 63 \
        to be safe; records of another name cannot be written, and no pod starts. Source: \
        Whereabouts v0.9.4, IPPoolName; Kubernetes, object names.",
    wrong: Example(&[network!(
        r#"{"cniVersion": "0.3.1", "type": "macvlan", "ipam": {"type": "whereabouts", "range": "192.0.2.192/27", "network_name": "Tenant A"}}"#
    )]),
    right: Example(&[MACVLAN_CONF]),
    check: Check::Network(check),
};

const MAX_LENGTH: usize = 63;

fn check(subject: &NetworkSubject<'_>, report: &mut Report<'_>) {
    for ipam in ipams(subject) {
        let Some(name) = ipam.text("network_name") else {
            continue;
        };
        let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let is_label = name.len() <= MAX_LENGTH
            && name.starts_with(edge)
            && name.ends_with(edge)
            && name.chars().all(|c| edge(c) || c == '-');
        if is_label {
            continue;
        }
        report.add(
            ipam.field_ref("network_name"),
            format!(
                "network_name {} may not do in the name of a record",
                quoted(&name)
            ),
            "write at most 63 small letters, digits and \"-\", the first and last no \"-\"",
        );
    }
}
