//! The rules on IPAM static: `invalid-static-ipam` and `repeated-address`.

use std::collections::HashSet;

use crate::{
    Check, Example, Levels, NetworkSubject, Report, Rule,
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
    summary: "IPAM static cannot read what it should give",
    explanation: "addresses are written with their prefix length, gateways without; a route has a \
        subnet (dst) and perhaps a gateway (gw); DNS settings are texts and lists of texts. Before \
        CNI version 0.3.0 a network gives one address of each family. Linux refuses the addresses \
        ::, ::1 and those of IPv6 multicast on an interface. Anything else fails every pod. \
        0.0.0.0, IPv4 multicast and loopback addresses, on which nothing reaches the pod, and a \
        nameserver that is not an address are only warned of. Source: static, LoadIPAMConfig; v1.1.1 \
        executed.",
    wrong: Example(&[network!(
        r#"{"cniVersion": "0.3.1", "type": "macvlan", "ipam": {"type": "static", "addresses": [{"address": "192.0.2.5"}]}}"#
    )]),
    right: Example(&[STORAGE_NET]),
    check: Check::Network(invalid),
};

pub(crate) const REPEATED: Rule = Rule {
    code: "repeated-address",
    levels: Levels::FAILS,
    summary: "A configured address stands twice",
    explanation: "static does not look whether an address is there already, but Linux does: the \
        second one fails (\"file exists\") and no pod starts. Only an IPv4 address with another prefix \
        length is taken once more, which is warned of. Source: static, LoadIPAMConfig; v1.1.1 and \
        v1.10 executed.",
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
                false => (Levels::ADVICE, "nothing reaches a pod on it"),
            };
            report.add_capped(
                levels,
                value.field_ref(),
                format!("{} is {special}: {outcome}", subnet.address),
                "write an address of one host in the network, such as 192.0.2.5/24",
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
                format!(
                    "the address {} stands here for the second time",
                    subnet.address
                ),
                "remove one of the two",
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
