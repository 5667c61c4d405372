//! `duplicate-ip`: an address requested twice on one network.

use std::{collections::BTreeMap, net::IpAddr};

use crate::{
    Check, Example, Levels, PodSubject, Report, Rule, RuleDocs,
    examples::{STORAGE_NET, pod},
};

pub(crate) const RULE: Rule = Rule {
    code: "duplicate-ip",
    levels: Levels::MISLEADS,
    summary: "The pod requests an address twice on one network",
    docs: RuleDocs {
        checks: "A pod requests one address twice on the same network, in one network entry or in two.",
        consequence: "Two interfaces of one pod with one address on one network answer for each other. \
            Linux refuses the same address twice on one interface. Neither problem shows before the \
            container runs.",
        fix: "Request the address once.",
        source: "Linux, RTM_NEWADDR.",
    },
    wrong: Example(&[
        STORAGE_NET,
        pod!(
            r#"[{"name": "storage-net", "ips": ["192.0.2.205/24"]}, {"name": "storage-net", "ips": ["192.0.2.205/24"]}]"#
        ),
    ]),
    right: Example(&[
        STORAGE_NET,
        pod!(
            r#"[{"name": "storage-net", "ips": ["192.0.2.205/24"]}, {"name": "storage-net", "ips": ["192.0.2.206/24"]}]"#
        ),
    ]),
    check: Check::Pod(check),
};

fn check(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    let mut taken: BTreeMap<(&str, &str, IpAddr), (usize, usize)> = BTreeMap::new();
    for attachment in subject.attachments() {
        if report.is_full() {
            return;
        }
        let (Some(ips), Some(name)) = (
            &attachment.selection.ips,
            attachment.selection.network_name(),
        ) else {
            continue;
        };
        for (index, written) in ips.value.iter().enumerate() {
            if report.is_full() {
                return;
            }
            let Some(request) = written.ok() else {
                continue;
            };
            let key = (attachment.namespace(), name, request.address);
            let here = (attachment.selection.index, index);
            let (element, other) = *taken.entry(key).or_insert(here);
            if (element, other) != here {
                report.add(
                    attachment.field_ref(&format!("ips[{index}]"), written.span),
                    format!(
                        "the pod requests {} twice on network \"{name}\", also in \
                         [{element}].ips[{other}]",
                        request.address
                    ),
                    "request it once",
                );
            }
        }
    }
}
