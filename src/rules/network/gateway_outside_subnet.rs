//! `gateway-outside-subnet`: a gateway that no address of the network can reach.

use std::net::IpAddr;

use crate::{
    network::{Range, Subnet, address::parse_address},
    rules::{
        Check, Example, Levels, NetworkSubject, Report, Rule,
        examples::{STORAGE_NET, network},
    },
};

use super::fields::Fields;

/// The rule.
pub const RULE: Rule = Rule {
    code: "gateway-outside-subnet",
    levels: Levels::MISLEADS,
    summary: "A gateway is not in the subnet of its addresses",
    explanation: "static, host-local and Whereabouts take any gateway. One outside of the subnet \
        cannot be reached: routes by it are refused by Linux or lead nowhere. Link-local gateways \
        of IPv6 are in no subnet and are left alone. Source: static and host-local v1.9, \
        Whereabouts v0.9.4.",
    wrong: Example(&[network!(
        r#"{"cniVersion": "0.3.1", "type": "macvlan", "ipam": {"type": "static", "addresses": [{"address": "192.0.2.5/24", "gateway": "192.0.3.1"}]}}"#
    )]),
    right: Example(&[STORAGE_NET]),
    check: Check::Network(check),
};

fn check(subject: &NetworkSubject<'_>, report: &mut Report<'_>) {
    for ipam in Fields::ipams(subject, "static") {
        check_addresses(&ipam, report);
    }
    for ipam in Fields::ipams(subject, "host-local") {
        check_gateway(&ipam, &[ipam.text("subnet").as_deref()], report);
        for set in ipam.list("ranges") {
            for range in set.elements() {
                if let Some(range) = range.fields() {
                    check_gateway(&range, &[range.text("subnet").as_deref()], report);
                }
            }
        }
    }
    for ipam in Fields::ipams(subject, "whereabouts") {
        check_addresses(&ipam, report);
        let listed = ipam.objects("ipRanges").into_iter();
        let ranges: Vec<_> = [ipam.text("range")]
            .into_iter()
            .chain(listed.map(|range| range.text("range")))
            .collect();
        let ranges: Vec<_> = ranges.iter().map(Option::as_deref).collect();
        check_gateway(&ipam, &ranges, report);
    }
}

fn check_addresses(ipam: &Fields<'_, '_>, report: &mut Report<'_>) {
    for entry in ipam.objects("addresses") {
        check_gateway(&entry, &[entry.text("address").as_deref()], report);
    }
}

/// Finds a gateway that is in none of these subnets; silent where one of them does not parse.
fn check_gateway(fields: &Fields<'_, '_>, subnets: &[Option<&str>], report: &mut Report<'_>) {
    let Some(gateway) = fields
        .text("gateway")
        .and_then(|text| parse_address(&text).ok())
        .map(|gateway| gateway.to_canonical())
    else {
        return;
    };
    if matches!(gateway, IpAddr::V6(v6) if v6.is_unicast_link_local()) {
        return;
    }
    let parsed = subnets.iter().flatten().map(|text| Range::parse(text));
    let Ok(parsed) = parsed
        .map(|range| range.map(|range| range.subnet))
        .collect()
    else {
        return;
    };
    let parsed: Vec<Subnet> = parsed;
    if parsed.is_empty()
        || parsed
            .iter()
            .any(|subnet| subnet.window().contains(gateway))
    {
        return;
    }
    let names: Vec<String> = parsed.iter().take(3).map(ToString::to_string).collect();
    let names = names.join(" or ");
    report.add(
        fields.place("gateway"),
        format!("the gateway {gateway} is not in {names}"),
        format!("write an address of {names}, or leave the gateway out"),
    );
}
