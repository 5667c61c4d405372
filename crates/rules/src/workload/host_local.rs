//! `host-local-on-shared-wire`: host-local addresses for pods on several nodes that share a link.

use crate::{
    Check, Example, Levels, Report, Rule, RuleDocs,
    examples::{HOST_LOCAL_NET, MACVLAN_CONF},
    workload::TemplateSubject,
};
use nadmit_cni::{cni::Plugin, ipam::Ipam};

pub(crate) const RULE: Rule = Rule {
    code: "host-local-on-shared-wire",
    levels: Levels::ADVICE,
    summary: "host-local can assign one address to pods on several nodes",
    docs: RuleDocs {
        checks: "A workload runs several pods at once on a network with IPAM host-local, whose \
            plugin joins all nodes to one L2 segment. Plugins of this kind are macvlan, ipvlan, \
            vlan, sriov, ib-sriov, ipoib and host-device. Several pods run with more than one \
            replica, in a DaemonSet, and in a Job with parallelism above 1. A bridge without an \
            uplink is an L2 segment of its own on each node, and is not reported.",
        consequence: "host-local tracks addresses on each node separately. Two pods on two nodes \
            get the same address and lose packets.",
        fix: "Use an IPAM for the whole cluster, such as whereabouts, or an address pool \
            (nadmit.io/address-pool) with IPAM static.",
        source: "host-local, its README.",
    },
    wrong: Example(&[HOST_LOCAL_NET, ON_HOST_LOCAL]),
    right: Example(&[MACVLAN_CONF, ON_WHEREABOUTS]),
    check: Check::Template(check),
};

const ON_HOST_LOCAL: &str = r#"apiVersion: apps/v1
kind: Deployment
metadata: {name: agent, namespace: db}
spec:
  replicas: 3
  selector: {matchLabels: {app: agent}}
  template:
    metadata:
      labels: {app: agent}
      annotations:
        k8s.v1.cni.cncf.io/networks: local-net
    spec:
      containers: [{name: app, image: registry.example/app:1}]
"#;

const ON_WHEREABOUTS: &str = r#"apiVersion: apps/v1
kind: Deployment
metadata: {name: agent, namespace: db}
spec:
  replicas: 3
  selector: {matchLabels: {app: agent}}
  template:
    metadata:
      labels: {app: agent}
      annotations:
        k8s.v1.cni.cncf.io/networks: macvlan-conf
    spec:
      containers: [{name: app, image: registry.example/app:1}]
"#;

/// The plugins whose interfaces are on the link of the node's interface.
const SHARED_LINK_PLUGINS: [&str; 8] = [
    "host-device",
    "ib-sriov",
    "ib-sriov-cni",
    "ipoib",
    "ipvlan",
    "macvlan",
    "sriov",
    "vlan",
];

fn check(subject: &TemplateSubject<'_>, report: &mut Report<'_>) {
    let Some(why) = subject.kind.several_nodes_reason(&subject.scale) else {
        return;
    };
    for attachment in subject.pod.attachments() {
        let config = attachment.network().and_then(|n| n.config.loaded());
        let Some(plugin) = config.and_then(|config| config.addressing()) else {
            continue;
        };
        if !matches!(plugin.ipam, Some(Ipam::HostLocal(_))) || !shares_node_link(plugin) {
            continue;
        }
        let name = attachment.selection.network_name().unwrap_or_default();
        report.add(
            attachment.field_ref("", attachment.selection.span),
            format!(
                "two pods of network \"{name}\" can get one address: host-local tracks each node \
                 apart, {} joins nodes to one L2 segment, and {why}",
                plugin.kind
            ),
            "use IPAM whereabouts, or static with an address pool",
        );
    }
}

fn shares_node_link(plugin: &Plugin) -> bool {
    SHARED_LINK_PLUGINS.contains(&&*plugin.kind)
}
