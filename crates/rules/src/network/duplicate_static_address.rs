//! `duplicate-static-address`: two networks configure the same address on the same link.

use super::other_networks::names_of_others;
use crate::{
    Check, Example, Levels, NetworkSubject, Report, Rule, RuleDocs, network_subject::PluginObject,
};
use nadmit_catalog::Segment;
use nadmit_cni::{Span, assignable::AssignableSource, json::find};

pub(crate) const RULE: Rule = Rule {
    code: "duplicate-static-address",
    levels: Levels::ADVICE,
    summary: "Two networks on one L2 segment configure the same address",
    docs: RuleDocs {
        checks: "Two networks on one L2 segment (the same master, bridge, VLAN or device) configure the \
            same address. The rule only warns. The pods may never run at the same time, or may \
            replace the address with their own.",
        consequence: "Every pod on a network with a configured address gets this address, and no plugin checks \
            whether another pod has it. Two pods have the address as soon as each network has a pod.",
        fix: "Configure a different address in each network. To give each pod its own address, declare \
            \"capabilities\": {\"ips\": true} and request the addresses in the pods.",
        source: "The plugin static, which keeps no record.",
    },
    wrong: Example(&[STATIC_NET, SAME_ADDRESS]),
    right: Example(&[STATIC_NET, OTHER_ADDRESS]),
    check: Check::Network(check),
};

const STATIC_NET: &str = r#"apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: gateway-net, namespace: db}
spec:
  config: |
    {"cniVersion": "0.3.1", "name": "gateway-net", "type": "macvlan", "master": "eth1",
     "ipam": {"type": "static", "addresses": [{"address": "192.0.2.10/24"}]}}
"#;

const SAME_ADDRESS: &str = r#"apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: proxy-net, namespace: web}
spec:
  config: |
    {"cniVersion": "0.3.1", "name": "proxy-net", "type": "macvlan", "master": "eth1",
     "ipam": {"type": "static", "addresses": [{"address": "192.0.2.10/24"}]}}
"#;

const OTHER_ADDRESS: &str = r#"apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: proxy-net, namespace: web}
spec:
  config: |
    {"cniVersion": "0.3.1", "name": "proxy-net", "type": "macvlan", "master": "eth1",
     "ipam": {"type": "static", "addresses": [{"address": "192.0.2.11/24"}]}}
"#;

fn check(subject: &NetworkSubject<'_>, report: &mut Report<'_>) {
    let Some(config) = subject.parsed() else {
        return;
    };
    let texts = subject.plugins();
    for assignable in subject.assignable_ranges(config) {
        let AssignableSource::Configured { index } = assignable.source else {
            continue;
        };
        let (Some(plugin), Some(text)) = (
            config.plugins.get(assignable.plugin),
            texts.get(assignable.plugin),
        ) else {
            continue;
        };
        let segment = Segment {
            link: &plugin.link,
            resource_name: subject.resource_name,
        };
        let address = assignable.range.first();
        let names = names_of_others(
            subject,
            subject.catalog.networks_configuring(address, segment),
            subject
                .siblings
                .and_then(|siblings| siblings.networks_configuring(address, segment)),
        );
        if names.is_empty() {
            continue;
        }
        let field_ref = configured_text(text, index).map_or_else(
            || subject.config_ref(),
            |(path, span)| subject.field_ref(&path, span),
        );
        report.add(
            field_ref,
            format!(
                "the address {} is also configured in {}, on the same L2 segment ({})",
                assignable.range.in_words(),
                names.join(", "),
                plugin.link
            ),
            "write a different address in each, or add \"capabilities\": {\"ips\": true} and request \
             the addresses in the pods",
        );
    }
}

/// Returns path and span of the `index`th valid address of an IPAM.
fn configured_text(plugin: &PluginObject<'_>, index: usize) -> Option<(String, Span)> {
    let (_, members) = plugin.ipam()?;
    let elements = find(members, "addresses")?.value.elements()?;
    let mut addresses = elements
        .into_iter()
        .enumerate()
        .filter_map(|(position, element)| {
            let members = element.members()?;
            let text = find(&members, "address")?.value.spanned_string()?;
            Some((position, text.span))
        });
    let (position, span) = addresses.nth(index)?;
    Some((
        format!("{}.ipam.addresses[{position}].address", plugin.path),
        span,
    ))
}
