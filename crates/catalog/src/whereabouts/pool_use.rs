//! The use of `IPPool`s: which networks lead to each, and what Whereabouts assigns of it.

use std::{collections::HashMap, sync::Arc};

use nadmit_allocation::Space;
use nadmit_cni::{IpRange, Network};
use nadmit_whereabouts::{IpPool, WhereaboutsNetwork, assigned_ranges, pool_space_among};

/// The use of an `IPPool`.
#[derive(Debug, Clone, PartialEq)]
pub struct PoolUse {
    /// The address space: the `network_name` of its networks, or what its name says without one.
    pub space: Space,
    /// The networks whose configurations lead to the pool.
    pub networks: Box<[Arc<Network>]>,
    /// The addresses that Whereabouts assigns for them, in ascending order and without overlaps.
    pub assigned: Box<[IpRange]>,
}

/// The use of all `IPPool`s. It follows from the networks, and from names and ranges of the pools.
#[derive(Debug, Clone, Default)]
pub(crate) struct PoolUses {
    /// The uses, by `namespace/name`.
    by_pool: HashMap<Box<str>, PoolUse>,
    /// The known address spaces, with the ranges of their networks and pools.
    spaces: HashMap<Box<str>, Vec<IpRange>>,
}

impl PoolUses {
    /// Determines the use of these pools, each with its `namespace/name`.
    pub(super) fn of<'c>(
        networks: impl Iterator<Item = &'c Arc<Network>>,
        pools: impl Iterator<Item = (&'c str, &'c Arc<IpPool>)>,
    ) -> Self {
        let (mut arcs, mut served) = (Vec::new(), Vec::new());
        for network in networks {
            if let Some(one) = WhereaboutsNetwork::of(network) {
                arcs.push(network);
                served.push(one);
            }
        }
        // A pool has the range of its network, or a slice of it: few of many networks are compared.
        let mut by_range: HashMap<IpRange, Vec<usize>> = HashMap::new();
        let mut sliced = Vec::new();
        let mut uses = Self::default();
        for (at, network) in served.iter().enumerate() {
            let ranges = network.subnets.iter().map(|subnet| subnet.range());
            let known = uses.spaces.entry(network.space.into()).or_default();
            known.extend(ranges.clone());
            match network.is_sliced() {
                true => sliced.push(at),
                false => ranges.for_each(|range| by_range.entry(range).or_default().push(at)),
            }
        }
        for (key, pool) in pools {
            let range = pool.range.range();
            let of_range = by_range.get(&range).map_or(&[][..], Vec::as_slice);
            let candidates = of_range.iter().chain(&sliced);
            let candidates = candidates.filter_map(|at| Some((*at, served.get(*at)?)));
            let found = pool_space_among(pool, candidates);
            let networks = found.networks.iter();
            let configured = networks.clone().filter_map(|at| served.get(*at));
            let used = PoolUse {
                space: Space::new(found.space),
                assigned: assigned_ranges(pool, configured).into(),
                networks: networks
                    .filter_map(|at| arcs.get(*at).copied().cloned())
                    .collect(),
            };
            let known = uses.spaces.entry(found.space.into()).or_default();
            known.push(range);
            uses.by_pool.insert(key.into(), used);
        }
        uses
    }

    /// Returns the use of the pool with this `namespace/name`.
    pub(super) fn get(&self, key: &str) -> Option<&PoolUse> {
        self.by_pool.get(key)
    }

    /// Returns the ranges of the networks and pools of an address space; `None` if it has neither.
    pub(super) fn ranges(&self, space: &str) -> Option<&[IpRange]> {
        self.spaces.get(space).map(Vec::as_slice)
    }
}
