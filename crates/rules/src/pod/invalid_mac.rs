//! `invalid-mac`: a requested MAC that no interface can have.

use crate::{
    Check, Example, Levels, PodSubject, Report, Rule, RuleDocs,
    examples::{STORAGE_NET, pod},
};
use nadmit_cni::HardwareAddress;

pub(crate) const RULE: Rule = Rule {
    code: "invalid-mac",
    levels: Levels::FAILS,
    summary: "A requested MAC is not valid for an interface",
    docs: RuleDocs {
        checks: "A MAC has six bytes in hexadecimal, such as 02:5e:00:00:00:01. Another number \
            of bytes, another notation, a multicast address (its first byte is odd) and all \
            zeros are reported.",
        consequence: "Multus also accepts 8 and 20 bytes, multicast addresses and all zeros, but \
            Linux refuses them. The plugin fails, and the pod stays in ContainerCreating. Linux \
            accepts 8 or 20 bytes only from tuning, and uses the first six.",
        fix: "Write six bytes with an even first byte, such as \"02:5e:00:00:00:01\".",
        source: "The spec, section 4.1.2.1.4; Go, net.ParseMAC; Linux, is_valid_ether_addr.",
    },
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
        if report.is_full() {
            return;
        }
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
