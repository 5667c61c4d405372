//! Indexes of pools and reservations by their addresses, for rules that compare them.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    net::IpAddr,
    sync::Arc,
};

use nadmit_allocation::{Address, NetworkRef, Pool, PoolConfig, Reservation, Space};
use nadmit_cni::{IpRange, Network, mac::Mac};

use super::{
    Catalog,
    ranked_ranges::{Interval, RankedRanges, merged},
};

/// The pools by their ranges, and the reservations by their addresses.
#[derive(Debug, Default)]
pub(super) struct PoolIndex {
    /// The pools by name.
    pools: Vec<Arc<Pool>>,
    /// The addresses between the bounds of each range, by address space.
    windows: HashMap<Space, RankedRanges<IpAddr>>,
    subnets: RankedRanges<IpAddr>,
    macs: RankedRanges<Mac>,
    /// The indexes of reservations, by what they reserve.
    reservations: HashMap<ReservedKey, Vec<usize>>,
}

/// An address within its scope.
type ReservedKey = (ReservationScope, Address);

/// The scope in which a reserved address is unique.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ReservationScope {
    Space(Space),
    /// The network, if no pool serves it.
    Network(NetworkRef),
}

impl PoolIndex {
    pub(super) fn of(config: &PoolConfig) -> Self {
        let mut windows: HashMap<Space, Vec<(usize, IpRange)>> = HashMap::new();
        let (mut subnets, mut macs) = (Vec::new(), Vec::new());
        for (rank, pool) in config.pools.values().enumerate() {
            let of_space = windows.entry(pool.space.clone()).or_default();
            of_space.extend(pool.ranges.iter().map(|range| (rank, range.window)));
            subnets.extend(pool.ranges.iter().map(|one| (rank, one.subnet.range())));
            let bounds = pool.macs.as_ref().and_then(|macs| macs.bounds());
            macs.extend(bounds.map(|(first, last)| (rank, Interval { first, last })));
        }
        let windows = windows.into_iter();
        Self {
            pools: config.pools.values().cloned().collect(),
            windows: windows
                .map(|(space, ranges)| (space, RankedRanges::new(ranges)))
                .collect(),
            subnets: RankedRanges::new(subnets),
            macs: RankedRanges::new(macs),
            reservations: reservations(config),
        }
    }
}

fn reservations(config: &PoolConfig) -> HashMap<ReservedKey, Vec<usize>> {
    let mut found: HashMap<ReservedKey, Vec<usize>> = HashMap::new();
    for (index, (reservation, pool)) in config.reservations.iter().enumerate() {
        let pool = pool.as_deref().and_then(|name| config.pool(name));
        let scope = match pool {
            Some(pool) => ReservationScope::Space(pool.space.clone()),
            None => ReservationScope::Network(reservation.network.clone()),
        };
        for address in addresses(reservation) {
            let indexes = found.entry((scope.clone(), address)).or_default();
            indexes.push(index);
        }
    }
    found
}

/// Returns what a reservation reserves, each address once.
fn addresses(reservation: &Reservation) -> BTreeSet<Address> {
    let ips = reservation.ips.iter().copied().map(Address::Ip);
    ips.chain(reservation.mac.map(Address::Mac)).collect()
}

impl Catalog {
    /// Returns the pools of an address space whose ranges overlap one of these, by name.
    pub fn pools_overlapping<'c>(
        &'c self,
        space: &Space,
        ranges: impl Iterator<Item = IpRange>,
    ) -> impl Iterator<Item = &'c Arc<Pool>> {
        let index = self.address_pools.index();
        let windows = index.windows.get(space);
        let found = ranges.filter_map(move |range| Some(windows?.from(0, range)));
        merged(found).filter_map(|rank| index.pools.get(rank))
    }

    /// Returns the pools with a range whose subnet contains one of these addresses, or with one of
    /// these MACs, by name.
    pub fn pools_around(
        &self,
        addresses: impl Iterator<Item = Address>,
    ) -> impl Iterator<Item = &Arc<Pool>> {
        let index = self.address_pools.index();
        let around = |address| -> Box<dyn Iterator<Item = usize> + '_> {
            match address {
                Address::Ip(ip) => Box::new(index.subnets.from(0, single(ip))),
                Address::Mac(mac) => Box::new(index.macs.from(0, single(mac))),
            }
        };
        merged(addresses.map(around)).filter_map(|rank| index.pools.get(rank))
    }

    /// Returns the pools whose MACs overlap these, by name.
    pub fn pools_with_macs(&self, (first, last): (Mac, Mac)) -> impl Iterator<Item = &Arc<Pool>> {
        let index = self.address_pools.index();
        let ranks = index.macs.from(0, Interval { first, last });
        ranks.filter_map(|rank| index.pools.get(rank))
    }

    /// Returns the reservations that reserve one of these addresses in a scope, in order.
    pub fn reservations_of(
        &self,
        scope: &ReservationScope,
        addresses: impl Iterator<Item = Address>,
    ) -> impl Iterator<Item = &Arc<Reservation>> {
        let index = self.address_pools.index();
        let of_address = |address| index.reservations.get(&(scope.clone(), address));
        let lists = addresses.filter_map(of_address);
        let indexes = merged(lists.map(|indexes| indexes.iter().copied()));
        let reservations = &self.pool_config().reservations;
        indexes.filter_map(|index| Some(&reservations.get(index)?.0))
    }
}

fn single<T: Copy>(value: T) -> Interval<T> {
    Interval {
        first: value,
        last: value,
    }
}

/// The networks that each pool serves, and their L2 segments.
#[derive(Debug, Default)]
pub(super) struct ServedNetworks(HashMap<Box<str>, ServedByPool>);

/// The networks that one pool serves.
#[derive(Debug, Default)]
struct ServedByPool {
    networks: Vec<Arc<Network>>,
    /// The links of their main plugins.
    links: HashSet<Box<str>>,
    /// The links and device plugin resources by which networks share a link.
    segments: HashSet<(Box<str>, Option<Box<str>>)>,
}

impl ServedNetworks {
    /// Collects the networks by pool, in their order.
    pub(super) fn of<'n>(networks: impl Iterator<Item = &'n Arc<Network>>) -> Self {
        let mut found = Self::default();
        for network in networks {
            let Some(pool) = network.pool() else { continue };
            if !found.0.contains_key(pool) {
                found.0.insert(pool.into(), ServedByPool::default());
            }
            let Some(of_pool) = found.0.get_mut(pool) else {
                continue;
            };
            of_pool.networks.push(Arc::clone(network));
            of_pool.links.extend(network.main_link().map(Into::into));
            of_pool.segments.extend(network.shareable_segment());
        }
        found
    }
}

impl Catalog {
    /// Returns the networks that this pool serves, in an order that depends only on names.
    pub fn served_by(&self, pool: &str) -> impl Iterator<Item = &Arc<Network>> {
        let served = self.served_networks().0.get(pool);
        served.into_iter().flat_map(|served| &served.networks)
    }

    /// Returns true unless the networks that a pool serves have known links and none of them is
    /// `link`.
    pub fn may_serve_link(&self, pool: &str, link: &str) -> bool {
        let served = self.served_networks().0.get(pool);
        served.is_none_or(|served| served.links.is_empty() || served.links.contains(link))
    }

    /// Returns true if a network is on the same link as one that the pool serves.
    pub(super) fn is_on_link_of(&self, network: &Network, pool: &Pool) -> bool {
        let served = self.served_networks().0.get(&*pool.name);
        let segment = network.shareable_segment();
        served
            .zip(segment)
            .is_some_and(|(served, segment)| served.segments.contains(&segment))
    }
}
