//! `invalid-plugin-option`: what a plugin refuses of its own options, one file a plugin.

mod bridge;
mod chained;
mod host_device;
mod macvlan;
mod ovn;
mod sriov;
mod vlan;

use crate::{
    network::HardwareAddress,
    rules::{
        Check, Example, Levels, NetworkSubject, Report, Rule,
        examples::{MACVLAN_CONF, network},
    },
};

use super::fields::{Fields, quoted};

/// The rule.
pub const RULE: Rule = Rule {
    code: "invalid-plugin-option",
    levels: Levels::FAILS,
    summary: "A plugin refuses one of its options",
    explanation: "The options of macvlan, ipvlan, bridge, vlan, host-device, sriov, tuning, sbr, \
        bandwidth, portmap and ovn-k8s-cni-overlay are of certain kinds, numbers in certain ranges, \
        and some exclude each other. What the plugin refuses fails every pod of the network; what \
        it passes over or guesses is only warned of. Other plugins are not judged. Source: the \
        plugins v1.9, sriov-cni and ovn-kubernetes, as they load their configuration.",
    wrong: Example(&[network!(
        r#"{"cniVersion": "0.3.1", "type": "macvlan", "mode": "brigde", "ipam": {"type": "dhcp"}}"#
    )]),
    right: Example(&[MACVLAN_CONF]),
    check: Check::Network(check),
};

fn check(subject: &NetworkSubject<'_>, report: &mut Report<'_>) {
    for (kind, plugin) in Fields::plugins(subject) {
        match &*kind {
            "macvlan" => macvlan::macvlan(&plugin, report),
            "ipvlan" => macvlan::ipvlan(&plugin, report),
            "bridge" => bridge::check(&plugin, report),
            "vlan" => vlan::check(&plugin, report),
            "host-device" => host_device::check(&plugin, report),
            "sriov" => sriov::check(&plugin, report),
            "tuning" => chained::tuning(&plugin, report),
            "sbr" => chained::sbr(&plugin, report),
            "bandwidth" => chained::bandwidth(&plugin, report),
            "portmap" => chained::portmap(&plugin, report),
            "ovn-k8s-cni-overlay" => ovn::check(&plugin, report),
            _ => {}
        }
    }
}

/// Finds a hardware address that Go cannot read.
fn check_mac(plugin: &Fields<'_, '_>, key: &str, report: &mut Report<'_>) {
    let Some(text) = plugin.text(key) else { return };
    if let Err(error) = HardwareAddress::parse(&text) {
        report.add(
            plugin.place(key),
            format!("{key} {} {error}", quoted(&text)),
            "write 6 bytes, such as 02:5e:00:00:00:01",
        );
    }
}
