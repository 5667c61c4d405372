//! `invalid-cni-version`: a version of the CNI specification that does not exist.

use crate::{
    Check, Example, Levels, NetworkSubject, Report, Rule, RuleDocs,
    examples::{MACVLAN_CONF, network},
};

use super::fields::{Fields, alternatives, quoted};

pub(crate) const RULE: Rule = Rule {
    code: "invalid-cni-version",
    levels: Levels::FAILS,
    summary: "cniVersion is not a version of the CNI specification",
    docs: RuleDocs {
        checks: "cniVersion is not 0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0 or 1.1.0, or a plugin of the \
            network does not support it. Without cniVersion, the version is 0.1.0. bandwidth \
            supports 0.3.0 and later, vrf 0.3.1 and later, firewall 0.4.0 and later.",
        consequence: "Each plugin compares cniVersion with the versions that it knows, and fails on any other \
            (\"incompatible CNI versions\"). No pod of the network starts.",
        fix: "Write a version that all plugins of the network support, such as \"cniVersion\": \
            \"0.4.0\".",
        source: "CNI specification; cni, pkg/version; the plugins executed.",
    },
    wrong: Example(&[network!(
        r#"{"cniVersion": "1.2.0", "type": "macvlan", "ipam": {"type": "dhcp"}}"#
    )]),
    right: Example(&[MACVLAN_CONF]),
    check: Check::Network(check),
};

const KNOWN: [&str; 7] = [
    "0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0",
];

/// The plugins that do not support the oldest versions, each with the first that it supports.
const SINCE: [(&str, &str); 3] = [
    ("bandwidth", "0.3.0"),
    ("firewall", "0.4.0"),
    ("vrf", "0.3.1"),
];

/// Returns true if the configuration's version allows only one address of each family: it is missing or
/// before 0.3.0.
pub(super) fn is_before_0_3_0(subject: &NetworkSubject<'_>) -> bool {
    let document = Fields::document(subject);
    let version = document
        .as_ref()
        .and_then(|document| document.text("cniVersion"));
    version.is_none_or(|version| KNOWN[..2].contains(&&*version))
}

fn check(subject: &NetworkSubject<'_>, report: &mut Report<'_>) {
    let Some(document) = Fields::document(subject) else {
        return;
    };
    let version = document.text("cniVersion");
    let version = version.as_deref().unwrap_or(KNOWN[0]);
    let Some(age) = KNOWN.iter().position(|known| *known == version) else {
        return report.add(
            document.field_ref("cniVersion"),
            format!(
                "cniVersion {} is not a version of the CNI specification",
                quoted(version)
            ),
            format!("write {}", alternatives(&KNOWN)),
        );
    };
    for (kind, plugin) in Fields::plugins(subject) {
        let first = SINCE.iter().find(|(known, _)| *known == kind);
        let known = first.and_then(|(_, first)| KNOWN.iter().position(|known| known == first));
        if let (Some((_, first)), Some(known)) = (first, known)
            && age < known
        {
            let (field_ref, written) = match document.has("cniVersion") {
                true => (document.field_ref("cniVersion"), quoted(version)),
                false => (
                    plugin.field_ref("type"),
                    format!("{} (the default without cniVersion)", KNOWN[0]),
                ),
            };
            report.add(
                field_ref,
                format!("{kind} does not support CNI version {written}, only {first} and later"),
                format!("write \"cniVersion\": \"{first}\" or later"),
            );
        }
    }
}
