//! `overlapping-ranges`: two networks assign the same addresses.

use std::collections::BTreeMap;

use super::range_overlaps::{
    MAX_NAMED, OverlapEffect, OverlappingNetwork, OverlappingNetworks, RangePlace,
    overlaps_by_range,
};
use crate::{
    Check, Example, Levels, NetworkSubject, Report, Rule, RuleDocs, examples::MACVLAN_CONF,
    network_subject::PluginObject,
};
use nadmit_catalog::LiveRead;
use nadmit_cni::{
    Network, Span,
    ipam::{Ipam, WhereaboutsIpam},
    json::{JsonMember, find},
};

pub(crate) const RULE: Rule = Rule {
    code: "overlapping-ranges",
    levels: Levels::MISLEADS,
    summary: "A Whereabouts range overlaps that of another network",
    docs: RuleDocs {
        checks: "A Whereabouts range overlaps that of another network, and both networks can assign the \
            same address. This is the case if their network_names differ. It is also the case if one \
            of them sets \"enable_overlapping_ranges\": false, unless both use one pool. They use \
            one pool if they have the same subnet and network_name, and no slices. Ranges with the \
            same network_name may overlap: reservations are cluster-wide, and no address is assigned \
            twice. The same is true if no range has a network_name, but then the rule warns, because \
            the overlap may be unintended. If the networks are on different L2 segments (master, \
            bridge, VLAN or device), the rule only warns. Tenants who never meet may intend it. The \
            rule compares the addresses that can be assigned. These exclude the first and the last \
            address, those outside of start and end, and excluded ranges.",
        consequence: "Whereabouts counts addresses per network_name. It assigns one address to two pods of the \
            two networks.",
        fix: "Write the same network_name in both networks, or a range that does not overlap. Remove \
            \"enable_overlapping_ranges\": false.",
        source: "Whereabouts v0.9.4, whereabouts#110, #393, #403.",
    },
    wrong: Example(&[MACVLAN_CONF, OVERLAPPING]),
    right: Example(&[TENANT_A, TENANT_B]),
    check: Check::Network(check),
};

const OVERLAPPING: &str = r#"apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: macvlan-wide, namespace: web}
spec:
  config: |
    {"cniVersion": "0.3.1", "name": "macvlan-wide", "type": "macvlan", "master": "eth1",
     "ipam": {"type": "whereabouts", "range": "192.0.2.0/24", "network_name": "web"}}
"#;

const TENANT_A: &str = r#"apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: tenant-a, namespace: db}
spec:
  config: |
    {"cniVersion": "0.3.1", "name": "tenant-a", "type": "macvlan", "master": "eth1",
     "ipam": {"type": "whereabouts", "range": "192.0.2.192/29", "network_name": "example-net-common"}}
"#;

const TENANT_B: &str = r#"apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: tenant-b, namespace: web}
spec:
  config: |
    {"cniVersion": "0.3.1", "name": "tenant-b", "type": "macvlan", "master": "eth1",
     "ipam": {"type": "whereabouts", "range": "192.0.2.192/24", "network_name": "example-net-common"}}
"#;

fn check(subject: &NetworkSubject<'_>, report: &mut Report<'_>) {
    let Some(config) = subject.parsed() else {
        return;
    };
    let plugins = subject.plugins();
    // Parsed once for each plugin, because a configuration may have very many ranges.
    let mut texts: BTreeMap<usize, Vec<RangeLiteral>> = BTreeMap::new();
    for (RangePlace { plugin, index }, others) in overlaps_by_range(subject, config) {
        if others.with_effect(|_| true).next().is_none() {
            continue;
        }
        let own = config
            .plugins
            .get(plugin)
            .and_then(|plugin| plugin.ipam.as_ref());
        let (Some(text), Some(Ipam::Whereabouts(own))) = (plugins.get(plugin), own) else {
            continue;
        };
        let texts = texts.entry(plugin).or_insert_with(|| ranges(text));
        let unread = RangeLiteral::default();
        let range = texts.get(index).unwrap_or(&unread);
        let duplicated = others.with_effect(|effect| effect > OverlapEffect::SeparateLinks);
        for other in duplicated.take(MAX_NAMED) {
            report_duplicate_assignment(subject, own, range, other, report);
        }
        for effect in [OverlapEffect::SeparateLinks, OverlapEffect::Unique] {
            report_advice(subject, range, effect, &others, report);
        }
    }
}

fn report_duplicate_assignment(
    subject: &NetworkSubject<'_>,
    own: &WhereaboutsIpam,
    range: &RangeLiteral,
    other: &OverlappingNetwork<'_>,
    report: &mut Report<'_>,
) {
    let Network {
        namespace, name, ..
    } = &**other.network;
    let named = |ipam: &WhereaboutsIpam| {
        let name = ipam.network_name.as_ref();
        name.map_or("none".to_owned(), |name| format!("{name:?}"))
    };
    let (why, help) = if other.effect == OverlapEffect::OtherName {
        (
            format!(
                "their network_names differ ({} and {})",
                named(own),
                named(other.ipam)
            ),
            "write the same \"network_name\" in both, or another range",
        )
    } else {
        let side = match (own.overlapping_ranges, other.ipam.overlapping_ranges) {
            (false, false) => "in both",
            (false, true) => "here",
            _ => "there",
        };
        (
            format!("\"enable_overlapping_ranges\" is false {side}"),
            "remove \"enable_overlapping_ranges\": false, or write a range that does not overlap",
        )
    };
    report.add_after_live_read(
        LiveRead::Network {
            namespace: namespace.clone(),
            name: name.clone(),
        },
        subject.field_ref(&range.path, range.span),
        format!(
            "the range {:?} overlaps that of {namespace}/{name}, so Whereabouts assigns addresses \
             twice ({}): {why}",
            range.text,
            other.shared.in_words()
        ),
        help,
    );
}

fn report_advice(
    subject: &NetworkSubject<'_>,
    range: &RangeLiteral,
    effect: OverlapEffect,
    others: &OverlappingNetworks<'_>,
    report: &mut Report<'_>,
) {
    let named = others.with_effect(|other| other == effect).take(MAX_NAMED);
    let mut names: Vec<String> = named
        .map(|other| {
            format!(
                "{}/{} ({})",
                other.network.namespace,
                other.network.name,
                other.shared.in_words()
            )
        })
        .collect();
    if names.is_empty() {
        return;
    }
    let more = others.count(effect) - names.len();
    if more > 0 {
        names.push(format!("{more} more"));
    }
    let (what, help) = if effect == OverlapEffect::SeparateLinks {
        (
            "and one address can be assigned twice, but on different L2 segments",
            "no action needed if nothing connects them; otherwise write the same \
             \"network_name\" in both, or a range that does not overlap",
        )
    } else {
        (
            "and neither has a network_name: Whereabouts assigns no address twice, but the \
             networks share the addresses",
            "write the same \"network_name\" in both to share them, or a range that does not \
             overlap",
        )
    };
    report.add_capped(
        Levels::ADVICE,
        subject.field_ref(&range.path, range.span),
        format!(
            "the range {:?} overlaps that of {}, {what}",
            range.text,
            names.join(", ")
        ),
        help,
    );
}

/// A range as written in the configuration.
#[derive(Default)]
struct RangeLiteral {
    path: String,
    span: Span,
    text: String,
}

/// Returns the ranges of a plugin's IPAM, in the order of [`WhereaboutsIpam::ranges`].
fn ranges(plugin: &PluginObject<'_>) -> Vec<RangeLiteral> {
    let Some((_, members)) = plugin.ipam() else {
        return Vec::new();
    };
    let path = format!("{}.ipam", plugin.path);
    let mut found: Vec<_> = range(members, &path).into_iter().collect();
    let listed = find(members, "ipRanges").and_then(|m| m.value.elements());
    for (index, element) in listed.unwrap_or_default().into_iter().enumerate() {
        let members = element.members().unwrap_or_default();
        found.extend(range(&members, &format!("{path}.ipRanges[{index}]")));
    }
    found
}

fn range(members: &[JsonMember<'_>], path: &str) -> Option<RangeLiteral> {
    let text = find(members, "range")?.value.spanned_string()?;
    (!text.value.is_empty()).then(|| RangeLiteral {
        path: format!("{path}.range"),
        span: text.span,
        text: text.value.into_owned(),
    })
}
