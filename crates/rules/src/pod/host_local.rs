//! The rules on requested addresses of host-local networks: `too-many-ips` and `ips-not-in-range`.

use std::net::IpAddr;

use crate::{
    Check, Example, Levels, PodSubject, Report, Rule, RuleDocs,
    examples::{BRIDGE_NET, STORAGE_NET, pod},
};
use nadmit_cni::{
    IpRange,
    ipam::{HostLocalIpam, HostLocalRange, Ipam},
    text::Parsed,
};

pub(crate) const TOO_MANY: Rule = Rule {
    code: "too-many-ips",
    levels: Levels::FAILS,
    summary: "The pod requests more than one address on a host-local network",
    docs: RuleDocs {
        checks: "A pod requests two or more addresses on a host-local network. Requests for addresses \
            of two IP families are reported by ips-two-families.",
        consequence: "Multus also passes the addresses in CNI_ARGS, joined by commas (IP=a,b), with or \
            without the capability \"ips\". host-local reads one address there. With two or more \
            addresses of any IP family, it always fails (\"invalid IP address\").",
        fix: "Request one address, or use a network with IPAM static.",
        source: "host-local, LoadIPAMConfig; run with v1.1.1 and v1.10.",
    },
    wrong: Example(&[
        BRIDGE_NET,
        pod!(r#"[{"name": "bridge-net", "ips": ["198.51.100.5", "198.51.100.6"]}]"#),
    ]),
    right: Example(&[
        STORAGE_NET,
        pod!(r#"[{"name": "storage-net", "ips": ["192.0.2.205/24", "192.0.2.206/24"]}]"#),
    ]),
    check: Check::Pod(too_many),
};

pub(crate) const NOT_IN_RANGE: Rule = Rule {
    code: "ips-not-in-range",
    levels: Levels::FAILS,
    summary: "host-local does not assign the requested address",
    docs: RuleDocs {
        checks: "The requested address is outside the ranges of a host-local network, or is the \
            gateway of a range.",
        consequence: "host-local assigns a requested address only from its ranges, and never the \
            gateway of a range. It fails (\"failed to allocate all requested IPs\"), and the pod \
            hangs in ContainerCreating.",
        fix: "Request an address in a range of the network, other than the gateway.",
        source: "host-local, cmdAdd and IPAllocator.Get; run with v1.1.1 and v1.10.",
    },
    wrong: Example(&[
        BRIDGE_NET,
        pod!(r#"[{"name": "bridge-net", "ips": ["203.0.113.5"]}]"#),
    ]),
    right: Example(&[
        STORAGE_NET,
        pod!(r#"[{"name": "storage-net", "ips": ["192.0.2.205/24"]}]"#),
    ]),
    check: Check::Pod(not_in_range),
};

fn too_many(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    for attachment in subject.attachments() {
        if report.is_full() {
            return;
        }
        let Some(ips) = &attachment.selection.ips else {
            continue;
        };
        let config = attachment.network().and_then(|n| n.config.loaded());
        let Some(Ipam::HostLocal(_)) = config.and_then(|config| config.ipam()) else {
            continue;
        };
        let mut parsed = ips.value.iter().filter_map(Parsed::ok);
        let first = parsed.next().map(|ip| ip.address.is_ipv4());
        let mixed = parsed.any(|ip| Some(ip.address.is_ipv4()) != first);
        if ips.value.len() > 1 && !mixed {
            report.add(
                attachment.field_ref("ips", ips.span),
                format!(
                    "host-local takes one requested address, and fails on {}",
                    ips.value.len()
                ),
                "request one address, or use a network with IPAM static",
            );
        }
    }
}

fn not_in_range(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    for attachment in subject.attachments() {
        if report.is_full() {
            return;
        }
        let Some(ips) = &attachment.selection.ips else {
            continue;
        };
        let config = attachment.network().and_then(|n| n.config.loaded());
        let Some(Ipam::HostLocal(ipam)) = config.and_then(|config| config.ipam()) else {
            continue;
        };
        let Some(ranges) = ranges(ipam) else {
            continue;
        };
        for (index, written) in ips.value.iter().enumerate() {
            if report.is_full() {
                return;
            }
            let Some(request) = written.ok() else {
                continue;
            };
            let address = request.address;
            let of = ranges.iter().find(|range| range.window.contains(address));
            let fault = match of {
                None => "is outside the network's ranges",
                Some(range) if range.gateway == Some(address) => "is the gateway of its range",
                Some(_) => continue,
            };
            let shown: Vec<String> = ranges
                .iter()
                .take(3)
                .map(|r| r.window.to_string())
                .collect();
            report.add(
                attachment.field_ref(&format!("ips[{index}]"), written.span),
                format!("host-local does not assign {address}, which {fault}"),
                format!("request an address in {}", shown.join(" or ")),
            );
        }
    }
}

/// The assignable addresses and the gateway of a range.
struct HostLocalWindow {
    window: IpRange,
    gateway: Option<IpAddr>,
}

/// Returns the ranges; `None` if there are none or one is not valid.
fn ranges(ipam: &HostLocalIpam) -> Option<Vec<HostLocalWindow>> {
    let all: Vec<HostLocalWindow> = ipam
        .sets
        .iter()
        .flatten()
        .map(parse_window)
        .collect::<Option<_>>()?;
    (!all.is_empty()).then_some(all)
}

fn parse_window(range: &HostLocalRange) -> Option<HostLocalWindow> {
    Some(HostLocalWindow {
        window: range.window()?,
        gateway: range.gateway(),
    })
}
