//! `invalid-ip`: a malformed requested address.

use crate::{
    Check, Example, Levels, PodSubject, Report, Rule, RuleDocs,
    examples::{STORAGE_NET, pod},
};
use nadmit_cni::AddressError;

pub(crate) const RULE: Rule = Rule {
    code: "invalid-ip",
    levels: Levels::FAILS,
    summary: "A requested address is not an IP address",
    docs: RuleDocs {
        checks: "Each element of \"ips\" is an IPv4 or IPv6 address, with a prefix length if the \
            IPAM plugin requires one: 192.0.2.205/24. Leading zeros, zones (%eth0), white space \
            and invalid prefix lengths are reported. So is an IPv4 address in IPv6 notation \
            (::ffff:192.0.2.1), of which the profile multus only warns.",
        consequence: "Multus refuses the address and attaches none of the pod's networks. It \
            accepts an IPv4 address in IPv6 notation. This is a second notation for the same \
            address, so that a comparison does not show whether the address is in use.",
        fix: "Write an address such as 192.0.2.205/24 or 2001:db8::5/64.",
        source: "The spec, section 4.1.2.1.3; Go, net.ParseCIDR.",
    },
    wrong: Example(&[
        STORAGE_NET,
        pod!(r#"[{"name": "storage-net", "ips": ["192.0.2.305/24"]}]"#),
    ]),
    right: Example(&[
        STORAGE_NET,
        pod!(r#"[{"name": "storage-net", "ips": ["192.0.2.205/24"]}]"#),
    ]),
    check: Check::Pod(check),
};

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
            let Err(error) = written.value else { continue };
            let field_ref = attachment.field_ref(&format!("ips[{index}]"), written.span);
            let message = format!("{:?} {error}", written.text);
            let help = help(error);
            if error == AddressError::Mapped {
                // Go reads it as an IPv4 address.
                report.add_capped(Levels::MISLEADS, field_ref, message, help);
            } else {
                report.add(field_ref, message, help);
            }
        }
    }
}

fn help(error: AddressError) -> &'static str {
    match error {
        AddressError::Address => "write an address such as 192.0.2.205/24 or 2001:db8::5/64",
        AddressError::LeadingZero => "write the numbers without leading zeros",
        AddressError::Zone => "remove the zone: the address is for the interface of this network",
        AddressError::Space => "remove the white space",
        AddressError::Prefix(32) => "write a prefix length from 0 to 32, such as /24",
        AddressError::Prefix(_) => "write a prefix length from 0 to 128, such as /64",
        AddressError::Mapped => "write the IPv4 address, such as 192.0.2.1/24",
    }
}
