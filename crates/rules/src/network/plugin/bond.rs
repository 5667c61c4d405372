//! bond, which joins several interfaces of other plugins into one.

use crate::Report;

use super::{
    super::fields::{
        FieldType::{Boolean, Integer, Objects, Text},
        Fields, alternatives, quoted,
    },
    check_mtu,
};

/// The modes to which `tlbDynamicLb` applies.
const TLB_MODES: [&str; 2] = ["balance-tlb", "balance-alb"];

pub(super) fn check(plugin: &Fields<'_, '_>, report: &mut Report<'_>) {
    plugin.check_types(
        &[
            ("mode", Text),
            ("linksInContainer", Boolean),
            ("failOverMac", Integer),
            ("miimon", Text),
            ("links", Objects),
            ("mtu", Integer),
            ("allSlavesActive", Integer),
            ("tlbDynamicLb", Integer),
            ("xmitHashPolicy", Text),
        ],
        report,
    );
    check_mode(plugin, report);
    check_interval(plugin, report);
    check_links(plugin, report);
    plugin.check_number("failOverMac", 0..=2, report);
    plugin.check_number("allSlavesActive", 0..=1, report);
    plugin.check_number("tlbDynamicLb", 0..=1, report);
    plugin.check_one_of(
        "xmitHashPolicy",
        &[
            "layer2",
            "layer3+4",
            "layer2+3",
            "encap2+3",
            "encap3+4",
            "vlan+srcmac",
        ],
        report,
    );
    check_mtu(plugin, report);
    let ipam = plugin.object("ipam").and_then(|ipam| ipam.text("type"));
    if ipam.is_some_and(|kind| kind == "bond") {
        report.add(
            plugin.field_ref("ipam"),
            "\"ipam\" has the type \"bond\", but bond is not an IPAM plugin",
            "write an IPAM plugin, such as {\"type\": \"static\"}",
        );
    }
}

fn check_mode(plugin: &Fields<'_, '_>, report: &mut Report<'_>) {
    const MODES: [&str; 7] = [
        "balance-rr",
        "active-backup",
        "balance-xor",
        "broadcast",
        "802.3ad",
        "balance-tlb",
        "balance-alb",
    ];
    if plugin.value("mode").is_none_or(|mode| mode.node.is_empty()) {
        report.add(
            plugin.field_ref("mode"),
            "bond has no mode",
            format!("add \"mode\": {}", alternatives(&MODES)),
        );
    }
    plugin.check_one_of("mode", &MODES, report);
    let mode = plugin.text("mode").unwrap_or_default();
    if plugin.has("tlbDynamicLb") && MODES.contains(&&*mode) && !TLB_MODES.contains(&&*mode) {
        report.add(
            plugin.field_ref("tlbDynamicLb"),
            format!("bond refuses tlbDynamicLb in the mode {}", quoted(&mode)),
            "remove tlbDynamicLb, or write the mode \"balance-tlb\" or \"balance-alb\"",
        );
    }
}

/// Checks `miimon`, which is required and a number in a string.
fn check_interval(plugin: &Fields<'_, '_>, report: &mut Report<'_>) {
    const HELP: &str = "write milliseconds as a string: \"miimon\": \"100\"";
    let Some(value) = plugin.value("miimon") else {
        return report.add(plugin.own_ref(), "bond has no miimon", HELP);
    };
    let text = value.node.string();
    if text.is_some_and(|text| text.parse::<i32>().is_err()) {
        report.add(
            value.field_ref(),
            format!("miimon {} is not a whole number", value.node.text()),
            HELP,
        );
    }
}

fn check_links(plugin: &Fields<'_, '_>, report: &mut Report<'_>) {
    const HELP: &str = "write \"links\": [{\"name\": \"net1\"}, {\"name\": \"net2\"}]";
    let links = plugin.list("links");
    if links.len() < 2 {
        report.add(
            plugin.field_ref("links"),
            format!("bond needs at least 2 links, got {}", links.len()),
            HELP,
        );
    }
    for link in plugin.objects("links") {
        if report.is_full() {
            return;
        }
        let name = link.value("name").and_then(|name| name.node.string());
        if name.is_none_or(|name| name.is_empty()) {
            report.add(link.field_ref("name"), "a link of bond has no name", HELP);
        }
    }
}
