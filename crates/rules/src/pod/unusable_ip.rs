//! `unusable-ip`: an address that is not valid for an interface, such as a multicast address.

use std::net::IpAddr;

use crate::{
    Check, Example, Levels, PodSubject, Report, Rule, RuleDocs,
    examples::{STORAGE_NET, pod},
};
use nadmit_cni::{
    AddressRequest,
    address::{self, SpecialAddress},
};

pub(crate) const RULE: Rule = Rule {
    code: "unusable-ip",
    levels: Levels::MISLEADS,
    summary: "A requested address does not work on any interface",
    docs: RuleDocs {
        checks: "\"ips\" contains the network's own address, its broadcast address, 0.0.0.0, ::, \
            a multicast address or a loopback address. Networks of one or two addresses (/31, \
            /32, /127, /128) have neither network nor broadcast address, and IPv6 has no \
            broadcast. The first address of an IPv6 network is the subnet-router anycast \
            address, which is only warned of.",
        consequence: "Multus and most plugins accept such an address without an error, and \
            nothing reaches the pod. Linux refuses ::, ::1 and IPv6 multicast addresses, and the \
            pod stays in ContainerCreating.",
        fix: "Write a host address of the network, such as 192.0.2.205/24.",
        source: "RFC 3021; RFC 4291, section 2.6.1; RFC 6164; executed with Multus v4.3.0 and \
            macvlan v1.1.1.",
    },
    wrong: Example(&[
        STORAGE_NET,
        pod!(r#"[{"name": "storage-net", "ips": ["192.0.2.255/24"]}]"#),
    ]),
    right: Example(&[
        STORAGE_NET,
        pod!(r#"[{"name": "storage-net", "ips": ["192.0.2.205/24"]}]"#),
    ]),
    check: Check::Pod(check),
};

const HELP: &str = "write a host address of the network, such as 192.0.2.205/24";

fn check(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    for attachment in subject.attachments() {
        if report.is_complete() {
            return;
        }
        let Some(ips) = &attachment.selection.ips else {
            continue;
        };
        for (index, written) in ips.value.iter().enumerate() {
            if report.is_complete() {
                return;
            }
            let Some(request) = written.ok() else {
                continue;
            };
            let field_ref = || attachment.field_ref(&format!("ips[{index}]"), written.span);
            if let Some(special) = SpecialAddress::of(request.address) {
                let message = format!("{:?} is {special}", written.text);
                report.add(field_ref(), message, HELP);
            } else if let Some(what) = fault(request) {
                report.add(field_ref(), format!("{:?} is {what}", written.text), HELP);
            } else if is_anycast(request) {
                report.add_capped(
                    Levels::ADVICE,
                    field_ref(),
                    format!(
                        "{:?} is the network's subnet-router anycast address",
                        written.text
                    ),
                    "write another address of the network: its routers answer to this one",
                );
            }
        }
    }
}

/// Returns the reason why no host of the network has an address.
fn fault(request: &AddressRequest) -> Option<&'static str> {
    match request.address {
        IpAddr::V4(v4) if v4.is_broadcast() => Some("the broadcast address"),
        IpAddr::V4(v4) if has_hosts(request) => {
            let prefix = u32::from(request.prefix?);
            let host_bits = u32::MAX.checked_shr(prefix).unwrap_or(0);
            match v4.to_bits() & host_bits {
                0 => Some("the network's own address, not a host address"),
                bits if bits == host_bits => Some("the network's broadcast address"),
                _ => None,
            }
        }
        _ => None,
    }
}

fn is_anycast(request: &AddressRequest) -> bool {
    request.address.is_ipv6() && has_hosts(request) && request.network() == Some(request.address)
}

/// Returns true if the network has more than two addresses, so that its first and last one are special.
fn has_hosts(request: &AddressRequest) -> bool {
    request
        .prefix
        .is_some_and(|prefix| prefix + 1 < address::width(request.address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(text: &str) -> AddressRequest {
        AddressRequest::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    #[test]
    fn host_addresses_are_usable() {
        for text in [
            "10.0.0.1/24",
            "10.0.1.0/23",
            "10.0.0.255/23",
            "10.0.0.0/31",
            "10.0.0.1/31",
            "10.0.0.0/32",
            "10.0.0.0",
            "2001:db8::1/64",
            "2001:db8::ffff:ffff:ffff:ffff/64",
            "2001:db8::/127",
            "2001:db8::/128",
            "169.254.1.1/16",
        ] {
            assert_eq!(
                (
                    SpecialAddress::of(request(text).address),
                    fault(&request(text)),
                    is_anycast(&request(text))
                ),
                (None, None, false),
                "{text}"
            );
        }
    }

    #[test]
    fn other_addresses_are_not_usable() {
        for text in [
            "10.0.0.0/24",
            "10.0.0.255/24",
            "10.0.0.0/30",
            "10.0.0.3/30",
            "0.0.0.0/0",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1/24",
            "127.0.0.1/8",
            "::/64",
            "::1/128",
            "ff02::1/64",
        ] {
            let request = request(text);
            let special = SpecialAddress::of(request.address);
            assert!(special.is_some() || fault(&request).is_some(), "{text}");
        }
        assert!(is_anycast(&request("2001:db8::/64")));
    }
}
