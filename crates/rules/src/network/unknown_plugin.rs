//! `unknown-plugin`: a `type` that is not a known plugin.

use crate::{
    Check, Example, Levels, NetworkSubject, Report, Rule, RuleDocs,
    examples::{MACVLAN_CONF, network},
};

use super::fields::{Fields, quoted};

pub(crate) const RULE: Rule = Rule {
    code: "unknown-plugin",
    levels: Levels::OFF,
    summary: "nadmit does not know a plugin's type",
    docs: RuleDocs {
        checks: "The \"type\" of a plugin is not one that nadmit knows. The rule is off, because a \
            cluster may have plugins of its own. Set it to warn or deny in clusters where all \
            plugins are well known.",
        consequence: "\"type\" is the name of a binary on each node. If no binary has this name, every pod of \
            the network stays in ContainerCreating.",
        fix: "Correct the name of the plugin. An administrator installs a missing binary on every \
            node.",
        source: "CNI specification, section 3.",
    },
    wrong: Example(&[network!(
        r#"{"cniVersion": "0.3.1", "type": "mcvlan", "master": "eth1"}"#
    )]),
    right: Example(&[MACVLAN_CONF]),
    check: Check::Network(check),
};

const KNOWN: &[&str] = &[
    "accelerated-bridge",
    "bandwidth",
    "bond",
    "bridge",
    "cnv-bridge",
    "cnv-tuning",
    "dummy",
    "firewall",
    "host-device",
    "ib-sriov",
    "ib-sriov-cni",
    "ipoib",
    "ipvlan",
    "istio-cni",
    "kube-ovn",
    "loopback",
    "macvlan",
    "ovn-k8s-cni-overlay",
    "ovs",
    "portmap",
    "ptp",
    "rdma",
    "route-override",
    "sbr",
    "sriov",
    "tap",
    "tuning",
    "userspace",
    "vlan",
    "vrf",
];

/// The maximum length of a name for which a similar one is searched.
const MAX_NAME_LENGTH: usize = 40;

fn check(subject: &NetworkSubject<'_>, report: &mut Report<'_>) {
    for (kind, plugin) in Fields::plugins(subject) {
        if report.is_full() {
            return;
        }
        if kind.is_empty() || KNOWN.contains(&kind) {
            continue;
        }
        let similar = (kind.len() <= MAX_NAME_LENGTH)
            .then(|| nadmit_catalog::most_similar(kind, KNOWN.iter().copied()))
            .flatten();
        let help = similar.map_or_else(
            || "make sure that the binary is on every node".to_owned(),
            |similar| format!("did you mean \"{similar}\"?"),
        );
        report.add(
            plugin.field_ref("type"),
            format!("nadmit does not know the plugin {}", quoted(kind)),
            help,
        );
    }
}
