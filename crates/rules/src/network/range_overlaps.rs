//! The networks that assign addresses of a range of Whereabouts.
//!
//! Few are compared one by one. Of very many, the first of each group are compared, and the others are
//! only counted.

use std::{collections::BTreeMap, sync::Arc};

use crate::{NetworkSubject, network_subject::MAX_COMPARISONS};
use nadmit_catalog::{GroupKey, RangeParts, Relation};
use nadmit_cni::{
    IpRange, Network,
    assignable::{AssignableRange, AssignableSource},
    cni::NetworkConfig,
    ipam::{Ipam, WhereaboutsIpam},
};

/// The maximum number of networks that a message names.
pub(super) const MAX_NAMED: usize = 10;
/// The number of overlapping ranges up to which each is compared.
const MAX_COMPARED: usize = 256;
/// The number of ranges, and of the parts of a range, up to which others are found by group.
const MAX_GROUPED: usize = 16;

/// The effect of two overlapping ranges of Whereabouts, in ascending severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum OverlapEffect {
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
pub(super) struct OverlappingNetwork<'c> {
    pub(super) network: &'c Arc<Network>,
    pub(super) ipam: &'c WhereaboutsIpam,
    pub(super) shared: IpRange,
    pub(super) effect: OverlapEffect,
}

/// The networks that overlap one range.
#[derive(Default)]
pub(super) struct OverlappingNetworks<'c> {
    /// Those that messages may name, by namespace and name.
    compared: BTreeMap<(&'c str, &'c str), OverlappingNetwork<'c>>,
    /// The numbers of further networks.
    more_separate_links: usize,
    more_unique: usize,
}

impl<'c> OverlappingNetworks<'c> {
    /// Returns the networks with any of these effects, ordered by namespace and name: all of them, or at
    /// least as many as messages name.
    pub(super) fn with_effect(
        &self,
        effects: impl Fn(OverlapEffect) -> bool,
    ) -> impl Iterator<Item = &OverlappingNetwork<'c>> {
        self.compared
            .values()
            .filter(move |other| effects(other.effect))
    }

    /// Returns the number of all networks with this effect.
    pub(super) fn count(&self, effect: OverlapEffect) -> usize {
        let more = match effect {
            OverlapEffect::SeparateLinks => self.more_separate_links,
            OverlapEffect::Unique => self.more_unique,
            OverlapEffect::Unreserved | OverlapEffect::OtherName => 0,
        };
        more + self.with_effect(|other| other == effect).count()
    }

    /// Adds a network, or the worse effect of a known one.
    fn add(&mut self, other: OverlappingNetwork<'c>) {
        let key = (&*other.network.namespace, &*other.network.name);
        let known = self.compared.get(&key);
        if known.is_none_or(|known| (known.effect, other.shared) < (other.effect, known.shared)) {
            self.compared.insert(key, other);
        }
    }
}

/// The place of a range in a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RangePlace {
    /// The index of the plugin.
    pub(super) plugin: usize,
    /// The index among the ranges of the plugin.
    pub(super) index: usize,
}

/// Returns the networks that overlap each range of a network.
pub(super) fn overlaps_by_range<'c>(
    subject: &NetworkSubject<'c>,
    config: &NetworkConfig,
) -> Vec<(RangePlace, OverlappingNetworks<'c>)> {
    let ranges = parts_by_range(subject, config);
    let few_ranges = ranges.len() <= MAX_GROUPED;
    let mut left = MAX_COMPARISONS;
    let overlaps = ranges.into_iter().map(|(place, parts)| {
        let others = match few_ranges && overlaps_very_many(subject, &parts) {
            true => grouped(subject, config, &parts),
            false => None,
        };
        let others = others.unwrap_or_else(|| compared(subject, config, &parts, &mut left));
        (place, others)
    });
    overlaps.collect()
}

/// Returns the parts that exclusions leave of each range.
fn parts_by_range(
    subject: &NetworkSubject<'_>,
    config: &NetworkConfig,
) -> BTreeMap<RangePlace, Vec<AssignableRange>> {
    let mut parts: BTreeMap<RangePlace, Vec<AssignableRange>> = BTreeMap::new();
    for part in subject.assignable_ranges(config) {
        if let AssignableSource::Range { index, .. } = part.source {
            let plugin = part.plugin;
            let of_range = parts.entry(RangePlace { plugin, index }).or_default();
            of_range.push(part);
        }
    }
    parts
}

/// Returns true if a range with few parts overlaps more ranges than are compared one by one.
fn overlaps_very_many(subject: &NetworkSubject<'_>, parts: &[AssignableRange]) -> bool {
    let (Some(first), Some(last)) = (parts.first(), parts.last()) else {
        return false;
    };
    let hull = IpRange::new(first.range.first(), last.range.last());
    let count = |hull| subject.catalog.count_assigning(hull);
    parts.len() <= MAX_GROUPED && hull.is_some_and(|hull| count(hull) > MAX_COMPARED)
}

/// Compares the parts of a range with every range that they overlap.
fn compared<'c>(
    subject: &NetworkSubject<'c>,
    config: &NetworkConfig,
    parts: &[AssignableRange],
    left: &mut usize,
) -> OverlappingNetworks<'c> {
    let mut others = OverlappingNetworks::default();
    for part in parts {
        let theirs = subject.other_networks_assigning(part.range).take(*left);
        for (network, theirs) in theirs {
            *left -= 1;
            if let Some(other) = compare(subject, config, part, network, theirs) {
                others.add(other);
            }
        }
    }
    others
}

/// Returns the networks that overlap a range, found by group: only those that messages name are compared.
/// `None` if all have to be.
fn grouped<'c>(
    subject: &NetworkSubject<'c>,
    config: &NetworkConfig,
    parts: &[AssignableRange],
) -> Option<OverlappingNetworks<'c>> {
    // The known versions of siblings are about to change.
    if subject.siblings.is_some() {
        return None;
    }
    let ranges: Vec<IpRange> = parts.iter().map(|part| part.range).collect();
    let range = RangeParts::new(&ranges)?;
    let key = GroupKey::of(config, subject.resource_name)?;
    let groups = subject.catalog.whereabouts_groups();
    let mut others = OverlappingNetworks::default();
    let own = (subject.namespace, subject.name);
    let related = |relation| groups.related(key, &range, relation, own, MAX_NAMED);
    let mut compare_all = |network, ranges: &'c [AssignableRange]| {
        for part in parts {
            for theirs in ranges {
                if let Some(other) = compare(subject, config, part, network, theirs) {
                    others.add(other);
                }
            }
        }
    };
    let (mut more_separate_links, mut more_unique) = (0, 0);
    for relation in [Relation::SameName, Relation::SameSegment, Relation::Apart] {
        // Networks of one network_name share their addresses.
        if relation == Relation::SameName && key.network_name.is_some() {
            continue;
        }
        let related = related(relation);
        let more = related.count - related.first.len();
        match relation {
            Relation::SameName => more_unique = more,
            Relation::SameSegment => {}
            Relation::Apart => more_separate_links = more,
        }
        for (network, ranges) in related.first {
            compare_all(network, ranges);
        }
    }
    for (network, ranges) in groups.irregular() {
        if (&*network.namespace, &*network.name) != own {
            compare_all(network, ranges);
        }
    }
    Some(OverlappingNetworks {
        more_separate_links,
        more_unique,
        ..others
    })
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Policy, network_subject::RawNetwork};
    use nadmit_catalog::Catalog;

    /// Returns configurations that overlap in every way.
    fn config() -> impl Strategy<Value = String> {
        let range = (0..4_u8, 24..31_u8, any::<bool>()).prop_map(|(block, prefix, excludes)| {
            let exclude = match excludes {
                true => format!(r#", "exclude": ["192.0.2.{}/29"]"#, block * 64 + 8),
                false => String::new(),
            };
            format!(r#""range": "192.0.2.{}/{prefix}"{exclude}"#, block * 64)
        });
        let name = prop_oneof![
            Just(""),
            Just(r#", "network_name": "a""#),
            Just(r#", "network_name": "b""#)
        ];
        let unique =
            prop_oneof![6 => Just(""), 1 => Just(r#", "enable_overlapping_ranges": false"#)];
        let master = prop_oneof![Just("eth1"), Just("eth2")];
        let more =
            prop_oneof![4 => Just(""), 1 => Just(r#", "ipRanges": [{"range": "192.0.2.128/27"}]"#)];
        (range, name, unique, master, more).prop_map(|(range, name, unique, master, more)| {
            format!(
                r#"{{"cniVersion": "0.3.1", "name": "n", "type": "macvlan", "master": "{master}",
                     "ipam": {{"type": "whereabouts", {range}{name}{unique}{more}}}}}"#
            )
        })
    }

    /// Returns what messages say of these networks.
    fn described(others: &OverlappingNetworks<'_>) -> Vec<String> {
        let text = |other: &OverlappingNetwork<'_>| {
            format!(
                "{} {:?} {:?}",
                other.network.name, other.effect, other.shared
            )
        };
        let duplicated = others.with_effect(|effect| effect > OverlapEffect::SeparateLinks);
        let mut found: Vec<String> = duplicated.take(MAX_NAMED).map(text).collect();
        for effect in [OverlapEffect::SeparateLinks, OverlapEffect::Unique] {
            let advised = others.with_effect(|other| other == effect);
            found.extend(advised.take(MAX_NAMED).map(text));
            found.push(format!("{effect:?}: {}", others.count(effect)));
        }
        found
    }

    proptest! {
        #[test]
        fn groups_say_the_same_as_comparing_all(
            configs in proptest::collection::vec(config(), 1..60), before in config(),
        ) {
            let policy = Policy::default();
            let networks = configs.iter().enumerate().map(|(index, config)| {
                // The catalog has the first network as it was before an update.
                let config = if index == 0 { &before } else { config };
                Arc::new(Network::new("db", &format!("n{index}"), Some(config)))
            });
            let catalog = Catalog::new([], networks, []);
            let raw = RawNetwork {
                namespace: "db",
                name: "n0",
                config: configs.first().map(String::as_str),
                ..RawNetwork::default()
            };
            let subject = NetworkSubject::new(raw, &policy, &catalog);
            let config = subject.parsed().expect("a valid configuration");
            for parts in parts_by_range(&subject, config).into_values() {
                let all = compared(&subject, config, &parts, &mut MAX_COMPARISONS.clone());
                if let Some(grouped) = grouped(&subject, config, &parts) {
                    prop_assert_eq!(described(&grouped), described(&all));
                }
            }
        }
    }
}
