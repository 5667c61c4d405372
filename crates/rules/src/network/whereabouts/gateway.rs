//! `gateway-not-excluded`: a gateway that Whereabouts may assign to a pod.

use std::net::IpAddr;

use crate::{
    Check, Example, Levels, NetworkSubject, Report, Rule, RuleDocs,
    examples::{MACVLAN_CONF, network},
};
use nadmit_cni::{address::parse_address, cni::BridgeGateway};

use super::{super::fields::Fields, WrittenRange, ranges};

pub(crate) const RULE: Rule = Rule {
    code: "gateway-not-excluded",
    levels: Levels::ADVICE,
    summary: "Whereabouts can assign the gateway's address to a pod",
    docs: RuleDocs {
        checks: "A \"gateway\" that is in a range and not excluded. Also the first address of \
            the range of a bridge with isGateway or isDefaultGateway, if no gateway is written: \
            the bridge has that address. With node_slice_size, Whereabouts ignores excludes, so \
            the gateway must not be in the range.",
        consequence: "Whereabouts does not reserve its \"gateway\": a pod gets the router's own \
            address, often as the first one.",
        fix: "Add the gateway to the \"exclude\" beside the range. With node_slice_size, write a \
            range without the gateway, or remove node_slice_size and exclude the gateway.",
        source: "Whereabouts v0.9.4, IterateForAssignment; whereabouts#601.",
    },
    wrong: Example(&[network!(
        r#"{"cniVersion": "0.3.1", "type": "macvlan", "ipam": {"type": "whereabouts", "range": "192.0.2.192/27", "gateway": "192.0.2.193"}}"#
    )]),
    right: Example(&[
        MACVLAN_CONF,
        network!(
            r#"{"cniVersion": "0.3.1", "type": "macvlan", "ipam": {"type": "whereabouts", "range": "198.51.100.192/27", "exclude": ["198.51.100.193"], "gateway": "198.51.100.193"}}"#
        ),
    ]),
    check: Check::Network(check),
};

fn check(subject: &NetworkSubject<'_>, report: &mut Report<'_>) {
    let Some(config) = subject.parsed() else {
        return;
    };
    let texts = Fields::plugins(subject);
    for (plugin, (_, text)) in config.plugins.iter().zip(texts) {
        let Some(ipam) = text.object("ipam") else {
            continue;
        };
        if ipam.text("type").is_none_or(|kind| kind != super::KIND) {
            continue;
        }
        let is_bridge = plugin.bridge_gateway != BridgeGateway::No;
        let sliced = ipam.text("node_slice_size").is_some();
        for range in ranges(&ipam) {
            let written = ipam.text("gateway");
            let gateway = match &written {
                Some(text) => parse_address(text)
                    .ok()
                    .map(|gateway| gateway.to_canonical()),
                None if is_bridge => first_address(&range),
                None => None,
            };
            let Some(gateway) = gateway.filter(|gateway| is_assigned(&range, *gateway, sliced))
            else {
                continue;
            };
            let owner = if written.is_some() {
                "the gateway"
            } else {
                "the bridge's own address (isGateway)"
            };
            let field_ref = match written {
                Some(_) => ipam.field_ref("gateway"),
                None => range.value.field_ref(),
            };
            let help = if sliced {
                format!("write a range without {gateway}, or remove node_slice_size and exclude it")
            } else {
                format!("add \"exclude\": [\"{gateway}\"] beside the range")
            };
            report.add(
                field_ref,
                format!(
                    "Whereabouts can assign {gateway}, {owner}, to a pod, because the range {:?} \
                     contains it",
                    range.text
                ),
                help,
            );
        }
    }
}

/// Returns the first host address of the subnet, which a bridge with `isGateway` takes.
fn first_address(range: &WrittenRange<'_, '_>) -> Option<IpAddr> {
    Some(range.subnet()?.hosts()?.first())
}

/// Returns true if Whereabouts assigns the address. Slices ignore bounds and excludes.
fn is_assigned(range: &WrittenRange<'_, '_>, address: IpAddr, sliced: bool) -> bool {
    if sliced {
        let hosts = range.subnet().and_then(|subnet| subnet.hosts());
        return hosts.is_some_and(|hosts| hosts.contains(address));
    }
    let excluded = || {
        let excludes = range.excludes();
        let unread = excludes.iter().any(|exclude| exclude.parsed.is_err());
        let mut read = excludes.iter().filter_map(|exclude| exclude.parsed.ok());
        unread || read.any(|window| window.contains(address))
    };
    range
        .window()
        .is_some_and(|window| window.contains(address))
        && !excluded()
}
