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
    Check, Example, Levels, NetworkSubject, Report, Rule, RuleDocs,
    examples::{MACVLAN_CONF, network},
};
use nadmit_cni::{HardwareAddress, link::family};

use super::fields::{Fields, quoted};

pub(crate) const RULE: Rule = Rule {
    code: "invalid-plugin-option",
    levels: Levels::FAILS,
    summary: "A plugin refuses one of its options",
    docs: RuleDocs {
        checks: "Options that are missing, have a wrong type or an invalid value, or exclude \
            each other. The checked main plugins are macvlan, ipvlan, bridge, vlan, host-device, \
            ptp, dummy, tap, sriov, ib-sriov, accelerated-bridge, ipoib, ovs, bond and \
            ovn-k8s-cni-overlay. The checked chained plugins are tuning, sbr, bandwidth, \
            portmap, vrf, firewall and route-override. cnv-bridge is checked as bridge, and \
            cnv-tuning as tuning. Other plugins are not checked. An option that the plugin \
            ignores or guesses is only a warning. So is the name of an existing interface that \
            Linux does not allow, and a missing device that a device plugin may provide.",
        consequence: "A refused option makes every pod of the network fail: it hangs in \
            ContainerCreating. An ignored option has no effect. OVN-Kubernetes reads the \
            NetworkAttachmentDefinition itself: if it refuses one, it creates no network, and \
            the pods wait forever.",
        fix: "Write a value that the plugin accepts, as the help of the finding says, or remove \
            the option.",
        source: "The CNI plugins v1.9 and those of each project, where they load their \
            configuration; OVN-Kubernetes, ParseNetConf and ValidateNetConf. The plugins v1.1.1 \
            were run, except ipvlan, vlan, dummy and tap.",
    },
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
                "mac {} is a multicast or zero address, which Linux refuses for an interface",
                quoted(&text)
            ),
            "write a unicast address, such as 02:5e:00:00:00:01",
        ),
        Ok(HardwareAddress::Ethernet(_)) | Err(_) => {}
        Ok(address) => report.add_capped(
            longer,
            plugin.field_ref(KEY),
            format!(
                "mac {} has {} bytes, but an interface has 6",
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
        "the plugin has no \"ipam\", and does not create an interface without an address",
        "add \"ipam\", such as {\"type\": \"static\"}, or use macvlan or bridge",
    );
}
