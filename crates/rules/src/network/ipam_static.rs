//! The rules on IPAM static: `invalid-static-ipam` and `repeated-address`.

use std::collections::HashSet;

use crate::{
    Check, Example, Levels, NetworkSubject, Report, Rule, RuleDocs,
    examples::{STORAGE_NET, network},
};
use nadmit_cni::{Subnet, address::SpecialAddress, configure::configures};

use super::{
    cni_version::is_before_0_3_0,
    fields::{FieldValue, Fields},
    routes::{check_addresses, check_dns, check_one_a_family, check_routes},
};

pub(crate) const INVALID: Rule = Rule {
    code: "invalid-static-ipam",
    levels: Levels::FAILS,
    summary: "IPAM static or Linux refuses the configured addresses, routes or DNS",
    docs: RuleDocs {
        checks: "IPAM static has an address, a route or a DNS setting that cannot be used. An address has \
            a prefix length; a gateway has none. A route has a subnet (dst) and may have a gateway \
            (gw). DNS settings are strings and lists of strings. Before CNI version 0.3.0, a network \
            has one address of each IP family. Linux refuses ::, ::1 and IPv6 multicast addresses on \
            an interface. The rule only warns of 0.0.0.0, IPv4 multicast and loopback addresses. It \
            also only warns of a nameserver that is not an address, a route without dst, and an IPv4 \
            address in IPv6 notation.",
        consequence: "static or the plugin fails, and no pod of the network starts. With 0.0.0.0, an IPv4 \
            multicast address or an IPv4 loopback address the pod starts, but no traffic reaches it.",
        fix: "Write each address with its prefix length, such as 192.0.2.5/24, and each gateway \
            without one. Write a host address of the network.",
        source: "static, LoadIPAMConfig; v1.1.1 executed.",
    },
    wrong: Example(&[network!(
        r#"{"cniVersion": "0.3.1", "type": "macvlan", "ipam": {"type": "static", "addresses": [{"address": "192.0.2.5"}]}}"#
    )]),
    right: Example(&[STORAGE_NET]),
    check: Check::Network(invalid),
};

pub(crate) const REPEATED: Rule = Rule {
    code: "repeated-address",
    levels: Levels::FAILS,
    summary: "An address is configured twice",
    docs: RuleDocs {
        checks: "IPAM static has the same address twice. If an IPv4 address is repeated with another \
            prefix length, the rule only warns, because Linux accepts it.",
        consequence: "static does not check whether an address is repeated, but Linux refuses the second one \
            (\"file exists\"). No pod of the network starts.",
        fix: "Remove one of the two entries.",
        source: "static, LoadIPAMConfig; v1.1.1 and v1.10 executed.",
    },
    wrong: Example(&[network!(
        r#"{"cniVersion": "0.3.1", "type": "macvlan", "ipam": {"type": "static", "addresses": [{"address": "192.0.2.5/24"}, {"address": "192.0.2.5/24"}]}}"#
    )]),
    right: Example(&[STORAGE_NET]),
    check: Check::Network(repeated),
};

fn invalid(subject: &NetworkSubject<'_>, report: &mut Report<'_>) {
    let ipams = Fields::ipams(subject, "static");
    for ipam in &ipams {
        check_addresses(ipam, report);
        check_routes(ipam, report);
        check_dns(ipam, report);
    }
    check_special_addresses(subject, report);
    if ipams.is_empty() || !is_before_0_3_0(subject) {
        return;
    }
    for ipam in &ipams {
        let each = configured(ipam).into_iter();
        let each = each.map(|(subnet, value)| (subnet.address.is_ipv4(), value));
        check_one_a_family(each, report);
    }
}

/// Reports configured addresses that no host has.
fn check_special_addresses(subject: &NetworkSubject<'_>, report: &mut Report<'_>) {
    for (kind, plugin) in Fields::plugins(subject) {
        let ipam = plugin.object("ipam");
        let is_static = |ipam: &Fields<'_, '_>| ipam.text("type").is_some_and(|t| t == "static");
        let Some(ipam) = ipam.filter(is_static) else {
            continue;
        };
        for (subnet, value) in configured(&ipam) {
            let Some(special) = SpecialAddress::of(subnet.address) else {
                continue;
            };
            // Linux accepts such IPv4 addresses. A plugin that is not known may not set the address.
            let is_refused = subnet.address.is_ipv6() && configures(kind);
            let (levels, outcome) = match is_refused {
                true => (Levels::FAILS, "Linux refuses it, and no pod starts"),
                false => (Levels::ADVICE, "no traffic reaches a pod with it"),
            };
            report.add_capped(
                levels,
                value.field_ref(),
                format!("{} is {special}: {outcome}", subnet.address),
                "write a host address of the network, such as 192.0.2.5/24",
            );
        }
    }
}

fn repeated(subject: &NetworkSubject<'_>, report: &mut Report<'_>) {
    for ipam in Fields::ipams(subject, "static") {
        let (mut addresses, mut exact) = (HashSet::new(), HashSet::new());
        for (subnet, value) in configured(&ipam) {
            let is_first = addresses.insert(subnet.address);
            let is_other = exact.insert((subnet.address, subnet.prefix));
            if is_first {
                continue;
            }
            let levels = if is_other && subnet.address.is_ipv4() {
                Levels::ADVICE
            } else {
                Levels::FAILS
            };
            report.add_capped(
                levels,
                value.field_ref(),
                format!("the address {} is configured twice", subnet.address),
                "remove one of the two entries",
            );
        }
    }
}

/// Returns the valid configured addresses.
fn configured<'s, 'a>(ipam: &Fields<'s, 'a>) -> Vec<(Subnet, FieldValue<'s, 'a>)> {
    let entries = ipam.objects("addresses").into_iter();
    let read = |entry: Fields<'s, 'a>| {
        let subnet = Subnet::parse(&entry.text("address")?).ok()?;
        Some((subnet, entry.value("address")?))
    };
    entries.filter_map(read).collect()
}
