//! Options of vrf and firewall.

use crate::{Levels, Report};

use super::{
    super::fields::{
        FieldType::{Text, Unsigned},
        Fields, quoted,
    },
    device,
};

pub(super) fn vrf(plugin: &Fields<'_, '_>, report: &mut Report<'_>) {
    plugin.check_types(&[("vrfname", Text), ("table", Unsigned)], report);
    plugin.check_number("table", 0..=u32::MAX.into(), report);
    device::check_made(plugin, "vrfname", report);
    if plugin
        .value("vrfname")
        .is_none_or(|name| name.node.is_empty())
    {
        report.add(
            plugin.field_ref("vrfname"),
            "vrf has no vrfname",
            "add \"vrfname\", the VRF that the interface joins, such as \"blue\"",
        );
    }
}

pub(super) fn firewall(plugin: &Fields<'_, '_>, report: &mut Report<'_>) {
    plugin.check_types(
        &[
            ("backend", Text),
            ("iptablesAdminChainName", Text),
            ("firewalldZone", Text),
            ("ingressPolicy", Text),
        ],
        report,
    );
    plugin.check_one_of(
        "ingressPolicy",
        &["open", "same-bridge", "isolated"],
        report,
    );
    let Some(backend) = plugin.text("backend") else {
        return;
    };
    if !["iptables", "firewalld"].contains(&&*backend) {
        report.add_capped(
            Levels::ADVICE,
            plugin.field_ref("backend"),
            format!(
                "firewall ignores the backend {}: it uses firewalld if that is running, otherwise \
                 iptables",
                quoted(&backend)
            ),
            "write \"iptables\" or \"firewalld\"",
        );
    }
}
