//! Options of ovn-k8s-cni-overlay. OVN-Kubernetes creates the network from the same configuration, which it
//! parses itself (`ParseNetConf`, `ValidateNetConf`). It ignores a network whose configuration it rejects.

use crate::{Levels, Report};
use nadmit_cni::ovn::Topology;

use super::{
    super::fields::{
        FieldType::{Boolean, Integer, Object, Text},
        Fields, quoted,
    },
    ovn_subnets,
};

/// Checks the plugin; `count` is the number of plugins in the list.
pub(super) fn check(plugin: &Fields<'_, '_>, count: usize, report: &mut Report<'_>) {
    plugin.check_types(
        &[
            ("topology", Text),
            ("role", Text),
            ("subnets", Text),
            ("excludeSubnets", Text),
            ("reservedSubnets", Text),
            ("infrastructureSubnets", Text),
            ("joinSubnet", Text),
            ("transitSubnet", Text),
            ("defaultGatewayIPs", Text),
            ("netAttachDefName", Text),
            ("physicalNetworkName", Text),
            ("transport", Text),
            ("outboundSNAT", Text),
            ("uplink", Text),
            ("evpn", Object),
            ("deviceID", Text),
            ("logFile", Text),
            ("logLevel", Text),
            ("logfile-maxsize", Integer),
            ("logfile-maxbackups", Integer),
            ("logfile-maxage", Integer),
            ("mtu", Integer),
            ("vlanID", Integer),
            ("allowPersistentIPs", Boolean),
        ],
        report,
    );
    plugin.check_one_of("topology", &["layer2", "layer3", "localnet"], report);
    plugin.check_one_of("role", &["primary", "secondary"], report);
    plugin.check_one_of("transport", &["no-overlay", "evpn"], report);
    plugin.check_number("vlanID", 0..=4094, report);
    plugin.check_number("mtu", 0..=i64::MAX, report);
    if count > 1 {
        report.add(
            plugin.own_ref(),
            "OVN-Kubernetes refuses a list of several plugins",
            "remove the plugins other than ovn-k8s-cni-overlay",
        );
    }
    let topology = plugin
        .text("topology")
        .and_then(|word| Topology::read(&word));
    match topology {
        Some(topology) => check_network(plugin, topology, report),
        None => check_default(plugin, report),
    }
    check_ipam(plugin, topology, report);
}

/// Checks a configuration with a topology, which defines a network of its own.
fn check_network(plugin: &Fields<'_, '_>, topology: Topology, report: &mut Report<'_>) {
    check_names(plugin, report);
    check_topology(plugin, topology, report);
    ovn_subnets::check(plugin, topology, report);
    if plugin.has("outboundSNAT") {
        plugin.check_one_of("outboundSNAT", &["enabled", "disabled"], report);
        if plugin
            .text("transport")
            .is_none_or(|word| word != "no-overlay")
        {
            report.add(
                plugin.field_ref("outboundSNAT"),
                "OVN-Kubernetes refuses outboundSNAT without the transport \"no-overlay\"",
                "remove outboundSNAT, or write \"transport\": \"no-overlay\"",
            );
        }
    }
}

/// Checks a configuration without a topology, which means the cluster's default network whatever its other
/// options are.
fn check_default(plugin: &Fields<'_, '_>, report: &mut Report<'_>) {
    if plugin.has("topology") {
        return;
    }
    for key in ["subnets", "excludeSubnets", "vlanID", "physicalNetworkName"] {
        if plugin.has(key) {
            report.add_capped(
                Levels::ADVICE,
                plugin.field_ref(key),
                format!(
                    "OVN-Kubernetes ignores {key}: a network without a topology is the cluster's \
                     default network"
                ),
                "add \"topology\": \"layer2\", \"layer3\" or \"localnet\"",
            );
        }
    }
}

/// Checks `name` and `netAttachDefName`. Both are required, and the second must be the namespace and name
/// of the NAD that contains it.
fn check_names(plugin: &Fields<'_, '_>, report: &mut Report<'_>) {
    let network = plugin.subject();
    let Some(document) = Fields::document(network) else {
        return;
    };
    match document.text("name") {
        None => report.add(
            document.field_ref("name"),
            "OVN-Kubernetes refuses a network without a name",
            "add \"name\"; configurations with the same name are one network",
        ),
        Some(name) if ["default", "ovn-kubernetes"].contains(&&*name) => report.add(
            document.field_ref("name"),
            format!(
                "OVN-Kubernetes uses the name {} for its default network",
                quoted(&name)
            ),
            "write another name",
        ),
        Some(_) => {}
    }
    let is_known = !network.name.is_empty() && !network.namespace.is_empty();
    let own = match is_known {
        true => format!("{}/{}", network.namespace, network.name),
        false => "NAMESPACE/NAME".to_owned(),
    };
    match plugin.text("netAttachDefName") {
        None if !plugin.has("netAttachDefName")
            || plugin
                .value("netAttachDefName")
                .is_some_and(|v| v.node.is_empty()) =>
        {
            report.add(
                plugin.field_ref("netAttachDefName"),
                "OVN-Kubernetes refuses a network without netAttachDefName",
                format!(
                    "add \"netAttachDefName\": {}, this network's namespace and name",
                    quoted(&own)
                ),
            )
        }
        Some(given) if is_known && *given != own => report.add(
            plugin.field_ref("netAttachDefName"),
            format!(
                "netAttachDefName {} is not the namespace and name of this network",
                quoted(&given)
            ),
            format!("write {}", quoted(&own)),
        ),
        _ => {}
    }
}

/// Reports options that a topology rejects or ignores.
fn check_topology(plugin: &Fields<'_, '_>, topology: Topology, report: &mut Report<'_>) {
    let (word, refused, unread): (_, &[&str], &[&str]) = match topology {
        Topology::Layer2 => ("layer2", &[], &["vlanID", "physicalNetworkName"]),
        Topology::Layer3 => (
            "layer3",
            &[
                "infrastructureSubnets",
                "reservedSubnets",
                "defaultGatewayIPs",
            ],
            &[
                "vlanID",
                "physicalNetworkName",
                "excludeSubnets",
                "transitSubnet",
            ],
        ),
        Topology::Localnet => (
            "localnet",
            &[
                "joinSubnet",
                "infrastructureSubnets",
                "reservedSubnets",
                "defaultGatewayIPs",
            ],
            &["transitSubnet", "transport"],
        ),
    };
    let mut refuse = |key: &str, what: &str| {
        report.add(
            plugin.field_ref(key),
            format!("OVN-Kubernetes refuses {what} with the topology {word}"),
            "remove it, or choose another topology",
        );
    };
    for key in refused.iter().filter(|key| plugin.text(key).is_some()) {
        refuse(key, key);
    }
    let role = plugin.text("role").unwrap_or_default();
    if topology == Topology::Localnet && role == "primary" {
        refuse("role", "the role \"primary\"");
    }
    if topology == Topology::Layer3 && plugin.is_true("allowPersistentIPs") {
        refuse("allowPersistentIPs", "allowPersistentIPs");
    }
    for key in unread {
        let written = plugin.text(key).is_some() || plugin.integer(key).is_some_and(|n| n != 0);
        if written {
            report.add_capped(
                Levels::ADVICE,
                plugin.field_ref(key),
                format!("OVN-Kubernetes ignores {key} with the topology {word}"),
                "remove it, or choose another topology",
            );
        }
    }
    let subnets = plugin.text("subnets").is_some();
    if topology == Topology::Layer2 && role == "primary" && !subnets {
        report.add(
            plugin.field_ref("subnets"),
            "OVN-Kubernetes refuses a primary layer2 network without subnets",
            "add \"subnets\", such as \"10.128.0.0/16\"",
        );
    } else if plugin.is_true("allowPersistentIPs") && !subnets {
        report.add_capped(
            Levels::ADVICE,
            plugin.field_ref("allowPersistentIPs"),
            "OVN-Kubernetes ignores allowPersistentIPs without subnets: it assigns no address",
            "add \"subnets\", or remove allowPersistentIPs",
        );
    } else if topology == Topology::Layer3 && !subnets {
        report.add_capped(
            Levels::ADVICE,
            plugin.field_ref("subnets"),
            "OVN-Kubernetes assigns no address on a layer3 network without subnets",
            "add \"subnets\", such as \"10.128.0.0/16/24\"",
        );
    }
}

/// Checks `ipam`, because OVN-Kubernetes assigns the addresses itself. Since 1.4, a DHCP server outside
/// of the cluster may do so on a localnet network (OKEP-6224).
fn check_ipam(plugin: &Fields<'_, '_>, topology: Option<Topology>, report: &mut Report<'_>) {
    let kind = plugin.object("ipam").and_then(|ipam| ipam.text("type"));
    let Some(kind) = kind else { return };
    let subnets = plugin.text("subnets").is_some();
    if kind == "dhcp" && topology == Some(Topology::Localnet) && !subnets {
        return report.add_capped(
            Levels::ADVICE,
            plugin.field_ref("ipam"),
            "OVN-Kubernetes before version 1.4 refuses \"ipam\" of type dhcp on a localnet network",
            "check that the cluster runs OVN-Kubernetes 1.4 or newer",
        );
    }
    report.add(
        plugin.field_ref("ipam"),
        "ovn-k8s-cni-overlay refuses \"ipam\"",
        "write \"subnets\" instead; OVN-Kubernetes assigns the addresses",
    );
}
