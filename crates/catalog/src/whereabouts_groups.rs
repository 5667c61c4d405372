//! The networks of Whereabouts in groups, for the overlaps of a range that overlaps very many.
//!
//! The meaning of an overlap follows from the `network_name` and the L2 segment of both networks. So the
//! overlaps of each meaning are counted by group, and only the first of them are looked at.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
};

use nadmit_cni::{
    IpRange, Network,
    assignable::{AssignableRange, AssignableSource, assignable_ranges},
    cni::{NetworkConfig, Plugin},
    ipam::{Ipam, WhereaboutsIpam},
};

use super::ranked_ranges::{RankedRanges, merged};

/// The `network_name` and the L2 segment of a network of Whereabouts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupKey<'n> {
    pub network_name: Option<&'n str>,
    pub segment: Segment<'n>,
}

impl<'n> GroupKey<'n> {
    /// Returns the key of a network's group; `None` if it belongs to none.
    pub fn of(config: &'n NetworkConfig, resource_name: Option<&'n str>) -> Option<Self> {
        let (plugin, ipam) = only_whereabouts(config)?;
        ipam.overlapping_ranges.then_some(Self {
            network_name: ipam.network_name.as_deref(),
            segment: Segment {
                link: &plugin.link,
                resource_name,
            },
        })
    }
}

/// An L2 segment, as far as a network names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Segment<'n> {
    pub link: &'n str,
    pub resource_name: Option<&'n str>,
}

/// The relation of a network to another one whose range it overlaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// Both have the same `network_name`, or none.
    SameName,
    /// Their names differ, and both are on one L2 segment.
    SameSegment,
    /// Their names and L2 segments differ.
    Apart,
}

/// The parts of a range that exclusions leave of it, in ascending order.
#[derive(Debug, Clone, Copy)]
pub struct RangeParts<'p> {
    parts: &'p [IpRange],
    hull: IpRange,
}

impl<'p> RangeParts<'p> {
    /// Returns the parts of a range; `None` if there are none.
    pub fn new(parts: &'p [IpRange]) -> Option<Self> {
        let (first, last) = (parts.first()?, parts.last()?);
        let hull = IpRange::new(first.first(), last.last())?;
        Some(Self { parts, hull })
    }

    /// Returns the range from the first to the last part.
    pub fn hull(&self) -> IpRange {
        self.hull
    }
}

/// The networks of one relation that overlap a range.
#[derive(Debug, Clone, Default)]
pub struct RelatedNetworks<'c> {
    /// The number of all.
    pub count: usize,
    /// The first of them by namespace and name, with the ranges that they assign.
    pub first: Vec<(&'c Arc<Network>, &'c [AssignableRange])>,
}

/// An owned [`GroupKey`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct OwnedKey {
    name: Option<Box<str>>,
    segment: OwnedSegment,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct OwnedSegment {
    link: Box<str>,
    resource_name: Option<Box<str>>,
}

impl OwnedKey {
    fn borrowed(&self) -> GroupKey<'_> {
        GroupKey {
            network_name: self.name.as_deref(),
            segment: Segment {
                link: &self.segment.link,
                resource_name: self.segment.resource_name.as_deref(),
            },
        }
    }
}

impl From<GroupKey<'_>> for OwnedKey {
    fn from(key: GroupKey<'_>) -> Self {
        Self {
            name: key.network_name.map(Into::into),
            segment: key.segment.into(),
        }
    }
}

impl From<Segment<'_>> for OwnedSegment {
    fn from(segment: Segment<'_>) -> Self {
        Self {
            link: segment.link.into(),
            resource_name: segment.resource_name.map(Into::into),
        }
    }
}

/// A network, and the ranges of Whereabouts that it assigns.
type NetworkRanges = (Arc<Network>, Vec<AssignableRange>);

/// The networks with one plugin of Whereabouts, which keeps addresses unique across its ranges.
#[derive(Debug, Clone, Default)]
pub struct WhereaboutsGroups {
    /// The networks by namespace and name, each with its ranges.
    networks: Vec<NetworkRanges>,
    /// The other networks with ranges, which belong to no group.
    irregular: Vec<NetworkRanges>,
    /// The first addresses of all ranges, in ascending order, with the ranks of their networks.
    by_first: Vec<(IpAddr, usize)>,
    all: Arc<AddressRanges>,
    by_name: HashMap<Option<Box<str>>, Arc<AddressRanges>>,
    by_segment: HashMap<OwnedSegment, Arc<AddressRanges>>,
    groups: HashMap<OwnedKey, Arc<AddressRanges>>,
    /// The keys of the groups of each L2 segment, in the order of their first networks.
    keys_by_segment: HashMap<OwnedSegment, Vec<OwnedKey>>,
    /// The keys of all groups, in the order of their first networks.
    keys: Vec<OwnedKey>,
}

type AddressRanges = RankedRanges<IpAddr>;

/// The ranges of each group, with the ranks of their networks.
type Members = BTreeMap<OwnedKey, Vec<(usize, IpRange)>>;

impl WhereaboutsGroups {
    /// Groups these networks.
    pub(super) fn of<'n>(networks: impl Iterator<Item = &'n Arc<Network>>) -> Self {
        let mut sorted: Vec<&Arc<Network>> = networks.collect();
        sorted.sort_unstable_by_key(|network| (&network.namespace, &network.name));
        sorted.dedup_by(|one, other| Arc::ptr_eq(one, other));
        let mut found = Self::default();
        let mut groups = Members::new();
        for network in sorted {
            let Some(config) = network.config.loaded() else {
                continue;
            };
            let ranges = assignable_ranges(config).into_iter();
            let is_range =
                |one: &AssignableRange| matches!(one.source, AssignableSource::Range { .. });
            let ranges: Vec<AssignableRange> = ranges.filter(is_range).collect();
            if ranges.is_empty() {
                continue;
            }
            let Some(key) = GroupKey::of(config, network.resource_name.as_deref()) else {
                found.irregular.push((Arc::clone(network), ranges));
                continue;
            };
            let rank = found.networks.len();
            let ranked = ranges.iter().map(|one| (rank, one.range));
            groups.entry(key.into()).or_default().extend(ranked);
            found.networks.push((Arc::clone(network), ranges));
        }
        let ranked = groups.values().flatten();
        found.by_first = ranked.map(|(rank, range)| (range.first(), *rank)).collect();
        found.by_first.sort_unstable();
        found.index(groups);
        found
    }

    fn index(&mut self, groups: Members) {
        let mut order: Vec<(usize, OwnedKey)> = Vec::new();
        for (key, members) in &groups {
            let ranges = RankedRanges::new(members.clone());
            order.push((ranges.first_rank().unwrap_or_default(), key.clone()));
            self.groups.insert(key.clone(), Arc::new(ranges));
        }
        self.all = self.union(&groups, &groups.keys().collect::<Vec<_>>());
        let (mut by_name, mut by_segment) = (BTreeMap::new(), BTreeMap::new());
        for key in groups.keys() {
            let of_name: &mut Vec<&OwnedKey> = by_name.entry(&key.name).or_default();
            of_name.push(key);
            let of_segment: &mut Vec<&OwnedKey> = by_segment.entry(&key.segment).or_default();
            of_segment.push(key);
        }
        for (name, keys) in by_name {
            self.by_name
                .insert(name.clone(), self.union(&groups, &keys));
        }
        for (segment, keys) in by_segment {
            self.by_segment
                .insert(segment.clone(), self.union(&groups, &keys));
        }
        order.sort_unstable();
        for (_, key) in order {
            let of_segment = self.keys_by_segment.entry(key.segment.clone());
            of_segment.or_default().push(key.clone());
            self.keys.push(key);
        }
    }

    /// Returns the ranges of these groups together. Most clusters have one group only, which is not
    /// indexed again.
    fn union(&self, groups: &Members, keys: &[&OwnedKey]) -> Arc<AddressRanges> {
        if let [only] = keys
            && let Some(ranges) = self.groups.get(*only)
        {
            return Arc::clone(ranges);
        }
        let members = keys.iter().filter_map(|key| groups.get(*key));
        Arc::new(RankedRanges::new(members.flatten().copied().collect()))
    }

    /// Returns the networks with ranges that belong to no group.
    pub fn irregular(&self) -> impl Iterator<Item = (&Arc<Network>, &[AssignableRange])> {
        let networks = self.irregular.iter();
        networks.map(|(network, ranges)| (network, &**ranges))
    }

    /// Returns the networks with a relation to one with this key that overlap a range, whose parts
    /// these are: their number without the network `own`, and up to `limit` of them.
    pub fn related(
        &self,
        key: GroupKey<'_>,
        parts: &RangeParts<'_>,
        relation: Relation,
        own: (&str, &str),
        limit: usize,
    ) -> RelatedNetworks<'_> {
        let range = parts.hull;
        let mut left_out = self.between(parts);
        left_out.retain(|rank| self.relation_of(*rank, key) == Some(relation));
        let key = OwnedKey::from(key);
        let named = self.by_name.get(&key.name).map(Arc::as_ref);
        let on_segment = self.by_segment.get(&key.segment).map(Arc::as_ref);
        let own_group = self.groups.get(&key).map(Arc::as_ref);
        let all = Some(&*self.all);
        // The groups whose networks count, and those that were counted too often.
        let (counted, twice) = match relation {
            Relation::SameName => ([named, None], [None, None]),
            Relation::SameSegment => ([on_segment, None], [own_group, None]),
            Relation::Apart => ([all, own_group], [named, on_segment]),
        };
        // The network itself is the same, but perhaps as it was before an update.
        let own = self.rank_of(own).filter(|rank| {
            self.relation_of(*rank, key.borrowed()) == Some(relation)
                && self.all.overlaps(*rank, range)
        });
        left_out.extend(own);
        let sum = |groups: [Option<&AddressRanges>; 2]| -> usize {
            let groups = groups.into_iter().flatten();
            groups.map(|group| group.count(range)).sum()
        };
        let count = sum(counted) - sum(twice) - left_out.len();
        let keys: &[OwnedKey] = match relation {
            Relation::SameName => &[],
            Relation::SameSegment => {
                let keys = self.keys_by_segment.get(&key.segment);
                keys.map_or(&[], |keys| keys)
            }
            Relation::Apart => &self.keys,
        };
        let is_related = |other: &&OwnedKey| {
            let beside = relation == Relation::Apart && other.segment == key.segment;
            other.name != key.name && !beside
        };
        let groups = keys.iter().filter(is_related);
        let groups = groups.filter_map(|key| self.groups.get(key).map(Arc::as_ref));
        let groups = groups.chain(named.filter(|_| relation == Relation::SameName));
        let first = first_of(groups, range, &left_out, limit.min(count)).into_iter();
        RelatedNetworks {
            count,
            first: first
                .filter_map(|rank| self.networks.get(rank))
                .map(|(network, ranges)| (network, &**ranges))
                .collect(),
        }
    }

    /// Returns the networks with a range between the parts of another one and none that overlaps a
    /// part.
    fn between(&self, parts: &RangeParts<'_>) -> BTreeSet<usize> {
        let gaps = parts.parts.windows(2).filter_map(|pair| match pair {
            [before, after] => Some((before.last(), after.first())),
            _ => None,
        });
        let begun = |address: IpAddr| {
            self.by_first
                .partition_point(|(first, _)| *first <= address)
        };
        let inside = gaps.flat_map(|(before, after)| {
            self.by_first
                .get(begun(before)..begun(after))
                .unwrap_or_default()
        });
        let is_part = |one: &AssignableRange| {
            let mut parts = parts.parts.iter();
            parts.any(|part| part.intersection(one.range).is_some())
        };
        let ranks = inside.map(|(_, rank)| *rank);
        let ranks = ranks.filter(|rank| {
            let found = self.networks.get(*rank);
            found.is_some_and(|(_, ranges)| !ranges.iter().any(is_part))
        });
        ranks.collect()
    }

    fn relation_of(&self, rank: usize, key: GroupKey<'_>) -> Option<Relation> {
        let (network, _) = self.networks.get(rank)?;
        let theirs = GroupKey::of(network.config.loaded()?, network.resource_name.as_deref())?;
        Some(match theirs {
            _ if theirs.network_name == key.network_name => Relation::SameName,
            _ if theirs.segment == key.segment => Relation::SameSegment,
            _ => Relation::Apart,
        })
    }

    /// Returns the networks of a `network_name` with ranges that overlap `range`, in order; the empty
    /// name is that of networks without one. Irregular networks are not among them.
    pub fn named(
        &self,
        network_name: &str,
        range: IpRange,
    ) -> impl Iterator<Item = (&Arc<Network>, &[AssignableRange])> {
        let unnamed = network_name.is_empty().then_some(None);
        let names = [Some(Some(Box::from(network_name))), unnamed];
        let groups = names.into_iter().flatten();
        let groups = groups.filter_map(|name| self.by_name.get(&name));
        let ranks = merged(groups.map(move |group| group.from(0, range)));
        let networks = ranks.filter_map(|rank| self.networks.get(rank));
        networks.map(|(network, ranges)| (network, &**ranges))
    }

    fn rank_of(&self, name: (&str, &str)) -> Option<usize> {
        let of = |network: &Network| {
            (*network.namespace)
                .cmp(name.0)
                .then_with(|| (*network.name).cmp(name.1))
        };
        let found = self.networks.binary_search_by(|(network, _)| of(network));
        found.ok()
    }
}

/// Returns the lowest ranks, without those `left_out`, of networks in these groups that overlap a
/// range. The groups are in the order of their first networks.
fn first_of<'g>(
    groups: impl Iterator<Item = &'g AddressRanges>,
    range: IpRange,
    left_out: &BTreeSet<usize>,
    limit: usize,
) -> Vec<usize> {
    let mut found: Vec<usize> = Vec::new();
    for group in groups {
        let full = found.len() >= limit;
        // No network of this group or of those behind it comes before the ones that were found.
        if full && found.last().copied() < group.first_rank() {
            break;
        }
        let ranks = group.from(0, range);
        let ranks = ranks.filter(|rank| !left_out.contains(rank));
        found.extend(ranks.take(limit));
        found.sort_unstable();
        found.truncate(limit);
    }
    found
}

/// Returns the plugin with Whereabouts's IPAM; `None` if there is not exactly one.
fn only_whereabouts(config: &NetworkConfig) -> Option<(&Plugin, &WhereaboutsIpam)> {
    let plugins = config.plugins.iter();
    let mut found = plugins.filter_map(|plugin| match &plugin.ipam {
        Some(Ipam::Whereabouts(ipam)) => Some((plugin, ipam)),
        _ => None,
    });
    found.next().filter(|_| found.next().is_none())
}
