//! `missing-ipam-daemon`: the daemon that an IPAM needs does not run.

use crate::{
    Check, Example, Levels, NetworkSubject, Report, Rule, RuleDocs, examples::MACVLAN_CONF,
};
use nadmit_catalog::LiveRead;
use nadmit_cni::ipam::Ipam;

pub(crate) const RULE: Rule = Rule {
    code: "missing-ipam-daemon",
    levels: Levels::ADVICE,
    summary: "A network's IPAM needs a daemon that OpenShift does not run",
    docs: RuleDocs {
        checks: "A network uses IPAM dhcp or whereabouts, but no entry of OpenShift's additionalNetworks \
            does. The Cluster Network Operator runs the DHCP daemon and Whereabouts's reconciler \
            only if one of these entries uses that IPAM. A NetworkAttachmentDefinition that is \
            created directly, or by the SR-IOV operator, starts neither. The rule applies only where \
            nadmit knows a Network.operator.openshift.io.",
        consequence: "With dhcp, no pod starts. With whereabouts, stranded addresses are never released.",
        fix: "An administrator adds a shim network, which no pod uses, to spec.additionalNetworks of \
            Network.operator.openshift.io/cluster. Its rawCNIConfig has the same IPAM type, as in \
            the example.",
        source: "OpenShift's documentation of secondary networks; its Cluster Network Operator.",
    },
    wrong: Example(&[NO_SHIM, MACVLAN_CONF]),
    right: Example(&[SHIM, MACVLAN_CONF]),
    check: Check::Network(check),
};

const NO_SHIM: &str = r#"apiVersion: operator.openshift.io/v1
kind: Network
metadata: {name: cluster}
spec: {additionalNetworks: []}
"#;

const SHIM: &str = r#"apiVersion: operator.openshift.io/v1
kind: Network
metadata: {name: cluster}
spec:
  additionalNetworks:
  - name: whereabouts-shim
    namespace: default
    type: Raw
    rawCNIConfig: |-
      {"name": "whereabouts-shim", "cniVersion": "0.3.1", "type": "bridge", "ipam": {"type": "whereabouts"}}
"#;

fn check(subject: &NetworkSubject<'_>, report: &mut Report<'_>) {
    // The operator starts the daemon for its own additional networks.
    let (Some(daemons), None) = (subject.catalog.operator(), subject.siblings) else {
        return;
    };
    let Some(config) = subject.parsed() else {
        return;
    };
    for (plugin, text) in config.plugins.iter().zip(subject.plugins()) {
        let (ipam, daemon, without) = match plugin.ipam {
            Some(Ipam::Dhcp(_)) if !daemons.dhcp => {
                ("dhcp", "DHCP daemon", "no pod gets an address")
            }
            Some(Ipam::Whereabouts(_)) if !daemons.whereabouts => (
                "whereabouts",
                "Whereabouts reconciler",
                "stranded addresses are not released",
            ),
            _ => continue,
        };
        let Some((node, _)) = text.ipam() else {
            continue;
        };
        report.add_after_live_read(
            LiveRead::NetworkOperator,
            subject.field_ref(&format!("{}.ipam", text.path), node.span()),
            format!(
                "no additionalNetworks entry uses {ipam}, so OpenShift does not run the {daemon}: \
                 {without}"
            ),
            format!(
                "add a shim network with IPAM {ipam} to spec.additionalNetworks of \
                 Network.operator.openshift.io/cluster"
            ),
        );
    }
}
