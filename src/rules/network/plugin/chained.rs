//! Plugins that change what another one made: tuning, sbr, bandwidth, portmap.

use crate::{network::Subnet, rules::Report};

use super::{
    super::fields::{
        Fields,
        Sort::{Boolean, Integer, Text, TextMap, Texts, Unsigned},
        gravity, quoted,
    },
    check_mac,
};

pub(super) fn tuning(plugin: &Fields<'_, '_>, report: &mut Report<'_>) {
    plugin.check_kinds(
        &[
            ("dataDir", Text),
            ("sysctl", TextMap),
            ("mac", Text),
            ("promisc", Boolean),
            ("mtu", Integer),
            ("allmulti", Boolean),
            ("txQLen", Integer),
        ],
        report,
    );
    check_mac(plugin, "mac", report);
}

pub(super) fn sbr(plugin: &Fields<'_, '_>, report: &mut Report<'_>) {
    plugin.check_kinds(&[("table", Integer), ("addSourceHints", Boolean)], report);
}

pub(super) fn bandwidth(plugin: &Fields<'_, '_>, report: &mut Report<'_>) {
    const PAIRS: [[&str; 2]; 2] = [
        ["ingressRate", "ingressBurst"],
        ["egressRate", "egressBurst"],
    ];
    for pair in PAIRS {
        plugin.check_kinds(&pair.map(|key| (key, Unsigned)), report);
        let numbers = pair.map(|key| plugin.value(key).map_or(Some(0), |v| v.node.integer()));
        let [Some(rate), Some(burst)] = numbers else {
            continue;
        };
        let [alone, missing] = match (rate, burst) {
            (0, 0) => continue,
            (_, 0) => pair,
            (0, _) => [pair[1], pair[0]],
            _ => {
                check_burst(plugin, pair[1], burst, report);
                continue;
            }
        };
        report.add(
            plugin.place(alone),
            format!("{alone} needs {missing}"),
            format!("add \"{missing}\", or remove {alone}"),
        );
    }
    check_subnets(plugin, report);
}

/// The kernel counts a burst in 32 bits of bytes.
fn check_burst(plugin: &Fields<'_, '_>, key: &str, burst: i64, report: &mut Report<'_>) {
    if burst / 8 >= i64::from(u32::MAX) {
        report.add(
            plugin.place(key),
            format!("{key} {burst} is more than 4 GB"),
            "write fewer bits",
        );
    }
}

fn check_subnets(plugin: &Fields<'_, '_>, report: &mut Report<'_>) {
    const LISTS: [&str; 2] = ["unshapedSubnets", "shapedSubnets"];
    plugin.check_kinds(&LISTS.map(|key| (key, Texts)), report);
    let lists = LISTS.map(|key| plugin.list(key));
    if lists.iter().all(|list| !list.is_empty()) {
        report.add(
            plugin.place("shapedSubnets"),
            "shapedSubnets and unshapedSubnets exclude each other",
            "keep one of the two",
        );
    }
    for value in lists.into_iter().flatten() {
        let Some(text) = value.node.string() else {
            continue;
        };
        if let Err(error) = Subnet::parse(&text) {
            report.add_lesser(
                gravity(error),
                value.place(),
                format!("{} {error}", quoted(&text)),
                "write a subnet, such as 192.0.2.0/24",
            );
        }
    }
}

pub(super) fn portmap(plugin: &Fields<'_, '_>, report: &mut Report<'_>) {
    plugin.check_kinds(
        &[
            ("snat", Boolean),
            ("masqAll", Boolean),
            ("markMasqBit", Integer),
            ("externalSetMarkChain", Text),
            ("conditionsV4", Texts),
            ("conditionsV6", Texts),
            ("backend", Text),
        ],
        report,
    );
    plugin.check_number("markMasqBit", 0..=31, report);
    plugin.check_word("backend", &["iptables", "nftables"], report);
    if plugin.has("markMasqBit") && plugin.has("externalSetMarkChain") {
        report.add(
            plugin.place("externalSetMarkChain"),
            "externalSetMarkChain and markMasqBit exclude each other",
            "keep one of the two",
        );
    }
}
