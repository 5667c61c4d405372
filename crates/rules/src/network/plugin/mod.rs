//! `invalid-plugin-option`: options that their plugin rejects, grouped by plugin.

mod bond;
mod bridge;
mod chained;
mod device;
mod filters;
mod host_device;
mod macvlan;
mod ovn;
mod ovn_subnets;
mod ovs;
mod plain;
mod route_override;
mod sriov;
mod vlan;

use crate::{
    Check, Example, Levels, NetworkSubject, Report, Rule,
    examples::{MACVLAN_CONF, network},
};
use nadmit_cni::{HardwareAddress, link::family};

use super::fields::{Fields, quoted};

pub(crate) const RULE: Rule = Rule {
    code: "invalid-plugin-option",
    levels: Levels::FAILS,
    summary: "A plugin refuses one of its options",
    explanation: "The options of macvlan, ipvlan, bridge, vlan, host-device, ptp, dummy, tap, sriov, \
        ib-sriov, accelerated-bridge, ipoib, ovs, bond, tuning, sbr, bandwidth, portmap, vrf, \
        firewall, route-override and ovn-k8s-cni-overlay are of certain kinds, numbers in certain \
        ranges, and some exclude each other; cnv-bridge and cnv-tuning are bridge and tuning by \
        other names. What the plugin refuses fails every pod of the network; what it passes over or \
        guesses is only warned of, and so is an interface of a name that Linux has none of. Other \
        plugins are not judged. OVN-Kubernetes reads the NAD itself: one that it refuses is no \
        network, and its pods wait for ever. Source: the plugins v1.9 and those of each project, as \
        they load their configuration; OVN-Kubernetes, ParseNetConf and ValidateNetConf; the plugins \
        v1.1.1 executed, but for ipvlan, vlan, dummy and tap.",
    wrong: Example(&[network!(
        r#"{"cniVersion": "0.3.1", "type": "macvlan", "mode": "brigde", "ipam": {"type": "dhcp"}}"#
    )]),
    right: Example(&[MACVLAN_CONF]),
    check: Check::Network(check),
};

fn check(subject: &NetworkSubject<'_>, report: &mut Report<'_>) {
    let plugins = Fields::plugins(subject);
    let first = plugins.first().map(|(kind, _)| *kind);
    let count = plugins.len();
    for (index, (kind, plugin)) in plugins.into_iter().enumerate() {
        match family(kind) {
            "macvlan" => macvlan::macvlan(&plugin, report),
            "ipvlan" => macvlan::ipvlan(&plugin, index == 0, report),
            "bridge" => bridge::check(&plugin, report),
            "vlan" => vlan::check(&plugin, report),
            "host-device" => host_device::check(&plugin, report),
            "ptp" => plain::ptp(&plugin, report),
            "dummy" => check_has_ipam(&plugin, report),
            "tap" => plain::tap(&plugin, report),
            "ipoib" => plain::ipoib(&plugin, report),
            "ovs" => ovs::check(&plugin, report),
            "bond" => bond::check(&plugin, report),
            "sriov" => sriov::check(&plugin, report),
            "ib-sriov" => sriov::infiniband(&plugin, report),
            "accelerated-bridge" => sriov::accelerated_bridge(&plugin, report),
            "vrf" => filters::vrf(&plugin, report),
            "firewall" => filters::firewall(&plugin, report),
            "route-override" => route_override::check(&plugin, report),
            "tuning" => chained::tuning(&plugin, report),
            "sbr" => chained::sbr(&plugin, report),
            "bandwidth" => chained::bandwidth(&plugin, first, report),
            "portmap" => chained::portmap(&plugin, report),
            "ovn-k8s-cni-overlay" => ovn::check(&plugin, count, report),
            _ => {}
        }
    }
}

/// Reports a hardware address that Go cannot parse.
fn check_mac(plugin: &Fields<'_, '_>, key: &str, report: &mut Report<'_>) {
    let Some(text) = plugin.text(key) else { return };
    if let Err(error) = HardwareAddress::parse(&text) {
        report.add(
            plugin.field_ref(key),
            format!("{key} {} {error}", quoted(&text)),
            SIX_BYTES,
        );
    }
}

const SIX_BYTES: &str = "write 6 bytes, such as 02:5e:00:00:00:01";

/// Reports a MAC that Go cannot parse or that Linux rejects for an interface. `longer` is the class of
/// addresses with more than six bytes: creating an interface with one fails ([`Levels::FAILS`]), while
/// changing an existing interface uses the first six bytes.
fn check_own_mac(plugin: &Fields<'_, '_>, longer: Levels, report: &mut Report<'_>) {
    const KEY: &str = "mac";
    check_mac(plugin, KEY, report);
    let Some(text) = plugin.text(KEY) else { return };
    match HardwareAddress::parse(&text) {
        Ok(HardwareAddress::Ethernet(mac)) if mac.is_multicast() || mac.is_zero() => report.add(
            plugin.field_ref(KEY),
            format!(
                "mac {} is not a valid address for an interface, and Linux refuses it",
                quoted(&text)
            ),
            "write one whose first byte is even, such as 02:5e:00:00:00:01",
        ),
        Ok(HardwareAddress::Ethernet(_)) | Err(_) => {}
        Ok(address) => report.add_capped(
            longer,
            plugin.field_ref(KEY),
            format!(
                "mac {} has {} bytes, of which Linux takes six at most",
                quoted(&text),
                address.as_bytes().len()
            ),
            SIX_BYTES,
        ),
    }
}

/// The valid MTUs of an Ethernet interface: IPv4 needs 68, and Linux stores 16 bits. 0 means the default.
const MTUS: std::ops::RangeInclusive<i64> = 68..=65535;

/// Reports an MTU that Linux rejects for every interface.
fn check_mtu(plugin: &Fields<'_, '_>, report: &mut Report<'_>) {
    if plugin.integer("mtu") != Some(0) {
        plugin.check_number("mtu", MTUS, report);
    }
}

/// Reports a missing `ipam`, for plugins that create no interface without an address.
fn check_has_ipam(plugin: &Fields<'_, '_>, report: &mut Report<'_>) {
    if plugin
        .object("ipam")
        .is_some_and(|ipam| ipam.text("type").is_some())
    {
        return;
    }
    report.add(
        plugin.field_ref("ipam"),
        "the plugin fails without \"ipam\": it makes no interface that has no address",
        "add \"ipam\", such as {\"type\": \"static\"}, or use macvlan or bridge",
    );
}
