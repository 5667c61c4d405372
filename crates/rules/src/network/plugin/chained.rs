//! Options of chained plugins, which change the interface of another one: tuning, sbr, bandwidth, portmap.

use crate::{Levels, Report};
use nadmit_cni::address::parse_address;

use super::{
    super::fields::{
        FieldType::{Boolean, Integer, Text, TextMap, Texts, Unsigned},
        FieldValue, Fields, quoted,
    },
    check_mtu, check_own_mac,
};

pub(super) fn tuning(plugin: &Fields<'_, '_>, report: &mut Report<'_>) {
    plugin.check_types(
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
    check_own_mac(plugin, Levels::MISLEADS, report);
    check_mtu(plugin, report);
    check_sysctls(plugin, report);
}

/// Reports sysctls that do not belong to the network namespace. Dots and slashes are equivalent separators.
fn check_sysctls(plugin: &Fields<'_, '_>, report: &mut Report<'_>) {
    let Some(sysctls) = plugin.object("sysctl") else {
        return;
    };
    for member in sysctls.members() {
        let key = member.name.value.replace('.', "/");
        let mut parts = key.split('/').filter(|part| !part.is_empty());
        if parts.next() != Some("net") || parts.next().is_none() {
            report.add(
                sysctls.name_ref(member),
                format!(
                    "tuning sets only sysctls below \"net.\", got {}",
                    quoted(&member.name.value)
                ),
                "write a sysctl that begins with \"net.\", or set this one in the pod's \
                 securityContext",
            );
        }
    }
}

pub(super) fn sbr(plugin: &Fields<'_, '_>, report: &mut Report<'_>) {
    plugin.check_types(
        &[
            ("table", Integer),
            ("gateways", Texts),
            ("addSourceHints", Boolean),
        ],
        report,
    );
    check_gateways(plugin, report);
}

/// Checks the gateways: sbr v1.10 accepts one of each family (plugins/meta/sbr/main.go, doRoutes).
fn check_gateways(plugin: &Fields<'_, '_>, report: &mut Report<'_>) {
    const HELP: &str = "write at most one IPv4 and one IPv6 address, such as [\"192.0.2.1\"]";
    let mut families = [false; 2];
    for gateway in plugin.list("gateways") {
        let Some(text) = gateway.node.string() else {
            return;
        };
        // Go reads an IPv4 address in IPv6 notation as IPv4.
        let family = parse_address(&text).ok();
        let family = family.map(|address| usize::from(address.to_canonical().is_ipv6()));
        let fault = match family {
            None => "is not an IP address",
            Some(family) if std::mem::replace(&mut families[family], true) => {
                "is the second gateway of its IP family"
            }
            Some(_) => continue,
        };
        report.add(
            gateway.field_ref(),
            format!("the gateway {} {fault}", quoted(&text)),
            HELP,
        );
    }
}

/// Plugins that create no veth pair. bandwidth needs the end of the pair on the node.
const WITHOUT_VETH: [&str; 3] = ["macvlan", "ipvlan", "vlan"];
/// The minimum of a rate or burst in bits: Linux counts whole bytes and rejects zero.
const MIN_BITS: u64 = 8;

pub(super) fn bandwidth(plugin: &Fields<'_, '_>, first: Option<&str>, report: &mut Report<'_>) {
    const PAIRS: [[&str; 2]; 2] = [
        ["ingressRate", "ingressBurst"],
        ["egressRate", "egressBurst"],
    ];
    for pair in PAIRS {
        plugin.check_types(&pair.map(|key| (key, Unsigned)), report);
        let numbers = pair.map(|key| plugin.value(key).map_or(Some(0), |v| unsigned(&v)));
        let [Some(rate), Some(burst)] = numbers else {
            continue;
        };
        let [alone, missing] = match (rate, burst) {
            (0, 0) => continue,
            (_, 0) => pair,
            (0, _) => [pair[1], pair[0]],
            _ => {
                check_rate(plugin, pair, [rate, burst], report);
                check_main_plugin(plugin, pair[0], first, report);
                continue;
            }
        };
        report.add(
            plugin.field_ref(alone),
            format!("{alone} needs {missing}"),
            format!("add \"{missing}\", or remove {alone}"),
        );
    }
    check_subnets(plugin, report);
}

fn unsigned(value: &FieldValue<'_, '_>) -> Option<u64> {
    value.node.text().parse().ok()
}

fn check_rate(
    plugin: &Fields<'_, '_>,
    keys: [&str; 2],
    numbers: [u64; 2],
    report: &mut Report<'_>,
) {
    for (key, number) in keys.into_iter().zip(numbers) {
        if number < MIN_BITS {
            report.add(
                plugin.field_ref(key),
                format!(
                    "{key} {number} is less than {MIN_BITS} bits (1 byte), which Linux refuses"
                ),
                format!("write at least {MIN_BITS}"),
            );
        }
    }
    // The kernel stores a burst as a 32-bit number of bytes.
    let [_, burst] = numbers;
    if burst / 8 >= u32::MAX.into() {
        report.add(
            plugin.field_ref(keys[1]),
            format!("{} {burst} is more than 4 GB", keys[1]),
            "write fewer than 34359738360 bits",
        );
    }
}

fn check_main_plugin(
    plugin: &Fields<'_, '_>,
    key: &str,
    first: Option<&str>,
    report: &mut Report<'_>,
) {
    let Some(first) = first.filter(|first| WITHOUT_VETH.contains(first)) else {
        return;
    };
    report.add(
        plugin.field_ref(key),
        format!("bandwidth fails after {first}, which creates no veth pair"),
        format!("use bridge or ptp instead of {first}, or remove the limit"),
    );
}

/// Reports the subnets, which only bandwidth v1.5 reads.
fn check_subnets(plugin: &Fields<'_, '_>, report: &mut Report<'_>) {
    for key in ["unshapedSubnets", "shapedSubnets"] {
        if plugin.has(key) {
            report.add_capped(
                Levels::ADVICE,
                plugin.field_ref(key),
                format!("bandwidth ignores {key}, which only its version 1.5 supported"),
                format!("remove {key}; bandwidth limits all traffic"),
            );
        }
    }
}

pub(super) fn portmap(plugin: &Fields<'_, '_>, report: &mut Report<'_>) {
    plugin.check_types(
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
    check_backend(plugin, report);
    if plugin.has("markMasqBit") && plugin.has("externalSetMarkChain") {
        report.add(
            plugin.field_ref("externalSetMarkChain"),
            "externalSetMarkChain and markMasqBit exclude each other",
            "remove one of the two",
        );
    }
}

/// Reports options in the syntax of the backend that was not chosen.
fn check_backend(plugin: &Fields<'_, '_>, report: &mut Report<'_>) {
    const BACKENDS: [&str; 2] = ["iptables", "nftables"];
    plugin.check_one_of("backend", &BACKENDS, report);
    let Some(value) = plugin.value("backend") else {
        return;
    };
    if value.node.is_empty() {
        return report.add(
            value.field_ref(),
            "backend is empty",
            "write \"iptables\" or \"nftables\", or remove it",
        );
    }
    let chosen = value.node.string().unwrap_or_default();
    let Some(chosen) = BACKENDS.into_iter().find(|known| *known == chosen) else {
        return;
    };
    let chain = plugin.has("externalSetMarkChain").then_some("iptables");
    let mut options = vec![("externalSetMarkChain", chain)];
    for key in ["conditionsV4", "conditionsV6"] {
        let first = plugin.list(key).into_iter().next();
        let first = first.and_then(|first| first.node.string());
        let first = first.filter(|first| !first.is_empty());
        // No condition of nftables begins with these characters.
        let syntax = first.map(|first| match first.starts_with(['-', '!']) {
            true => "iptables",
            false => "nftables",
        });
        options.push((key, syntax));
    }
    for (key, syntax) in options {
        if syntax.is_some_and(|syntax| syntax != chosen) {
            report.add(
                plugin.field_ref(key),
                format!("{key} does not match the backend {chosen}"),
                format!(
                    "choose the other backend, remove {key}, or write it in the syntax of {chosen}"
                ),
            );
        }
    }
}
