//! `ovn-network-conflict`: two different configurations of one OVN-Kubernetes network.

use std::sync::Arc;

use crate::{Check, Example, FieldRef, Levels, NetworkSubject, Report, Rule, RuleDocs};
use nadmit_catalog::{LiveRead, OvnConfiguration};
use nadmit_cni::{Network, ovn::OvnNetwork};

/// The maximum number of other networks that are reported.
const MAX_NAMED: usize = 10;

pub(crate) const RULE: Rule = Rule {
    code: "ovn-network-conflict",
    levels: Levels::FAILS,
    summary: "Two configurations of one OVN-Kubernetes network differ",
    docs: RuleDocs {
        checks: "Two NetworkAttachmentDefinitions (NADs) configure the same OVN-Kubernetes network, but \
            with different values. For ovn-k8s-cni-overlay, the name in the configuration is the \
            network: NADs with one name, in any namespaces, share it. netAttachDefName, the order of \
            keys and of subnets, and options that the topology does not read may differ. Networks of \
            layer3 may have further subnets. If only one NAD has mtu or transitSubnet, the rule only \
            warns, because the cluster's own value may be the same.",
        consequence: "OVN-Kubernetes refuses the NAD that it reads second (\"CNI config does not match that of \
            network\"). Every pod that names it waits forever.",
        fix: "Write the same values in both NADs, or give this network another name.",
        source: "OVN-Kubernetes, AreNetworksCompatible.",
    },
    wrong: Example(&[BLUE, BLUE_LAYER_3]),
    right: Example(&[BLUE, BLUE_AGAIN]),
    check: Check::Network(check),
};

const BLUE: &str = r#"apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: blue, namespace: db}
spec:
  config: |
    {"cniVersion": "0.4.0", "name": "bluenet", "type": "ovn-k8s-cni-overlay", "topology": "layer2",
     "subnets": "192.0.2.0/24", "netAttachDefName": "db/blue"}
"#;

const BLUE_LAYER_3: &str = r#"apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: blue, namespace: web}
spec:
  config: |
    {"cniVersion": "0.4.0", "name": "bluenet", "type": "ovn-k8s-cni-overlay", "topology": "layer3",
     "subnets": "10.128.0.0/16/24", "netAttachDefName": "web/blue"}
"#;

const BLUE_AGAIN: &str = r#"apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: blue, namespace: web}
spec:
  config: |
    {"cniVersion": "0.4.0", "name": "bluenet", "type": "ovn-k8s-cni-overlay", "topology": "layer2",
     "subnets": "192.0.2.0/24", "netAttachDefName": "web/blue"}
"#;

fn check(subject: &NetworkSubject<'_>, report: &mut Report<'_>) {
    let Some(config) = subject.parsed() else {
        return;
    };
    let (Some(own), Some(name)) = (ovn(&config.plugins), config.name.as_deref()) else {
        return;
    };
    let is_sibling = |network: &Network| {
        let siblings = subject.siblings;
        siblings.is_some_and(|all| all.network(&network.namespace, &network.name).is_some())
    };
    let known = different(subject, own, subject.catalog.ovn_configurations(name));
    let known = known.into_iter().filter(|network| !is_sibling(network));
    let listed = subject.siblings.map(|all| all.ovn_configurations(name));
    let listed = different(subject, own, listed.unwrap_or_default());
    for network in known.chain(listed).take(MAX_NAMED) {
        compare(subject, own, name, network, report);
    }
}

/// Returns the networks whose configurations differ from `own`, in the order of the catalog: the
/// first ones, unless siblings are among them.
fn different<'c>(
    subject: &NetworkSubject<'c>,
    own: &OvnNetwork,
    configurations: &'c [OvnConfiguration],
) -> Vec<&'c Arc<Network>> {
    let limit = match subject.siblings {
        None => MAX_NAMED,
        Some(_) => usize::MAX,
    };
    let is_own = |network: &Network| {
        (&*network.namespace, &*network.name) == (subject.namespace, subject.name)
    };
    let mut found: Vec<(usize, &Arc<Network>)> = Vec::new();
    for equal in configurations {
        let first = equal.networks.first().map(|(place, _)| place);
        // Neither this configuration nor those behind it have a network that comes before.
        if found.len() >= limit && found.last().map(|(place, _)| place) < first {
            break;
        }
        let other = equal.network();
        if other.is_none_or(|other| own.differences(other).is_empty()) {
            continue;
        }
        let networks = equal
            .networks
            .iter()
            .filter(|(_, network)| !is_own(network));
        let networks = networks.map(|(place, network)| (*place, network));
        found.extend(networks.take(limit));
        found.sort_unstable_by_key(|(place, _)| *place);
        found.truncate(limit);
    }
    found.into_iter().map(|(_, network)| network).collect()
}

/// Reports the differences to another configuration of the same network.
fn compare(
    subject: &NetworkSubject<'_>,
    own: &OvnNetwork,
    name: &str,
    network: &Arc<Network>,
    report: &mut Report<'_>,
) {
    let Some(config) = network.config.loaded() else {
        return;
    };
    let Some(other) = ovn(&config.plugins).filter(|_| config.name.as_deref() == Some(name)) else {
        return;
    };
    let differences = own.differences(other);
    let Some(first) = differences.first() else {
        return;
    };
    let keys: Vec<&str> = differences.iter().map(|one| one.key).collect();
    let Network {
        namespace,
        name: other,
        ..
    } = &**network;
    let message = format!(
        "{namespace}/{other} also configures the OVN-Kubernetes network {name:?}, but differs in \
         {}",
        keys.join(", ")
    );
    let help = "write the same values in both, or give this network another name";
    let field_ref = field_ref(subject, first.key);
    if first.depends_on_cluster {
        let help = format!(
            "write {} in both: without it, the cluster's own applies",
            first.key
        );
        report.add_capped(Levels::ADVICE, field_ref, message, help);
    } else {
        let live_read = LiveRead::Network {
            namespace: namespace.clone(),
            name: other.clone(),
        };
        report.add_after_live_read(live_read, field_ref, message, help);
    }
}

/// Returns the OVN network of a list of one plugin. OVN-Kubernetes rejects longer lists.
fn ovn(plugins: &[nadmit_cni::cni::Plugin]) -> Option<&OvnNetwork> {
    match plugins {
        [one] => one.ovn.as_deref(),
        _ => None,
    }
}

/// Returns a reference to the option, or to the plugin that lacks it.
fn field_ref<'a>(subject: &NetworkSubject<'a>, key: &str) -> FieldRef<'a> {
    let plugins = super::fields::Fields::plugins(subject);
    let plugin = plugins.into_iter().next();
    plugin.map_or_else(|| subject.config_ref(), |(_, plugin)| plugin.field_ref(key))
}
