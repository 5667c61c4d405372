//! `ip-without-prefix`: an address without a prefix length, which the IPAM plugin requires.

use crate::{
    Check, Example, Levels, PodSubject, Report, Rule, RuleDocs,
    examples::{STORAGE_NET, pod},
};
use nadmit_cni::{Network, address, ipam::Ipam};

pub(crate) const RULE: Rule = Rule {
    code: "ip-without-prefix",
    levels: Levels::FAILS,
    summary: "A requested address has no prefix length, which the IPAM plugin requires",
    docs: RuleDocs {
        checks: "An address in \"ips\" has no prefix length, and the network's IPAM plugin \
            requires one. static does, with or without the capability \"ips\"; so does \
            Whereabouts, with or without a range. The spec itself allows an address without a \
            prefix length.",
        consequence: "The plugin fails, and the pod stays in ContainerCreating.",
        fix: "Add the network's prefix length, such as \"192.0.2.205/24\".",
        source: "The spec, section 4.1.2.1.3; executed with static v1.9 and Whereabouts v0.9.4.",
    },
    wrong: Example(&[
        STORAGE_NET,
        pod!(r#"[{"name": "storage-net", "ips": ["192.0.2.205"]}]"#),
    ]),
    right: Example(&[
        STORAGE_NET,
        pod!(r#"[{"name": "storage-net", "ips": ["192.0.2.205/24"]}]"#),
    ]),
    check: Check::Pod(check),
};

fn check(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    for attachment in subject.attachments() {
        if report.is_full() {
            return;
        }
        let Some(ipam) = attachment.network().and_then(asks_for_prefix) else {
            continue;
        };
        let Some(ips) = &attachment.selection.ips else {
            continue;
        };
        for (index, written) in ips.value.iter().enumerate() {
            if report.is_full() {
                return;
            }
            let Some(request) = written.ok().filter(|ip| ip.prefix.is_none()) else {
                continue;
            };
            let example = if address::width(request.address) == 32 {
                24
            } else {
                64
            };
            report.add(
                attachment.field_ref(&format!("ips[{index}]"), written.span),
                format!(
                    "{:?} has no prefix length, which IPAM {} requires",
                    written.text,
                    ipam.name()
                ),
                format!(
                    "add the network's prefix length, such as \"{}/{example}\"",
                    request.address
                ),
            );
        }
    }
}

fn asks_for_prefix(network: &Network) -> Option<&Ipam> {
    let ipam = network.config.loaded()?.ipam()?;
    match ipam {
        Ipam::Static(_) | Ipam::Whereabouts(_) => Some(ipam),
        Ipam::HostLocal(_) | Ipam::Dhcp(_) | Ipam::Other(_) => None,
    }
}
