//! An index of the addresses that networks assign, for rules that compare networks.
//!
//! Ranges are sorted by their first address, each with the highest last address up to it. A
//! search begins at the last range that starts early enough, and goes down until no earlier one
//! can reach far enough. Next to one wide range it visits every range, a few nanoseconds each.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use nadmit_cni::{
    IpRange, Network,
    assignable::{self, AssignableRange},
    slices::SliceView,
};

/// Every network's assignable ranges, and the networks that Whereabouts's controller compares.
#[derive(Debug, Clone, Default)]
pub(super) struct AssignableRanges {
    entries: Vec<RangeEntry>,
    /// The Whereabouts networks, by `network_name`.
    by_network_name: BTreeMap<Option<Box<str>>, Vec<Arc<Network>>>,
    /// The Whereabouts networks with node slices.
    sliced: Vec<Arc<Network>>,
}

#[derive(Debug, Clone)]
struct RangeEntry {
    supply: AssignableRange,
    network: Arc<Network>,
    /// The highest last address of this entry and all before it.
    reach: IpAddr,
}

impl AssignableRanges {
    /// Builds the index of these networks.
    pub(super) fn of<'n>(networks: impl Iterator<Item = &'n Arc<Network>>) -> Self {
        let mut entries = Vec::new();
        let (mut by_network_name, mut sliced) = (BTreeMap::<_, Vec<_>>::new(), Vec::new());
        for network in networks {
            let Some(config) = network.config.loaded() else {
                continue;
            };
            if let Some(view) = SliceView::of(config) {
                let name = view.network_name.map(Into::into);
                by_network_name
                    .entry(name)
                    .or_default()
                    .push(Arc::clone(network));
                if view.size.is_some() {
                    sliced.push(Arc::clone(network));
                }
            }
            let entry = |supply: AssignableRange| RangeEntry {
                supply,
                network: Arc::clone(network),
                reach: supply.range.last(),
            };
            entries.extend(assignable::assignable_ranges(config).into_iter().map(entry));
        }
        entries.sort_unstable_by_key(|entry| entry.supply.range);
        let mut reach = None;
        for entry in &mut entries {
            let furthest = reach.map_or(entry.reach, |reach: IpAddr| reach.max(entry.reach));
            entry.reach = furthest;
            reach = Some(furthest);
        }
        Self {
            entries,
            by_network_name,
            sliced,
        }
    }

    /// Returns the Whereabouts networks of one `network_name`.
    pub(super) fn by_network_name(&self, network_name: Option<&str>) -> &[Arc<Network>] {
        let found = self.by_network_name.get(&network_name.map(Box::from));
        found.map_or(&[], |networks| networks)
    }

    /// Returns the networks with node slices.
    pub(super) fn sliced(&self) -> &[Arc<Network>] {
        &self.sliced
    }

    /// Returns the ranges that overlap `range`, in no particular order.
    pub(super) fn overlapping(
        &self,
        range: IpRange,
    ) -> impl Iterator<Item = (&Arc<Network>, &AssignableRange)> {
        let begun = self
            .entries
            .partition_point(|entry| entry.supply.range.first() <= range.last());
        self.entries[..begun]
            .iter()
            .rev()
            .take_while(move |entry| entry.reach >= range.first())
            .filter(move |entry| entry.supply.range.last() >= range.first())
            .map(|entry| (&entry.network, &entry.supply))
    }
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
