//! Pools that networks define by themselves: by ranges in a static IPAM (inline pools), or by the ranges
//! of Whereabouts, where nadmit serves them.
//!
//! A pool's name has all of its definition, so networks with equal definitions share one pool,
//! whatever their namespaces. No AddressPool has a name with a slash.

use std::{collections::BTreeMap, fmt::Write as _, net::IpAddr, sync::Arc};

use sha2::{Digest as _, Sha256};

use super::{Catalog, InlinePools, PoolDerivation, WhereaboutsMode};
use nadmit_allocation::{
    AddressRange, NodeSlices, Pool, PoolOrigin, Retention, Space,
    spec::{PoolSpec, RangeSpec, SelectorSpec},
};
use nadmit_cni::{
    IpRange, Network, Serving,
    address::parse_address,
    assignable::RangeWindow,
    ipam::{Ipam, WhereaboutsIpam, WhereaboutsRange},
};
use nadmit_whereabouts::ip_pool_name;

/// The prefix of the names of inline pools.
pub const INLINE_POOL_PREFIX: &str = "inline/";
/// The prefix of the names of pools of served networks.
pub const SERVED_POOL_PREFIX: &str = "whereabouts/";
/// The separator of several ranges in a name.
pub(super) const RANGE_SEPARATOR: char = '+';
/// The number of bytes of the hash of a definition that does not consist of ranges alone.
const HASH_BYTES: usize = 4;

/// The definition of a pool by a network.
#[derive(Debug, Clone, Copy)]
struct PoolDefinition<'n> {
    origin: PoolOrigin,
    ipam: &'n WhereaboutsIpam,
    /// The name of the NodeSlicePool that divides the range among nodes.
    slice_pool: Option<&'n str>,
}

impl<'n> PoolDefinition<'n> {
    /// Returns the definition in a network's configuration, if the settings and the network allow it.
    fn of(network: &'n Network, derivation: PoolDerivation, enabled: bool) -> Option<Self> {
        if network.address_pool.is_some() {
            return None;
        }
        match network.config.loaded()?.ipam()? {
            Ipam::Static(ipam) => {
                let ipam = ipam.inline_pool.as_deref()?;
                (derivation.inline == InlinePools::Enabled && enabled).then_some(Self {
                    origin: PoolOrigin::InlineRanges,
                    ipam,
                    slice_pool: None,
                })
            }
            Ipam::Whereabouts(ipam) => {
                let served = derivation.whereabouts == WhereaboutsMode::Serve
                    && network.serving == Serving::Default
                    && is_servable(ipam);
                served.then_some(Self {
                    origin: PoolOrigin::Whereabouts,
                    ipam,
                    slice_pool: network.slice_pool(),
                })
            }
            _ => None,
        }
    }

    /// Returns the name of the pool; `None` if its ranges cannot be read.
    fn name(self) -> Option<String> {
        let mut name = match self.origin {
            PoolOrigin::InlineRanges => INLINE_POOL_PREFIX.to_owned(),
            _ => SERVED_POOL_PREFIX.to_owned(),
        };
        name.push_str(&ranges_name(self.ipam)?);
        let ipam = self.ipam;
        let is_plain = |range: &WhereaboutsRange| {
            range.range_start.is_none()
                && range.range_end.is_none()
                && range.exclude.is_empty()
                && !range.range.contains('-')
        };
        if !ipam.ranges.iter().all(is_plain)
            || ipam.gateway.is_some()
            || ipam.node_slice_size.is_some()
            || !ipam.overlapping_ranges
        {
            let definition = format!(
                "{:?} {:?} {:?} {}",
                ipam.ranges, ipam.gateway, ipam.node_slice_size, ipam.overlapping_ranges
            );
            // Networks with one range and several NodeSlicePools give a node several slices.
            let definition = definition + self.slice_pool.unwrap_or_default();
            name.push('-');
            for byte in Sha256::digest(definition).iter().take(HASH_BYTES) {
                // Writing to a string cannot fail.
                let _ = write!(name, "{byte:02x}");
            }
        }
        Some(name)
    }

    /// Returns the pool. `others` are the subnets of AddressPools of the address space, of which an inline
    /// pool gives nothing; `slices` returns the slices of a NodeSlicePool.
    fn pool(
        self,
        name: &str,
        others: impl Fn(&Space) -> Vec<IpRange>,
        slices: impl Fn(&str) -> NodeSlices,
    ) -> Option<Pool> {
        let space = whereabouts_space(self.ipam)?;
        let others = match self.origin {
            PoolOrigin::InlineRanges => others(&space),
            _ => Vec::new(),
        };
        let gateway = self.ipam.gateway.as_deref();
        let gateway = gateway.and_then(|text| parse_address(text).ok());
        let ranges: Option<Vec<AddressRange>> = self
            .ipam
            .ranges
            .iter()
            .map(|range| {
                let read = RangeWindow::of(range)?;
                let excludes = range.exclude.iter();
                let excludes = excludes.filter_map(|text| IpRange::parse(text.trim()));
                Some(AddressRange {
                    subnet: read.subnet,
                    window: read.window?,
                    excludes: excludes.chain(others.iter().copied()).collect(),
                    gateway: gateway.filter(|gateway| in_subnet(*gateway, read)),
                })
            })
            .collect();
        let ranges = ranges?;
        let overlap = |(at, one): (usize, &AddressRange)| {
            let before = ranges.iter().take(at);
            let whole = one.subnet.range();
            before
                .into_iter()
                .any(|other| other.subnet.range().intersection(whole).is_some())
        };
        if ranges.iter().enumerate().any(overlap) {
            return None;
        }
        // A spec with the first range gives slices and defaults as those of an AddressPool.
        let spec = PoolSpec {
            ranges: vec![RangeSpec {
                range: ranges.first()?.subnet.to_string(),
                ..RangeSpec::default()
            }],
            node_slice_size: match self.origin {
                PoolOrigin::InlineRanges => self.ipam.node_slice_size.as_deref().map(str::to_owned),
                // Whereabouts has divided the range.
                _ => None,
            },
            namespace_selector: Some(SelectorSpec::default()),
            ..PoolSpec::default()
        };
        let defaults = Pool::new(name, &spec).ok()?;
        let node_slices = self.slice_pool.map(slices);
        // An address of a slice cannot follow its holder to another node.
        let retention = match node_slices.is_some() || defaults.slicing.is_some() {
            true => Retention::Pod,
            false => Retention::Workload,
        };
        Some(Pool {
            origin: self.origin,
            space,
            ranges: ranges.into(),
            node_slices,
            retention,
            vms_retain_ips: true,
            ..defaults
        })
    }
}

/// Returns true if nadmit can serve the network: its own configuration has the ranges. The file on the
/// node, which Whereabouts reads for every network, is not seen. With node slices there is one range, of
/// IPv4: Whereabouts divides no other, and gives the address of the first once more for each further one.
fn is_servable(ipam: &WhereaboutsIpam) -> bool {
    let is_ipv4 = |range: &WhereaboutsRange| {
        RangeWindow::of(range).is_some_and(|read| read.subnet.address.is_ipv4())
    };
    match (&ipam.node_slice_size, &*ipam.ranges) {
        (Some(_), [range]) => is_ipv4(range),
        (Some(_), _) => false,
        (None, ranges) => !ranges.is_empty(),
    }
}

/// Returns the address space and the subnets as Whereabouts's records are named.
fn ranges_name(ipam: &WhereaboutsIpam) -> Option<String> {
    let space = ipam.network_name.as_deref().unwrap_or_default();
    let mut name = String::new();
    for (index, range) in ipam.ranges.iter().enumerate() {
        let subnet = RangeWindow::of(range)?.subnet;
        match index {
            0 => name.push_str(&ip_pool_name(space, None, subnet)),
            _ => {
                name.push(RANGE_SEPARATOR);
                name.push_str(&ip_pool_name("", None, subnet));
            }
        }
    }
    (!name.is_empty()).then_some(name)
}

/// Returns the address space of the pool that a configuration defines.
pub fn whereabouts_space(ipam: &WhereaboutsIpam) -> Option<Space> {
    Some(match ipam.overlapping_ranges {
        true => Space::new(ipam.network_name.as_deref().unwrap_or_default()),
        // Each range is an address space of its own then.
        false => Space::new(&ranges_name(ipam)?),
    })
}

fn in_subnet(gateway: IpAddr, range: RangeWindow) -> bool {
    range.subnet.range().contains(gateway)
}

impl Catalog {
    /// Sets which networks define pools. Returns true if that changes a network.
    pub fn set_pool_derivation(&mut self, derivation: PoolDerivation) -> bool {
        if self.derivation == derivation {
            return false;
        }
        self.derivation = derivation;
        let all: Vec<Arc<Network>> = self.networks().cloned().collect();
        self.derive_again(all)
    }

    /// Returns true if networks can define pools.
    pub fn derives_pools(&self) -> bool {
        self.derivation != PoolDerivation::default()
    }

    /// Returns the catalog in which networks define pools by these settings, with the pools that it has.
    #[must_use]
    pub fn deriving_pools(mut self, derivation: PoolDerivation) -> Self {
        if self.set_pool_derivation(derivation) {
            self.set_pools_again();
        }
        self
    }

    /// Sets the derived pools of a namespace's networks again, after its labels changed. Returns true if
    /// that changes a network.
    pub(super) fn derive_namespace(&mut self, name: &str) -> bool {
        let found = self.namespaces.get(name);
        let networks = found
            .into_iter()
            .flat_map(|namespace| namespace.networks.values());
        let networks: Vec<Arc<Network>> = networks.cloned().collect();
        self.derive_again(networks)
    }

    fn derive_again(&mut self, networks: Vec<Arc<Network>>) -> bool {
        let changed = networks.into_iter().filter(|network| {
            let derived = self.derived_pool_name(network);
            derived.as_deref() != network.derived_pool.as_deref()
        });
        let changed: Vec<Arc<Network>> = changed.collect();
        let any = !changed.is_empty();
        for network in changed {
            self.put_network(network);
        }
        any
    }

    /// Returns the network with the name of the pool that it defines.
    pub(super) fn with_derived_pool(&self, network: Arc<Network>) -> Arc<Network> {
        let derived = self.derived_pool_name(&network);
        if network.derived_pool == derived {
            return network;
        }
        let mut network = Arc::unwrap_or_clone(network);
        network.derived_pool = derived;
        Arc::new(network)
    }

    fn derived_pool_name(&self, network: &Network) -> Option<Box<str>> {
        let pool = self.derived_pool_of(network)?;
        Some((*pool.name).into())
    }

    /// Returns the pool that a network defines by itself, whether the catalog has the network or not.
    /// Addresses of AddressPools are not excluded from it.
    pub fn derived_pool_of(&self, network: &Network) -> Option<Pool> {
        if !self.derives_pools() {
            return None;
        }
        let enabled = self.has_injection_label(&network.namespace);
        let definition = PoolDefinition::of(network, self.derivation, enabled)?;
        definition.pool(
            &definition.name()?,
            |_| Vec::new(),
            |name| self.node_slices(name),
        )
    }

    /// Returns by which settings networks define pools.
    pub fn pool_derivation(&self) -> PoolDerivation {
        self.derivation
    }

    /// Returns the pools that networks define, each once. `address_pools` are those of AddressPools;
    /// `settings` are those of the pools, by name.
    pub(super) fn derived_pools(
        &self,
        address_pools: &[Arc<Pool>],
        settings: &BTreeMap<&str, &Arc<Pool>>,
    ) -> Vec<Arc<Pool>> {
        let others = |space: &Space| {
            let same = address_pools.iter().filter(|pool| pool.space == *space);
            let ranges = same.flat_map(|pool| pool.ranges.iter());
            ranges.map(|range| range.subnet.range()).collect()
        };
        let mut definitions: BTreeMap<&str, PoolDefinition<'_>> = BTreeMap::new();
        for network in self.networks() {
            let name = network.derived_pool.as_deref();
            let definition = PoolDefinition::of(network, self.derivation, true);
            definitions.extend(name.zip(definition));
        }
        let pools = definitions.into_iter();
        let pools = pools.filter_map(|(name, definition)| {
            let pool = definition.pool(name, others, |name| self.node_slices(name))?;
            Some(match settings.get(name) {
                Some(settings) => pool.configured_by(settings),
                None => pool,
            })
        });
        pools.map(Arc::new).collect()
    }

    /// Returns the slices of the NodeSlicePool of this name.
    fn node_slices(&self, name: &str) -> NodeSlices {
        match self.whereabouts.slice_pool(name) {
            Some(found) => NodeSlices::new(name, found.subnets()),
            None => NodeSlices::missing(name),
        }
    }
}

#[cfg(test)]
mod tests;
