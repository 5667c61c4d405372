//! `overlapping-ranges`: two networks assign the same addresses.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    Check, Example, Levels, NetworkSubject, Report, Rule, RuleDocs,
    examples::MACVLAN_CONF,
    network_subject::{MAX_COMPARISONS, PluginObject},
};
use nadmit_catalog::LiveRead;
use nadmit_cni::{
    IpRange, Network, Span,
    assignable::{AssignableRange, AssignableSource},
    cni::NetworkConfig,
    ipam::{Ipam, WhereaboutsIpam},
    json::{JsonMember, find},
};

/// The maximum number of networks that a message names.
const MAX_NAMED: usize = 10;

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

/// The effect of two overlapping ranges of Whereabouts, in ascending severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum OverlapEffect {
    /// Neither has a `network_name`, so addresses are unique across both, perhaps unintentionally.
    Unique,
    /// Addresses can be assigned twice, but on different links.
    SeparateLinks,
    /// Addresses can be assigned twice, because one network ignores the reservations of the other.
    Unreserved,
    /// Addresses can be assigned twice, because the networks have different `network_name`s.
    OtherName,
}

/// Another network and the first range that both share.
struct OverlappingNetwork<'c> {
    network: &'c Arc<Network>,
    ipam: &'c WhereaboutsIpam,
    shared: IpRange,
    effect: OverlapEffect,
}

/// Overlapping networks by namespace and name.
type OverlappingNetworks<'c> = BTreeMap<(&'c str, &'c str), OverlappingNetwork<'c>>;

fn check(subject: &NetworkSubject<'_>, report: &mut Report<'_>) {
    let Some(config) = subject.parsed() else {
        return;
    };
    let plugins = subject.plugins();
    let mut by_range: BTreeMap<(usize, usize), OverlappingNetworks<'_>> = BTreeMap::new();
    let mut left = MAX_COMPARISONS;
    for assignable in subject.assignable_ranges(config) {
        let AssignableSource::Range { index, .. } = assignable.source else {
            continue;
        };
        let others = by_range.entry((assignable.plugin, index)).or_default();
        for (network, theirs) in subject
            .other_networks_assigning(assignable.range)
            .take(left)
        {
            left -= 1;
            if let Some(other) = compare(subject, config, &assignable, network, theirs) {
                let key = (&*network.namespace, &*network.name);
                let known = others.get(&key);
                if known
                    .is_none_or(|known| (known.effect, other.shared) < (other.effect, known.shared))
                {
                    others.insert(key, other);
                }
            }
        }
    }
    // Parsed once for each plugin, because a configuration may have very many ranges.
    let mut texts: BTreeMap<usize, Vec<RangeLiteral>> = BTreeMap::new();
    for ((plugin, index), others) in by_range {
        if others.is_empty() {
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
        let (duplicated, unique): (Vec<_>, Vec<_>) = others
            .into_values()
            .partition(|other| other.effect > OverlapEffect::SeparateLinks);
        for other in duplicated.iter().take(MAX_NAMED) {
            report_duplicate_assignment(subject, own, range, other, report);
        }
        for effect in [OverlapEffect::SeparateLinks, OverlapEffect::Unique] {
            let others: Vec<_> = unique
                .iter()
                .filter(|other| other.effect == effect)
                .collect();
            report_advice(subject, range, effect, &others, report);
        }
    }
}

/// Determines the effect of two overlapping ranges; `None` if they need no finding.
fn compare<'c>(
    subject: &NetworkSubject<'_>,
    config: &NetworkConfig,
    own: &AssignableRange,
    network: &'c Arc<Network>,
    theirs: &AssignableRange,
) -> Option<OverlappingNetwork<'c>> {
    let shared = own.range.intersection(theirs.range)?;
    let plugin = config.plugins.get(own.plugin)?;
    let other = network.config.loaded()?.plugins.get(theirs.plugin)?;
    let (Some(Ipam::Whereabouts(ours)), Some(Ipam::Whereabouts(ipam))) =
        (&plugin.ipam, &other.ipam)
    else {
        return None;
    };
    let (
        AssignableSource::Range { pool, .. },
        AssignableSource::Range {
            pool: their_pool, ..
        },
    ) = (own.source, theirs.source)
    else {
        return None;
    };
    let same_name = ours.network_name == ipam.network_name;
    let reserved = ours.overlapping_ranges && ipam.overlapping_ranges;
    let one_pool = pool.is_some() && pool == their_pool;
    let effect = match (same_name, reserved || one_pool) {
        (true, true) if ours.network_name.is_some() => return None,
        (true, true) => OverlapEffect::Unique,
        _ if !subject.same_link([plugin, other], network) => OverlapEffect::SeparateLinks,
        (true, false) => OverlapEffect::Unreserved,
        (false, _) => OverlapEffect::OtherName,
    };
    Some(OverlappingNetwork {
        network,
        ipam,
        shared,
        effect,
    })
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
    others: &[&OverlappingNetwork<'_>],
    report: &mut Report<'_>,
) {
    if others.is_empty() {
        return;
    }
    let named = others.iter().take(MAX_NAMED);
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
    if others.len() > MAX_NAMED {
        names.push(format!("{} more", others.len() - MAX_NAMED));
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
