//! ovn-k8s-cni-overlay: OVN-Kubernetes makes the network from the same configuration.

use crate::{network::Subnet, rules::Report};

use super::super::fields::{
    Fields,
    Sort::{Boolean, Integer, Text},
    gravity, quoted,
};

pub(super) fn check(plugin: &Fields<'_, '_>, report: &mut Report<'_>) {
    plugin.check_kinds(
        &[
            ("topology", Text),
            ("role", Text),
            ("subnets", Text),
            ("excludeSubnets", Text),
            ("joinSubnet", Text),
            ("netAttachDefName", Text),
            ("physicalNetworkName", Text),
            ("mtu", Integer),
            ("vlanID", Integer),
            ("allowPersistentIPs", Boolean),
        ],
        report,
    );
    plugin.check_word("topology", &["layer2", "layer3", "localnet"], report);
    plugin.check_word("role", &["primary", "secondary"], report);
    plugin.check_number("vlanID", 0..=4094, report);
    plugin.check_number("mtu", 0..=i64::MAX, report);
    check_name(plugin, report);
    check_subnets(plugin, report);
    let ipam = plugin.object("ipam");
    if ipam.is_some_and(|ipam| ipam.text("type").is_some()) {
        report.add(
            plugin.place("ipam"),
            "ovn-k8s-cni-overlay refuses \"ipam\"",
            "write \"subnets\" instead: OVN gives the addresses",
        );
    }
}

/// The plugin compares this with the network that it was found in.
fn check_name(plugin: &Fields<'_, '_>, report: &mut Report<'_>) {
    let network = plugin.subject();
    if network.name.is_empty() || network.namespace.is_empty() {
        return;
    }
    let own = format!("{}/{}", network.namespace, network.name);
    let Some(given) = plugin
        .text("netAttachDefName")
        .filter(|given| *given != own)
    else {
        return;
    };
    report.add(
        plugin.place("netAttachDefName"),
        format!("netAttachDefName {} is not this network", quoted(&given)),
        format!("write {}", quoted(&own)),
    );
}

/// Lists in one text: of layer3 each subnet may have the size of a node's part behind it.
fn check_subnets(plugin: &Fields<'_, '_>, report: &mut Report<'_>) {
    let by_node = plugin.text("topology").is_some_and(|word| word == "layer3");
    for key in ["subnets", "excludeSubnets"] {
        let Some(list) = plugin.text(key) else {
            continue;
        };
        for text in list.split(',').map(str::trim) {
            if report.is_full() {
                return;
            }
            let text = match text.rsplit_once('/') {
                Some((subnet, _)) if by_node && subnet.contains('/') => subnet,
                _ => text,
            };
            if let Err(error) = Subnet::parse(text) {
                report.add_lesser(
                    gravity(error),
                    plugin.place(key),
                    format!("{} {error}", quoted(text)),
                    "write subnets with commas between them, such as 192.0.2.0/24",
                );
            }
        }
    }
}
