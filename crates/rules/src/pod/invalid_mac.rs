//! `invalid-mac`: a requested MAC that no interface can have.

use crate::{
    Check, Example, Levels, PodSubject, Report, Rule,
    examples::{STORAGE_NET, pod},
};
use nadmit_cni::HardwareAddress;

pub(crate) const RULE: Rule = Rule {
    code: "invalid-mac",
    levels: Levels::FAILS,
    summary: "A requested MAC is not one that an interface can have",
    explanation: "A MAC has six bytes in hexadecimal: 02:5e:00:00:00:01. Multus also takes 8 and \
        20 bytes, multicast addresses (the first byte is odd) and all zeros, which Linux refuses \
        (tuning's 8 or 20 bytes alone it takes, but only the first six of them): the plugin fails \
        and the pod stays in ContainerCreating. Source: the spec, section \
        4.1.2.1.4; Go, net.ParseMAC; Linux, is_valid_ether_addr.",
    wrong: Example(&[
        STORAGE_NET,
        pod!(r#"[{"name": "storage-net", "ips": ["192.0.2.205/24"], "mac": "CA:FE:C0:FF:EE"}]"#),
    ]),
    right: Example(&[
        STORAGE_NET,
        pod!(r#"[{"name": "storage-net", "ips": ["192.0.2.205/24"], "mac": "CA:FE:C0:FF:EE:00"}]"#),
    ]),
    check: Check::Pod(check),
};

fn check(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    for attachment in subject.attachments() {
        let Some(written) = &attachment.selection.mac else {
            continue;
        };
        let Some((fault, help)) = fault(&written.value) else {
            continue;
        };
        report.add(
            attachment.field_ref("mac", written.span),
            format!(
                "{:?} is not a valid MAC for an interface: it {fault}",
                written.text
            ),
            help,
        );
    }
}

fn fault<E: std::fmt::Display>(
    parsed: &Result<HardwareAddress, E>,
) -> Option<(String, &'static str)> {
    const SIX: &str = "write six bytes, such as \"02:5e:00:00:00:01\"";
    match parsed {
        Err(error) => Some((error.to_string(), SIX)),
        Ok(HardwareAddress::Ethernet(mac)) if mac.is_multicast() => Some((
            "is a multicast address (its first byte is odd), which Linux refuses".to_owned(),
            "make the first byte even, such as \"02:...\"",
        )),
        Ok(HardwareAddress::Ethernet(mac)) if mac.is_zero() => {
            Some(("is all zeros, which Linux refuses".to_owned(), SIX))
        }
        Ok(HardwareAddress::Ethernet(_)) => None,
        Ok(other) => Some((
            format!("has {} bytes, not six", other.as_bytes().len()),
            SIX,
        )),
    }
}
