//! `plugin-order`: a plugin that changes an interface, but is the first in the list.

use crate::{
    Check, Example, Levels, NetworkSubject, Report, Rule,
    examples::{STORAGE_NET, network},
};
use nadmit_cni::link::family;

use super::fields::Fields;

pub(crate) const RULE: Rule = Rule {
    code: "plugin-order",
    levels: Levels::FAILS,
    summary: "A plugin that changes an interface is the first of its network",
    explanation: "tuning, sbr, bandwidth, portmap, firewall, vrf and route-override work on what the plugin before \
        them made; as the first or only one they fail (\"must be called as chained plugin\", \
        \"missing prevResult\"). Source: the plugins v1.9, executed with \
        v1.1.1.",
    wrong: Example(&[network!(
        r#"{"cniVersion": "0.3.1", "plugins": [{"type": "tuning"}, {"type": "macvlan", "ipam": {"type": "dhcp"}}]}"#
    )]),
    right: Example(&[STORAGE_NET]),
    check: Check::Network(check),
};

/// Plugins that fail without the result of a previous plugin.
const CHAINED: [&str; 7] = [
    "tuning",
    "sbr",
    "bandwidth",
    "portmap",
    "firewall",
    "vrf",
    "route-override",
];

fn check(subject: &NetworkSubject<'_>, report: &mut Report<'_>) {
    let plugins = Fields::plugins(subject);
    let Some((kind, plugin)) = plugins.first() else {
        return;
    };
    if CHAINED.contains(&family(kind)) {
        report.add(
            plugin.field_ref("type"),
            format!("{kind} is the first plugin, so there is no interface yet"),
            format!(
                "put a plugin that makes one before it: {{\"type\": \"macvlan\"}}, then {kind}"
            ),
        );
    }
}
