//! The networks that configure an address, by L2 segment.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
};

use nadmit_cni::{
    Network,
    assignable::{AssignableRange, AssignableSource},
};

use super::whereabouts_groups::Segment;

/// The namespace and name of a network.
pub type NetworkName = (Box<str>, Box<str>);

/// Networks in the order of their namespaces and names.
pub type NetworkNames = BTreeSet<NetworkName>;

/// The networks that configure each address on each L2 segment.
#[derive(Debug, Clone, Default)]
pub(super) struct ConfiguredAddresses(HashMap<IpAddr, HashMap<OwnedSegment, NetworkNames>>);

type OwnedSegment = (Box<str>, Option<Box<str>>);

impl ConfiguredAddresses {
    /// Collects the configured addresses among these ranges.
    pub(super) fn of<'n>(
        ranges: impl Iterator<Item = (&'n Arc<Network>, &'n AssignableRange)>,
    ) -> Self {
        let mut found = Self::default();
        for (network, supply) in ranges {
            let config = network.config.loaded();
            let plugin = config.and_then(|config| config.plugins.get(supply.plugin));
            let (AssignableSource::Configured { .. }, Some(plugin)) = (supply.source, plugin)
            else {
                continue;
            };
            let segment = (plugin.link.clone(), network.resource_name.clone());
            let of_address = found.0.entry(supply.range.first()).or_default();
            let names = of_address.entry(segment).or_default();
            names.insert((network.namespace.clone(), network.name.clone()));
        }
        found
    }

    /// Returns the networks that configure an address on an L2 segment, in order.
    pub(super) fn networks(&self, address: IpAddr, segment: Segment<'_>) -> Option<&NetworkNames> {
        let key = (
            Box::from(segment.link),
            segment.resource_name.map(Box::from),
        );
        self.0.get(&address)?.get(&key)
    }
}
