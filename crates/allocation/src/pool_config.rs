//! The configured pools and reservations.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{NetworkRef, Pool, Reservation};

/// A snapshot of pools, reservations and the networks that each pool serves.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PoolConfig {
    /// The pools by name.
    pub pools: BTreeMap<Arc<str>, Arc<Pool>>,
    /// The reservations, each with the pool that serves its network and namespace. A reservation
    /// without a pool has no effect.
    pub reservations: Vec<(Arc<Reservation>, Option<Arc<str>>)>,
    /// The networks that each pool serves, as far as they are known.
    pub served: BTreeMap<Arc<str>, BTreeSet<NetworkRef>>,
}

impl PoolConfig {
    /// Creates a configuration. `pool_of` returns the pool that a reservation takes its addresses from.
    pub fn new(
        pools: impl IntoIterator<Item = Arc<Pool>>,
        reservations: impl IntoIterator<Item = Arc<Reservation>>,
        pool_of: impl Fn(&Reservation) -> Option<Arc<str>>,
    ) -> Self {
        let pools = pools.into_iter().map(|pool| (Arc::clone(&pool.name), pool));
        let reservations = reservations.into_iter().map(|reservation| {
            let pool = pool_of(&reservation);
            (reservation, pool)
        });
        Self {
            pools: pools.collect(),
            reservations: reservations.collect(),
            served: BTreeMap::new(),
        }
    }

    /// Adds the networks that pools serve.
    #[must_use]
    pub fn with_networks(
        mut self,
        served: impl IntoIterator<Item = (Arc<str>, NetworkRef)>,
    ) -> Self {
        for (pool, network) in served {
            self.served.entry(pool).or_default().insert(network);
        }
        self
    }

    /// Returns true if a pool covers nothing new compared with `before`: its ranges, MACs and address
    /// space are unchanged, and it serves no additional network. Then no unrecorded address can be in
    /// use.
    pub(super) fn is_covered_by(&self, before: &Self, pool: &str) -> bool {
        let (Some(now), Some(then)) = (self.pool(pool), before.pool(pool)) else {
            // A pool that was not known before may have been marked ready in advance; a removed pool is
            // not ready.
            return before.pool(pool).is_none();
        };
        let same = now.space == then.space && now.ranges == then.ranges && now.macs == then.macs;
        let mut served = self.served.get(pool).into_iter().flatten();
        let served_then = before.served.get(pool);
        same && served.all(|network| served_then.is_some_and(|then| then.contains(network)))
    }

    /// Returns the name of the pool that serves a network, if it is known.
    pub fn pool_of(&self, network: &NetworkRef) -> Option<&str> {
        let mut served = self.served.iter();
        let found = served.find(|(_, networks)| networks.contains(network));
        found.map(|(pool, _)| &**pool)
    }

    /// Returns the pool with this name.
    pub fn pool(&self, name: &str) -> Option<&Arc<Pool>> {
        self.pools.get(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NodeSlices;

    fn pool_config(range: &str, more: &str, networks: &[&str]) -> PoolConfig {
        let spec = format!(r#"{{"ranges":[{{"range":"{range}"}}]{more}}}"#);
        let spec = serde_json::from_str(&spec).unwrap_or_else(|e| panic!("{e}"));
        let pool = Pool::new("storage", &spec).unwrap_or_else(|e| panic!("{e:?}"));
        let network = |name: &&str| NetworkRef {
            namespace: "db".into(),
            name: (**name).into(),
        };
        let served = networks.iter().map(network);
        PoolConfig::new([Arc::new(pool)], [], |_| None)
            .with_networks(served.map(|network| ("storage".into(), network)))
    }

    #[test]
    fn a_pool_with_the_same_ranges_and_networks_covers_nothing_new() {
        let before = pool_config("192.0.2.0/24", "", &["a", "b"]);
        let same = pool_config("192.0.2.0/24", r#","quarantine":"1m""#, &["a"]);
        assert!(same.is_covered_by(&before, "storage"));
        let wider = pool_config("192.0.0.0/16", "", &["a"]);
        assert!(!wider.is_covered_by(&before, "storage"));
        let space = pool_config("192.0.2.0/24", r#","networkName":"other""#, &["a"]);
        assert!(!space.is_covered_by(&before, "storage"));
        let served = pool_config("192.0.2.0/24", "", &["c"]);
        assert!(!served.is_covered_by(&before, "storage"));
        // Another controller gives a node a slice of the same range.
        let sliced = before.pools.values().map(|pool| {
            let mut pool = Pool::clone(pool);
            pool.node_slices = Some(NodeSlices::missing("storage"));
            Arc::new(pool)
        });
        let sliced = PoolConfig::new(sliced, [], |_| None);
        assert!(sliced != before && sliced.is_covered_by(&before, "storage"));
        assert!(!PoolConfig::default().is_covered_by(&before, "storage"));
        assert!(before.is_covered_by(&PoolConfig::default(), "storage"));
    }
}
