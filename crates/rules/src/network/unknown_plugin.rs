//! `unknown-plugin`: a `type` that is not a known plugin.

use crate::{
    Check, Example, Levels, NetworkSubject, Report, Rule,
    examples::{MACVLAN_CONF, network},
};

use super::fields::{Fields, quoted};

pub(crate) const RULE: Rule = Rule {
    code: "unknown-plugin",
    levels: Levels::OFF,
    summary: "A plugin's type is not one that nadmit knows",
    explanation: "type is the name of a binary on each node. If there is none of that name, every \
        pod of the network stays in ContainerCreating. A cluster may have plugins of its own, so \
        this rule is off; set it to warn or deny where all plugins are well known. Source: CNI \
        specification, section 3.",
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
            format!("the plugin {} is not one that nadmit knows", quoted(kind)),
            help,
        );
    }
}
