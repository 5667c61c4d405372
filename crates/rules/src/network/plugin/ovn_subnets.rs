//! The subnets of an OVN-Kubernetes network, which are comma-separated lists.

use crate::Report;
use nadmit_cni::{
    Subnet,
    ovn::{JOIN_SUBNETS, Topology},
};

use super::super::fields::{Fields, quoted, range_error_class};

/// The prefix length of a node's part of an IPv6 subnet.
const NODE_V6: u8 = 64;
/// The default prefix length of a node's part of an IPv4 subnet.
const NODE_V4: u8 = 24;

pub(super) fn check(plugin: &Fields<'_, '_>, topology: Topology, report: &mut Report<'_>) {
    let by_node = topology == Topology::Layer3;
    let subnets = read(plugin, "subnets", by_node, report);
    if by_node {
        check_node_prefixes(plugin, report);
    } else {
        let excludes = read(plugin, "excludeSubnets", false, report);
        check_contained(plugin, "excludeSubnets", &excludes, &subnets, report);
        for key in ["reservedSubnets", "infrastructureSubnets"] {
            read(plugin, key, false, report);
        }
    }
    if topology != Topology::Localnet {
        let joins = read(plugin, "joinSubnet", false, report);
        check_disjoint(plugin, subnets, joins, report);
    }
}

/// Returns the valid subnets of a list, and reports the others.
fn read(plugin: &Fields<'_, '_>, key: &str, by_node: bool, report: &mut Report<'_>) -> Vec<Subnet> {
    let Some(list) = plugin.text(key).filter(|list| !list.trim().is_empty()) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for text in list.split(',').map(str::trim) {
        if report.is_full() {
            break;
        }
        let subnet = match text.rsplit_once('/') {
            Some((subnet, _)) if by_node && subnet.contains('/') => subnet,
            _ => text,
        };
        match Subnet::parse(subnet) {
            Ok(subnet) => found.push(subnet),
            Err(error) => report.add_capped(
                range_error_class(error),
                plugin.field_ref(key),
                format!("{} {error}", quoted(text)),
                "write subnets separated by commas, such as 192.0.2.0/24,198.51.100.0/24",
            ),
        }
    }
    found
}

/// Checks the prefix length of the nodes' parts of each subnet of topology layer3.
fn check_node_prefixes(plugin: &Fields<'_, '_>, report: &mut Report<'_>) {
    let list = plugin.text("subnets").unwrap_or_default();
    let mut common = None;
    for text in list.split(',').map(str::trim) {
        if report.is_full() {
            return;
        }
        let (subnet, part) = match text.rsplit_once('/') {
            Some((subnet, part)) if subnet.contains('/') => (subnet, Some(part)),
            _ => (text, None),
        };
        let Ok(subnet) = Subnet::parse(subnet) else {
            continue;
        };
        let v4 = subnet.address.is_ipv4();
        let default = if v4 { NODE_V4 } else { NODE_V6 };
        let size = match part.map(str::parse::<u8>) {
            None => Some(default),
            Some(size) => size.ok(),
        };
        let fault = match size {
            None => format!("{} has no number after its second \"/\"", quoted(text)),
            Some(size) if v4 && size > 32 => {
                format!(
                    "the node prefix length of {} is {size}, but an IPv4 address has 32 bits",
                    quoted(text)
                )
            }
            Some(size) if !v4 && size != NODE_V6 => {
                format!(
                    "the node prefix length of {} is {size}, but OVN-Kubernetes accepts only 64",
                    quoted(text)
                )
            }
            Some(size) if size <= subnet.prefix => {
                format!(
                    "the node prefix length of {} is {size}, which is not longer than that \
                     of the subnet",
                    quoted(text)
                )
            }
            Some(size) if v4 && common.is_some_and(|common| common != size) => {
                "the IPv4 subnets have different node prefix lengths".to_owned()
            }
            Some(size) => {
                if v4 {
                    common = Some(size);
                }
                continue;
            }
        };
        report.add(
            plugin.field_ref("subnets"),
            fault,
            "write subnets with a node prefix length, such as 10.128.0.0/16/24",
        );
    }
}

fn check_contained(
    plugin: &Fields<'_, '_>,
    key: &str,
    inner: &[Subnet],
    subnets: &[Subnet],
    report: &mut Report<'_>,
) {
    for one in inner {
        if report.is_full() {
            return;
        }
        if !subnets.iter().any(|subnet| is_subset(*subnet, *one)) {
            report.add(
                plugin.field_ref(key),
                format!("OVN-Kubernetes refuses {one} in {key}, because no subnet contains it"),
                format!("write only parts of \"subnets\", or remove {one}"),
            );
        }
    }
}

/// Reports subnets that overlap each other or the join subnets, which OVN-Kubernetes rejects.
fn check_disjoint(
    plugin: &Fields<'_, '_>,
    mut subnets: Vec<Subnet>,
    joins: Vec<Subnet>,
    report: &mut Report<'_>,
) {
    let own = subnets.len();
    // Excluded subnets may resolve an overlap with the join subnets.
    if plugin.text("excludeSubnets").is_none() {
        let v4 = |subnet: &Subnet| subnet.address.is_ipv4();
        let defaults = JOIN_SUBNETS
            .iter()
            .filter_map(|text| Subnet::parse(text).ok());
        let defaults: Vec<Subnet> = defaults
            .filter(|default| joins.iter().all(|join| v4(join) != v4(default)))
            .collect();
        subnets.extend(joins.into_iter().chain(defaults));
    }
    for (index, one) in subnets.iter().enumerate().take(own) {
        for other in &subnets[index + 1..] {
            if report.is_full() {
                return;
            }
            if is_subset(*one, *other) || is_subset(*other, *one) {
                report.add(
                    plugin.field_ref("subnets"),
                    format!("{one} and {other} overlap, which OVN-Kubernetes refuses"),
                    "write subnets that overlap neither each other nor the join subnets \
                     (100.65.0.0/16 and fd99::/64, or joinSubnet)",
                );
            }
        }
    }
}

fn is_subset(outer: Subnet, inner: Subnet) -> bool {
    let (outer, inner) = (outer.range(), inner.range());
    outer.is_ipv4() == inner.is_ipv4()
        && outer.first() <= inner.first()
        && inner.last() <= outer.last()
}
