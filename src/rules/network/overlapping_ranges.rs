//! `overlapping-ranges`: two networks give out the same addresses.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    network::{
        Network, Span,
        assignable::{AddressInterval, AssignableRange, AssignableSource},
        cni::NetworkConfig,
        ipam::{Ipam, WhereaboutsIpam},
        json::{JsonMember, find},
    },
    rules::{
        Check, Example, Levels, LiveRead, NetworkSubject, Report, Rule,
        examples::MACVLAN_CONF,
        network_subject::{MOST_COMPARED, PluginText},
    },
};

/// The most networks that are named.
const MOST_NAMED: usize = 10;

/// The rule.
pub const RULE: Rule = Rule {
    code: "overlapping-ranges",
    levels: Levels::MISLEADS,
    summary: "A Whereabouts range overlaps that of another network",
    explanation: "Whereabouts counts addresses per network_name. Ranges of one network_name may \
        overlap: its reservations are cluster-wide, and no address is given twice. The same holds \
        where no range has a name, but there nothing says that it is meant: that is only warned \
        of. Two networks do give one address to two pods where their network_names differ, or \
        where one of them sets \"enable_overlapping_ranges\": false, unless they draw from one \
        pool (the same subnet under the same name, without slices). Where the networks are on \
        different wires (master, bridge, VLAN or device) that may be meant, as for tenants who \
        never meet: it is warned of. Compared is what can be given: not the first and the last \
        address, nothing outside of start and end, nothing excluded. Source: Whereabouts v0.9.4, \
        whereabouts#110, #393, #403.",
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

/// What Whereabouts makes of two ranges that overlap, from the least grave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// Neither has a name: it is unique, whether that is meant or not.
    Unique,
    /// Given twice, on two wires.
    Apart,
    /// Given twice, because one of them does not look at the other's reservations.
    Unreserved,
    /// Given twice, because they are counted under two names.
    OtherName,
}

/// Another network, and the first addresses that it shares.
struct Other<'c> {
    network: &'c Arc<Network>,
    ipam: &'c WhereaboutsIpam,
    shared: AddressInterval,
    outcome: Outcome,
}

/// By namespace and name.
type Others<'c> = BTreeMap<(&'c str, &'c str), Other<'c>>;

fn check(subject: &NetworkSubject<'_>, report: &mut Report<'_>) {
    let Some(config) = subject.parsed() else {
        return;
    };
    let plugins = subject.plugins();
    let mut by_range: BTreeMap<(usize, usize), Others<'_>> = BTreeMap::new();
    let mut left = MOST_COMPARED;
    for supply in subject.supplies(config) {
        let AssignableSource::Range { index, .. } = supply.source else {
            continue;
        };
        let others = by_range.entry((supply.plugin, index)).or_default();
        for (network, theirs) in subject.other_suppliers(supply.range).take(left) {
            left -= 1;
            if let Some(other) = compare(subject, config, &supply, network, theirs) {
                let key = (&*network.namespace, &*network.name);
                let known = others.get(&key);
                if known.is_none_or(|known| {
                    (known.outcome, other.shared) < (other.outcome, known.shared)
                }) {
                    others.insert(key, other);
                }
            }
        }
    }
    // Read once a plugin: a configuration may have very many ranges.
    let mut texts: BTreeMap<usize, Vec<RangeText>> = BTreeMap::new();
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
        let unread = RangeText::default();
        let range = texts.get(index).unwrap_or(&unread);
        let (twice, once): (Vec<_>, Vec<_>) = others
            .into_values()
            .partition(|other| other.outcome > Outcome::Apart);
        for other in twice.iter().take(MOST_NAMED) {
            given_twice(subject, own, range, other, report);
        }
        for outcome in [Outcome::Apart, Outcome::Unique] {
            let others: Vec<_> = once
                .iter()
                .filter(|other| other.outcome == outcome)
                .collect();
            warn(subject, range, outcome, &others, report);
        }
    }
}

/// What becomes of two supplies that overlap; `None` if nothing is to be said.
fn compare<'c>(
    subject: &NetworkSubject<'_>,
    config: &NetworkConfig,
    own: &AssignableRange,
    network: &'c Arc<Network>,
    theirs: &AssignableRange,
) -> Option<Other<'c>> {
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
    let outcome = match (same_name, reserved || one_pool) {
        (true, true) if ours.network_name.is_some() => return None,
        (true, true) => Outcome::Unique,
        _ if !subject.same_wire([plugin, other], network) => Outcome::Apart,
        (true, false) => Outcome::Unreserved,
        (false, _) => Outcome::OtherName,
    };
    Some(Other {
        network,
        ipam,
        shared,
        outcome,
    })
}

fn given_twice(
    subject: &NetworkSubject<'_>,
    own: &WhereaboutsIpam,
    range: &RangeText,
    other: &Other<'_>,
    report: &mut Report<'_>,
) {
    let Network {
        namespace, name, ..
    } = &**other.network;
    let named = |ipam: &WhereaboutsIpam| {
        let name = ipam.network_name.as_ref();
        name.map_or("none".to_owned(), |name| format!("{name:?}"))
    };
    let (why, help) = if other.outcome == Outcome::OtherName {
        (
            format!(
                "their network_names differ (here {}, there {})",
                named(own),
                named(other.ipam)
            ),
            "write the same \"network_name\" in both, or a range that does not overlap",
        )
    } else {
        let place = match (own.overlapping_ranges, other.ipam.overlapping_ranges) {
            (false, false) => "in both",
            (false, true) => "here",
            _ => "there",
        };
        (
            format!("\"enable_overlapping_ranges\" is false {place}"),
            "remove \"enable_overlapping_ranges\": false, or write a range that does not overlap",
        )
    };
    report.add_after_live_read(
        LiveRead::Network {
            namespace: namespace.clone(),
            name: name.clone(),
        },
        subject.place(&range.path, range.span),
        format!(
            "the range {:?} overlaps that of {namespace}/{name}, and Whereabouts would give {} \
             twice, because {why}",
            range.text, other.shared
        ),
        help,
    );
}

fn warn(
    subject: &NetworkSubject<'_>,
    range: &RangeText,
    outcome: Outcome,
    others: &[&Other<'_>],
    report: &mut Report<'_>,
) {
    if others.is_empty() {
        return;
    }
    let named = others.iter().take(MOST_NAMED);
    let mut names: Vec<String> = named
        .map(|other| {
            format!(
                "{}/{} ({})",
                other.network.namespace, other.network.name, other.shared
            )
        })
        .collect();
    if others.len() > MOST_NAMED {
        names.push(format!("{} more", others.len() - MOST_NAMED));
    }
    let (what, help) = if outcome == Outcome::Apart {
        (
            "which counts them by itself: on these different wires one address can be given twice",
            "this is right only if nothing connects the two; otherwise write the same \
             \"network_name\" in both, or a range that does not overlap",
        )
    } else {
        (
            "which has no network_name either: Whereabouts gives no address twice, but the \
             networks take each other's addresses",
            "write the same \"network_name\" in both if that is meant, or a range that does not \
             overlap",
        )
    };
    report.add_lesser(
        Levels::ADVICE,
        subject.place(&range.path, range.span),
        format!(
            "the range {:?} overlaps that of {}, {what}",
            range.text,
            names.join(", ")
        ),
        help,
    );
}

/// A range in the configuration's text.
#[derive(Default)]
struct RangeText {
    path: String,
    span: Span,
    text: String,
}

/// Those of a plugin's IPAM, as [`WhereaboutsIpam::ranges`] counts them.
fn ranges(plugin: &PluginText<'_>) -> Vec<RangeText> {
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

fn range(members: &[JsonMember<'_>], path: &str) -> Option<RangeText> {
    let text = find(members, "range")?.value.spanned_string()?;
    (!text.value.is_empty()).then(|| RangeText {
        path: format!("{path}.range"),
        span: text.span,
        text: text.value.into_owned(),
    })
}
