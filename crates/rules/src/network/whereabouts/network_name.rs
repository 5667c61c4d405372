//! `fragile-network-name`: a `network_name` that may not be valid in the name of a record.

use crate::{
    Check, Example, Levels, NetworkSubject, Report, Rule, RuleDocs,
    examples::{MACVLAN_CONF, network},
};

use super::{super::fields::quoted, ipams};

pub(crate) const RULE: Rule = Rule {
    code: "fragile-network-name",
    levels: Levels::ADVICE,
    summary: "network_name may not be valid in the name of an object",
    docs: RuleDocs {
        checks: "A network_name that is longer than 63 characters, or has other characters than \
            lower-case letters, digits and \"-\". The first and the last character have to be a \
            letter or a digit.",
        consequence: "network_name becomes part of the names of Whereabouts's records \
            (NAME-192.0.2.192-27). Kubernetes allows lower-case letters, digits and \"-\" there, \
            and 63 characters are safe. Whereabouts cannot write records with an invalid name, \
            and no pod starts.",
        fix: "Write at most 63 lower-case letters, digits and \"-\". Begin and end with a letter \
            or a digit.",
        source: "Whereabouts v0.9.4, IPPoolName; Kubernetes, object names.",
    },
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
                "network_name {} may not be valid in the name of a Whereabouts record",
                quoted(&name)
            ),
            "write at most 63 lower-case letters, digits and \"-\", with no \"-\" at either end",
        );
    }
}
