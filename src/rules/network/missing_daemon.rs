//! `missing-ipam-daemon` and `fast-ipam-namespace`: what has to run beside a plugin does not.

use crate::{
    network::ipam::Ipam,
    rules::{Check, Example, Levels, Lookup, NetworkSubject, Report, Rule, examples::MACVLAN_CONF},
};

/// The rule on daemons.
pub const DAEMON: Rule = Rule {
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
    check: Check::Network(daemon),
};

/// The rule on slices.
pub const SLICES: Rule = Rule {
    code: "fast-ipam-namespace",
    levels: Levels::ADVICE,
    summary: "A network with slices is outside of Whereabouts's namespace",
    explanation: "Whereabouts's controller cuts the range of a network with node_slice_size into \
        slices, and records them in a NodeSlicePool of its own namespace. Network and pods have \
        to be in that namespace, too (whereaboutsNamespaces: kube-system and openshift-multus), \
        and the controller has to run. Source: OpenShift's documentation of Fast IPAM; \
        Whereabouts v0.9.4.",
    wrong: Example(&[r#"apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: wb-ipam, namespace: db}
spec:
  config: |
    {"cniVersion": "0.3.0", "name": "wb-ipam", "type": "bridge", "bridge": "cni0",
     "ipam": {"type": "whereabouts", "range": "10.5.0.0/20", "node_slice_size": "/24"}}
"#]),
    right: Example(&[r#"apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: wb-ipam, namespace: openshift-multus}
spec:
  config: |
    {"cniVersion": "0.3.0", "name": "wb-ipam", "type": "bridge", "bridge": "cni0",
     "ipam": {"type": "whereabouts", "range": "10.5.0.0/20", "node_slice_size": "/24"}}
"#]),
    check: Check::Network(slices),
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

fn daemon(subject: &NetworkSubject<'_>, report: &mut Report<'_>) {
    // An entry of the operator's is what starts the daemon.
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
        report.add_once_confirmed(
            Lookup::NetworkOperator,
            subject.place(&format!("{}.ipam", text.path), node.span()),
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

fn slices(subject: &NetworkSubject<'_>, report: &mut Report<'_>) {
    let namespaces = &subject.policy.whereabouts_namespaces;
    if namespaces.contains(subject.namespace) {
        return;
    }
    let Some(config) = subject.parsed() else {
        return;
    };
    for (plugin, text) in config.plugins.iter().zip(subject.plugins()) {
        let Some((_, members)) = text.ipam() else {
            continue;
        };
        let sliced = match &plugin.ipam {
            Some(Ipam::Whereabouts(ipam)) => ipam.node_slice_size.is_some(),
            _ => false,
        };
        let size = crate::network::json::find(&members, "node_slice_size");
        if let (true, Some(size)) = (sliced, size) {
            let mut names: Vec<&str> = namespaces.iter().map(|name| &**name).collect();
            names.sort_unstable();
            report.add(
                subject.place(&format!("{}.ipam.node_slice_size", text.path), size.value.span()),
                format!(
                    "a network with slices does not work in namespace {:?}, outside of Whereabouts's own",
                    subject.namespace
                ),
                format!(
                    "move the network and its pods to {}, or remove \"node_slice_size\"",
                    names.join(" or ")
                ),
            );
        }
    }
}
