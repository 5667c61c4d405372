//! `shared-master`: two networks whose interfaces cannot share one master.

use std::collections::BTreeMap;

use super::other_networks::names_of_others;
use crate::{
    Attachment, Check, Example, Levels, NetworkSubject, PodSubject, Report, Rule, RuleDocs,
    examples::pod,
};
use nadmit_catalog::Catalog;
use nadmit_cni::cni::Plugin;

pub(crate) const RULE: Rule = Rule {
    code: "shared-master",
    levels: Levels::ADVICE,
    summary: "The interfaces of two networks cannot share one master",
    docs: RuleDocs {
        checks: "A macvlan network and an ipvlan network have the same master. In a pod with two networks \
            on one master, the rule also reports a macvlan in mode passthru. The rule only warns, \
            because the pods of each network may run on different nodes.",
        consequence: "An interface of a node carries either macvlans or ipvlans. While one exists, the plugin \
            of the other fails (\"device or resource busy\"). This happens in a pod that names both \
            networks, and on a node with a pod of each. A macvlan in mode passthru does not share \
            its master.",
        fix: "Use a different master for each network, such as a VLAN interface, or the same plugin in \
            both.",
        source: "Linux, macvlan_port_create, ipvlan_port_create and macvlan_common_newlink.",
    },
    wrong: Example(&[IPVLAN, MACVLAN, pod!("ipvlan-net, macvlan-net")]),
    right: Example(&[IPVLAN, MACVLAN_ETH2, pod!("ipvlan-net, macvlan-net")]),
    check: Check::NetworkAndPod {
        network: check_network,
        pod: check_pod,
    },
};

const IPVLAN: &str = r#"apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: ipvlan-net, namespace: db}
spec:
  config: |
    {"cniVersion": "0.3.1", "name": "ipvlan-net", "type": "ipvlan", "master": "eth1",
     "ipam": {"type": "whereabouts", "range": "192.0.2.192/27"}}
"#;

const MACVLAN: &str = r#"apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: macvlan-net, namespace: db}
spec:
  config: |
    {"cniVersion": "0.3.1", "name": "macvlan-net", "type": "macvlan", "master": "eth1",
     "ipam": {"type": "whereabouts", "range": "198.51.100.0/27"}}
"#;

const MACVLAN_ETH2: &str = r#"apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: macvlan-net, namespace: db}
spec:
  config: |
    {"cniVersion": "0.3.1", "name": "macvlan-net", "type": "macvlan", "master": "eth2",
     "ipam": {"type": "whereabouts", "range": "198.51.100.0/27"}}
"#;

const HELP: &str =
    "use a different master for each, such as a VLAN interface, or the same plugin in both";

/// Returns the reason why the interfaces of two plugins cannot share one master, if they have the same.
fn master_conflict(one: &Plugin, other: &Plugin) -> Option<&'static str> {
    let (own, theirs) = (one.parent.as_ref()?, other.parent.as_ref()?);
    if (&own.master, own.in_container) != (&theirs.master, theirs.in_container) {
        return None;
    }
    if one.kind != other.kind {
        return Some("an interface cannot carry both macvlan and ipvlan");
    }
    (own.exclusive || theirs.exclusive)
        .then_some("a macvlan in mode passthru does not share its master")
}

/// Compares with the networks of the cluster. Masters inside of containers are left out, because they
/// differ in each pod.
fn check_network<'c>(subject: &NetworkSubject<'c>, report: &mut Report<'_>) {
    let Some(config) = subject.parsed() else {
        return;
    };
    for (index, plugin) in config.plugins.iter().enumerate() {
        let Some(parent) = plugin.parent.as_ref().filter(|parent| !parent.in_container) else {
            continue;
        };
        let other_kind = |catalog: &'c Catalog| {
            let mut kinds = catalog.networks_on_master(&parent.master);
            // An interface carries either macvlans or ipvlans, so there is one other kind. Conflicts
            // between networks of one kind (mode passthru) are only reported for pods.
            let other = kinds.find(|(kind, _)| **kind != *plugin.kind);
            other.map(|(_, names)| names)
        };
        let listed = subject.siblings.and_then(other_kind);
        let names = names_of_others(subject, other_kind(subject.catalog), listed);
        if names.is_empty() {
            continue;
        }
        let fields = super::fields::Fields::plugins(subject);
        let field_ref = fields.get(index).map_or_else(
            || subject.config_ref(),
            |(_, plugin)| plugin.field_ref("master"),
        );
        report.add(
            field_ref,
            format!(
                "{} is the master of this {} and of {}: on one node the second fails, because an \
                 interface cannot carry both macvlan and ipvlan",
                parent.described(),
                plugin.kind,
                names.join(", ")
            ),
            HELP,
        );
    }
}

fn check_pod(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    // One attachment for each master and kind is enough to compare with.
    let mut before: BTreeMap<(&str, bool), Vec<(Attachment<'_, '_>, &Plugin)>> = BTreeMap::new();
    for attachment in subject.attachments() {
        let config = attachment.network().and_then(|n| n.config.loaded());
        let Some(plugin) = config.and_then(|config| config.main()) else {
            continue;
        };
        let Some(parent) = &plugin.parent else {
            continue;
        };
        if report.is_full() {
            return;
        }
        let known = before
            .entry((&*parent.master, parent.in_container))
            .or_default();
        let conflicting = known
            .iter()
            .find_map(|(other, theirs)| Some((other, master_conflict(plugin, theirs)?)));
        if let Some((other, why)) = conflicting {
            let name = |attachment: &Attachment<'_, '_>| {
                attachment
                    .selection
                    .network_name()
                    .unwrap_or_default()
                    .to_owned()
            };
            let selection = attachment.selection;
            report.add(
                attachment.field_ref("", selection.span),
                format!(
                    "networks \"{}\" and \"{}\" have the same master, {}, so the second fails: {why}",
                    name(other),
                    name(&attachment),
                    parent.described()
                ),
                HELP,
            );
        }
        let same =
            |(_, other): &(_, &Plugin)| other.kind == plugin.kind && other.parent == plugin.parent;
        if !known.iter().any(same) {
            known.push((attachment, plugin));
        }
    }
}
