//! Options of plugins for virtual functions: sriov, ib-sriov, accelerated-bridge.

use crate::{Levels, Report, network_subject::ConfigOrigin};
use nadmit_cni::annotations::RESOURCE_NAME;

use super::{
    super::fields::{
        FieldType::{Boolean, Integer, Objects, Text},
        Fields, quoted,
    },
    check_mac,
};

pub(super) fn check(plugin: &Fields<'_, '_>, report: &mut Report<'_>) {
    plugin.check_types(
        &[
            ("deviceID", Text),
            ("vlan", Integer),
            ("vlanQoS", Integer),
            ("vlanProto", Text),
            ("mac", Text),
            ("spoofchk", Text),
            ("trust", Text),
            ("link_state", Text),
            ("min_tx_rate", Integer),
            ("max_tx_rate", Integer),
        ],
        report,
    );
    plugin.check_number("vlan", 0..=4094, report);
    plugin.check_number("vlanQoS", 0..=7, report);
    plugin.check_number("min_tx_rate", 0..=i64::MAX, report);
    plugin.check_number("max_tx_rate", 0..=i64::MAX, report);
    plugin.check_one_of("link_state", &["auto", "enable", "disable"], report);
    check_mac(plugin, "mac", report);
    check_vlan(plugin, report);
    check_switch(plugin, "spoofchk", report);
    check_switch(plugin, "trust", report);
    check_device(plugin, report);
    check_overwritten(plugin, report);
    let rates = (plugin.integer("min_tx_rate"), plugin.integer("max_tx_rate"));
    // 0 means unlimited.
    if let (Some(min), Some(max @ 1..)) = rates
        && min > max
    {
        report.add(
            plugin.field_ref("min_tx_rate"),
            format!("min_tx_rate {min} is above max_tx_rate {max}, which Linux refuses"),
            "write a lower min_tx_rate, or a higher max_tx_rate",
        );
    }
}

/// Checks the options that need a VLAN.
fn check_vlan(plugin: &Fields<'_, '_>, report: &mut Report<'_>) {
    let mut outer = false;
    if let Some(protocol) = plugin.text("vlanProto") {
        outer = protocol.eq_ignore_ascii_case("802.1ad");
        if !outer && !protocol.eq_ignore_ascii_case("802.1q") {
            report.add(
                plugin.field_ref("vlanProto"),
                format!("sriov does not support vlanProto {}", quoted(&protocol)),
                "write \"802.1q\" or \"802.1ad\"",
            );
        }
    }
    let quality = plugin.integer("vlanQoS").unwrap_or(0) != 0;
    let (needs, key) = match plugin.integer("vlan") {
        Some(0) => (
            quality || outer,
            if outer { "vlanProto" } else { "vlanQoS" },
        ),
        Some(_) => return,
        None if plugin.has("vlan") => return,
        None if plugin.has("vlanQoS") => (true, "vlanQoS"),
        None => (plugin.has("vlanProto"), "vlanProto"),
    };
    if needs {
        report.add(
            plugin.field_ref(key),
            format!("sriov refuses {key} without a VLAN"),
            format!("write \"vlan\" with a number from 1 to 4094, or remove {key}"),
        );
    }
}

/// Reports a switch that is neither "on" nor "off": the plugin reads every word but "on" as off.
fn check_switch(plugin: &Fields<'_, '_>, key: &str, report: &mut Report<'_>) {
    let Some(word) = plugin
        .text(key)
        .filter(|word| word != "on" && word != "off")
    else {
        return;
    };
    report.add_capped(
        Levels::MISLEADS,
        plugin.field_ref(key),
        format!("sriov reads {key} {} as \"off\"", quoted(&word)),
        "write \"on\" or \"off\"",
    );
}

/// Reports a network without a device plugin resource, which alone determines the device of the plugin.
fn check_device(plugin: &Fields<'_, '_>, report: &mut Report<'_>) {
    let network = plugin.subject();
    let is_network = network.origin == ConfigOrigin::Config && !network.name.is_empty();
    if plugin.has("deviceID") || network.resource_name.is_some() || !is_network {
        return;
    }
    report.add_capped(
        Levels::ADVICE,
        plugin.own_ref(),
        "the network names no device plugin resource, so the plugin gets no device",
        format!(
            "add the annotation {RESOURCE_NAME} with the device plugin's resource, and request the \
             resource in the pod"
        ),
    );
}

/// Reports options that the plugin overwrites with values of the device.
fn check_overwritten(plugin: &Fields<'_, '_>, report: &mut Report<'_>) {
    for (key, help) in [
        (
            "mtu",
            "remove it; an administrator sets the MTU on the node (SriovNetworkNodePolicy)",
        ),
        ("master", "remove it; the device determines the master"),
    ] {
        if plugin.has(key) {
            report.add_capped(
                Levels::ADVICE,
                plugin.field_ref(key),
                format!("sriov ignores {key} and uses that of the device"),
                help,
            );
        }
    }
}

pub(super) fn infiniband(plugin: &Fields<'_, '_>, report: &mut Report<'_>) {
    plugin.check_types(
        &[
            ("deviceID", Text),
            ("pkey", Text),
            ("link_state", Text),
            ("rdmaIsolation", Boolean),
            ("ibKubernetesEnabled", Boolean),
            ("vfioPciMode", Boolean),
        ],
        report,
    );
    plugin.check_one_of("link_state", &["auto", "enable", "disable"], report);
    check_device(plugin, report);
}

pub(super) fn accelerated_bridge(plugin: &Fields<'_, '_>, report: &mut Report<'_>) {
    plugin.check_types(
        &[
            ("debug", Boolean),
            ("bridge", Text),
            ("vlan", Integer),
            ("trunk", Objects),
            ("setUplinkVlan", Boolean),
            ("mac", Text),
            ("mtu", Integer),
            ("deviceID", Text),
        ],
        report,
    );
    plugin.check_number("vlan", 0..=4094, report);
    check_mac(plugin, "mac", report);
    check_device(plugin, report);
}
