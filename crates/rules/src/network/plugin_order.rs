//! `plugin-order`: a plugin that changes an interface, but is the first in the list.

use crate::{
    Check, Example, Levels, NetworkSubject, Report, Rule, RuleDocs,
    examples::{STORAGE_NET, network},
};
use nadmit_cni::link::family;

use super::fields::Fields;

pub(crate) const RULE: Rule = Rule {
    code: "plugin-order",
    levels: Levels::FAILS,
    summary: "A plugin that changes an interface is the first of its network",
    docs: RuleDocs {
        checks: "The first or only plugin of a network is tuning, sbr, bandwidth, portmap, firewall, vrf \
            or route-override. These plugins change the interface that the plugin before them \
            created. cnv-tuning is checked as tuning.",
        consequence: "The plugin fails (\"must be called as chained plugin\", \"missing prevResult\"), and no \
            pod of the network starts.",
        fix: "Write the plugin that creates the interface, such as macvlan, before this plugin.",
        source: "The plugins v1.9, executed with v1.1.1.",
    },
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
            format!("{kind} is the first plugin, but needs the interface of a plugin before it"),
            "write a plugin that creates an interface before it, such as {\"type\": \"macvlan\"}",
        );
    }
}
