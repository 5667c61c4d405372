//! `missing-ipam-daemon`: the daemon that an IPAM needs does not run.

use crate::{Check, Example, Levels, NetworkSubject, Report, Rule, examples::MACVLAN_CONF};
use nadmit_catalog::LiveRead;
use nadmit_cni::ipam::Ipam;

pub(crate) const RULE: Rule = Rule {
    code: "missing-ipam-daemon",
    levels: Levels::ADVICE,
    summary: "A network's IPAM needs a daemon that OpenShift does not run",
    explanation: "OpenShift's Cluster Network Operator runs the DHCP daemon and Whereabouts's \
        reconciler only if an entry of its own additionalNetworks uses that IPAM. A \
        NetworkAttachmentDefinition made directly, or by the SR-IOV operator, starts neither: with \
        dhcp no pod starts, with whereabouts stranded addresses are never freed. A \"shim\" \
        network, which nobody attaches, is what starts them. The rule speaks only where a \
        Network.operator.openshift.io is known. Source: OpenShift's documentation of secondary \
        networks; its Cluster Network Operator.",
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
                "stranded addresses are not freed",
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
                "no additional network of the Cluster Network Operator uses {ipam}, so it runs no \
                 {daemon}, and {without}"
            ),
            format!(
                "add to spec.additionalNetworks of Network.operator.openshift.io/cluster: {{name: \
                 {ipam}-shim, namespace: default, type: Raw, rawCNIConfig: '{{\"name\": \
                 \"{ipam}-shim\", \"cniVersion\": \"0.3.1\", \"type\": \"bridge\", \"ipam\": \
                 {{\"type\": \"{ipam}\"}}}}'}}"
            ),
        );
    }
}
