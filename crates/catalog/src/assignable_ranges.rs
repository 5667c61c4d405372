//! An index of the addresses that networks assign, for rules that compare networks.
//!
//! Ranges are sorted by their first address, and form a tree whose nodes know the highest last
//! address of their ranges. A search begins at the last range that starts early enough, and skips
//! the nodes whose ranges end too early.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{Arc, OnceLock},
};

use nadmit_cni::{
    IpRange, Network,
    assignable::{self, AssignableRange},
    slices::{SliceDescription, SliceView},
};

use super::{
    Catalog,
    configured_addresses::{ConfiguredAddresses, NetworkNames},
    whereabouts_groups::{Segment, WhereaboutsGroups},
};

/// The number of ranges of a node of the lowest level.
const LEAF: usize = 8;

/// Every network's assignable ranges, and the networks that Whereabouts's controller compares.
#[derive(Debug, Clone, Default)]
pub(super) struct AssignableRanges {
    entries: Vec<RangeEntry>,
    /// The last addresses of all ranges, in ascending order.
    lasts: Vec<IpAddr>,
    /// The highest last address of each node, by level.
    reaches: Vec<Vec<IpAddr>>,
    /// The Whereabouts networks, by `network_name`.
    by_network_name: BTreeMap<Option<Box<str>>, Vec<ComparedNetwork>>,
    /// The Whereabouts networks with node slices.
    sliced: Vec<ComparedNetwork>,
    /// Built when a range overlaps very many.
    groups: OnceLock<WhereaboutsGroups>,
    configured: OnceLock<ConfiguredAddresses>,
}

/// A network that Whereabouts's node slice controller compares.
#[derive(Debug, Clone)]
pub struct ComparedNetwork {
    pub network: Arc<Network>,
    /// A number that the networks with the same slices have in common.
    pub slices: usize,
    pub network_name: Option<Box<str>>,
    /// The name of the NodeSlicePool.
    pub pool: Option<Box<str>>,
}

#[derive(Debug, Clone)]
struct RangeEntry {
    supply: AssignableRange,
    network: Arc<Network>,
}

impl AssignableRanges {
    /// Builds the index of these networks.
    pub(super) fn of<'n>(networks: impl Iterator<Item = &'n Arc<Network>>) -> Self {
        let mut entries = Vec::new();
        let (mut by_network_name, mut sliced) = (BTreeMap::<_, Vec<_>>::new(), Vec::new());
        let mut slices: HashMap<SliceDescription<'_>, usize> = HashMap::new();
        for network in networks {
            let Some(config) = network.config.loaded() else {
                continue;
            };
            if let Some(view) = SliceView::of(config) {
                let name: Option<Box<str>> = view.network_name.map(Into::into);
                let next = slices.len();
                let compared = ComparedNetwork {
                    network: Arc::clone(network),
                    slices: *slices.entry(view.description()).or_insert(next),
                    network_name: name.clone(),
                    pool: view.pool.map(Into::into),
                };
                if view.size.is_some() {
                    sliced.push(compared.clone());
                }
                by_network_name.entry(name).or_default().push(compared);
            }
            let entry = |supply: AssignableRange| RangeEntry {
                supply,
                network: Arc::clone(network),
            };
            entries.extend(assignable::assignable_ranges(config).into_iter().map(entry));
        }
        entries.sort_unstable_by_key(|entry| entry.supply.range);
        let ends = entries.iter().map(|entry| entry.supply.range.last());
        let ends: Vec<IpAddr> = ends.collect();
        let mut lasts = ends.clone();
        lasts.sort_unstable();
        Self {
            entries,
            lasts,
            reaches: reaches(ends),
            by_network_name,
            sliced,
            groups: OnceLock::new(),
            configured: OnceLock::new(),
        }
    }

    /// Returns the Whereabouts networks of one `network_name`.
    pub(super) fn by_network_name(&self, network_name: Option<&str>) -> &[ComparedNetwork] {
        let found = self.by_network_name.get(&network_name.map(Box::from));
        found.map_or(&[], |networks| networks)
    }

    /// Returns the networks with node slices.
    pub(super) fn sliced(&self) -> &[ComparedNetwork] {
        &self.sliced
    }

    /// Returns the networks of Whereabouts in groups.
    pub(super) fn groups(&self) -> &WhereaboutsGroups {
        let networks = || self.entries.iter().map(|entry| &entry.network);
        self.groups
            .get_or_init(|| WhereaboutsGroups::of(networks()))
    }

    /// Returns the networks that configure addresses.
    pub(super) fn configured(&self) -> &ConfiguredAddresses {
        let entries = || self.entries.iter().map(|one| (&one.network, &one.supply));
        self.configured
            .get_or_init(|| ConfiguredAddresses::of(entries()))
    }

    /// Returns the number of ranges that overlap `range`.
    pub(super) fn count(&self, range: IpRange) -> usize {
        let ended = self.lasts.partition_point(|last| *last < range.first());
        self.begun(range) - ended
    }

    /// Returns the number of ranges that begin before the end of `range`.
    fn begun(&self, range: IpRange) -> usize {
        self.entries
            .partition_point(|entry| entry.supply.range.first() <= range.last())
    }

    /// Returns the ranges that overlap `range`, in no particular order.
    pub(super) fn overlapping(
        &self,
        range: IpRange,
    ) -> impl Iterator<Item = (&Arc<Network>, &AssignableRange)> {
        let mut end = self.begun(range);
        std::iter::from_fn(move || {
            end = self.last_reaching(end, range.first())?;
            let entry = self.entries.get(end)?;
            Some((&entry.network, &entry.supply))
        })
    }

    /// Returns the index of the last range before the index `end` that ends at `address` or later.
    fn last_reaching(&self, mut end: usize, address: IpAddr) -> Option<usize> {
        let reaches = |end: usize| {
            let entry = self.entries.get(end);
            entry.is_some_and(|entry| entry.supply.range.last() >= address)
        };
        loop {
            end = end.checked_sub(1)?;
            if reaches(end) {
                return Some(end);
            }
            // Skips the largest node that ends here and does not reach the address.
            let ends_here = |level: &usize| end.is_multiple_of(LEAF << level);
            let skips = |level: &usize| {
                let node = (end / (LEAF << level)).checked_sub(1);
                let reach = node.and_then(|node| self.reaches.get(*level)?.get(node));
                reach.is_some_and(|reach| *reach < address)
            };
            let levels = (0..self.reaches.len()).take_while(ends_here);
            if let Some(level) = levels.take_while(skips).last() {
                end -= LEAF << level;
            }
        }
    }
}

impl Catalog {
    /// Returns the networks that assign addresses of `range`, with their assignable ranges.
    pub fn networks_assigning(
        &self,
        range: IpRange,
    ) -> impl Iterator<Item = (&Arc<Network>, &AssignableRange)> {
        self.assignable_ranges().overlapping(range)
    }

    /// Returns the number of ranges that networks assign and that overlap `range`.
    pub fn count_assigning(&self, range: IpRange) -> usize {
        self.assignable_ranges().count(range)
    }

    /// Returns the networks of Whereabouts in groups, for a range that overlaps very many.
    pub fn whereabouts_groups(&self) -> &WhereaboutsGroups {
        self.assignable_ranges().groups()
    }

    /// Returns the networks that configure an address on an L2 segment, if there are any.
    pub fn networks_configuring(
        &self,
        address: IpAddr,
        segment: Segment<'_>,
    ) -> Option<&NetworkNames> {
        let configured = self.assignable_ranges().configured();
        configured.networks(address, segment)
    }

    /// Returns the Whereabouts networks with a range and this `network_name`; `None` selects those
    /// without one.
    pub fn networks_of_name(&self, network_name: Option<&str>) -> &[ComparedNetwork] {
        self.assignable_ranges().by_network_name(network_name)
    }

    /// Returns the Whereabouts networks with node slices.
    pub fn sliced_networks(&self) -> &[ComparedNetwork] {
        self.assignable_ranges().sliced()
    }

    fn assignable_ranges(&self) -> &AssignableRanges {
        self.assignable_ranges
            .get_or_init(|| AssignableRanges::of(self.networks()))
    }
}

/// Returns the highest of these addresses in each node, by level.
fn reaches(lasts: Vec<IpAddr>) -> Vec<Vec<IpAddr>> {
    let highest = |addresses: &[IpAddr], size: usize| -> Vec<IpAddr> {
        let nodes = addresses.chunks(size);
        nodes
            .filter_map(|node| node.iter().max().copied())
            .collect()
    };
    let mut levels = vec![highest(&lasts, LEAF)];
    while let Some(below) = levels.last().filter(|below| below.len() > 1) {
        levels.push(highest(below, 2));
    }
    levels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_overlaps_among_wide_and_narrow_ranges() {
        let network = |(index, range): (usize, &&str)| {
            let config = format!(
                r#"{{"type":"macvlan","ipam":{{"type":"whereabouts","range":"{range}"}}}}"#
            );
            Arc::new(Network::new("db", &index.to_string(), Some(&config)))
        };
        let ranges = [
            "10.0.0.0/8",
            "10.1.0.0/24",
            "10.1.1.0/24",
            "10.9.0.0/24",
            "2001:db8::/64",
        ];
        let networks: Vec<_> = ranges.iter().enumerate().map(network).collect();
        let assignable_ranges = AssignableRanges::of(networks.iter());
        let found = |cidr: &str| {
            let range = IpRange::parse(cidr).unwrap_or_else(|| panic!("{cidr}"));
            let mut found: Vec<_> = assignable_ranges
                .overlapping(range)
                .map(|(n, _)| n.name.as_ref())
                .collect();
            found.sort_unstable();
            found.join(" ")
        };
        assert_eq!(found("10.1.1.7"), "0 2");
        assert_eq!(found("10.1.0.0/23"), "0 1 2");
        assert_eq!(found("9.0.0.0/8"), "");
        assert_eq!(found("11.0.0.0/8"), "");
        assert_eq!(found("2001:db8::/32"), "4");
        assert_eq!(found("0.0.0.0/0"), "0 1 2 3");
    }
}
