//! The address pools and reservations, as they are configured.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use super::{Catalog, pool_index::PoolIndex, sorted_names::SortedNames};
use nadmit_allocation::{NetworkRef, Pool, PoolConfig, PoolOrigin, Reservation, SpecError};

/// The pools of a catalog.
#[derive(Debug, Clone, Default)]
pub(super) struct ConfiguredPools {
    pool_config: Arc<PoolConfig>,
    /// The pools with an invalid spec.
    invalid: Arc<BTreeMap<Box<str>, Arc<[SpecError]>>>,
    /// The pools that assign nothing: they have the settings of networks' own pools.
    settings: Arc<BTreeMap<Arc<str>, Arc<Pool>>>,
    /// Built on first use and dropped when a pool or a reservation changes.
    index: Arc<OnceLock<PoolIndex>>,
    /// The names of valid and invalid pools; dropped when one changes.
    names: Arc<OnceLock<SortedNames>>,
}

impl ConfiguredPools {
    /// Returns the pools and reservations by their addresses.
    pub(super) fn index(&self) -> &PoolIndex {
        self.index.get_or_init(|| PoolIndex::of(&self.pool_config))
    }

    fn names(&self) -> &SortedNames {
        self.names.get_or_init(|| {
            let valid = self.pool_config.pools.keys().map(|name| &**name);
            let invalid = self.invalid.keys().map(|name| &**name);
            SortedNames::of(valid.chain(invalid))
        })
    }
}

/// A pool's name, and the pool or the errors in its spec.
pub type NamedPool = (Box<str>, Result<Arc<Pool>, Arc<[SpecError]>>);

/// The state of a pool in the catalog.
#[derive(Debug, Clone, Copy)]
pub enum PoolValidity<'c> {
    Valid(&'c Arc<Pool>),
    /// The pool exists, but its spec is invalid and it allocates nothing. At least one error.
    Invalid(&'c [SpecError]),
    /// The pool has the settings of networks' own pools, and assigns nothing by itself.
    Settings(&'c Arc<Pool>),
    /// No pool has this name.
    Unknown,
}

impl<'c> PoolValidity<'c> {
    /// Returns the pool, if it is valid.
    pub fn valid(self) -> Option<&'c Arc<Pool>> {
        match self {
            Self::Valid(pool) => Some(pool),
            Self::Invalid(_) | Self::Settings(_) | Self::Unknown => None,
        }
    }
}

impl Catalog {
    /// Returns the catalog with the pools of another one.
    #[must_use]
    pub fn with_pools_of(mut self, other: &Self) -> Self {
        self.address_pools = other.address_pools.clone();
        self.named_settings = Arc::default();
        self
    }

    /// Returns the catalog with these pools, valid or not, and these reservations. Of two of one
    /// name, the later one is used. Networks and namespace labels have to be set before: they
    /// decide which pool serves a network, and which namespaces a pool serves.
    ///
    /// If the configuration is equal to `before`, that very `Arc` is kept, so that callers can
    /// detect changes by pointer.
    #[must_use]
    pub fn with_pools(
        mut self,
        pools: impl IntoIterator<Item = NamedPool>,
        reservations: impl IntoIterator<Item = Arc<Reservation>>,
        before: &Arc<PoolConfig>,
    ) -> Self {
        self.address_pools.pool_config = Arc::clone(before);
        self.address_pools.index = Arc::default();
        self.address_pools.names = Arc::default();
        self.set_pools(pools, reservations);
        self
    }

    /// Replaces all pools and reservations, as [`Self::with_pools`] does. Returns true if that
    /// changes anything.
    pub fn set_pools(
        &mut self,
        pools: impl IntoIterator<Item = NamedPool>,
        reservations: impl IntoIterator<Item = Arc<Reservation>>,
    ) -> bool {
        let all: BTreeMap<_, _> = pools.into_iter().collect();
        let (mut valid, mut invalid) = (BTreeMap::new(), BTreeMap::new());
        let mut settings = BTreeMap::new();
        for (name, state) in all {
            match state {
                Ok(pool) if !pool.configures.is_empty() => {
                    drop(settings.insert(Arc::clone(&pool.name), pool));
                }
                Ok(pool) => drop(valid.insert(Arc::clone(&pool.name), pool)),
                Err(faults) => drop(invalid.insert(name, faults)),
            }
        }
        let address_pools: Vec<Arc<Pool>> = valid.values().cloned().collect();
        let configured = self.settings_by_pool(settings.values());
        let derived = self.derived_pools(&address_pools, &configured).into_iter();
        valid.extend(derived.map(|pool| (Arc::clone(&pool.name), pool)));
        // Sorted by name, so that equal objects make an equal layout in any order.
        let reservations = reservations.into_iter().map(|found| (found.key(), found));
        let reservations: BTreeMap<_, _> = reservations.collect();
        let pool_of = |network: &NetworkRef| {
            let network = self.network(&network.namespace, &network.name)?;
            let name = network.pool()?;
            valid.get_key_value(name).map(|(name, _)| Arc::clone(name))
        };
        let served = self.networks().filter_map(|network| {
            let network = NetworkRef::from(&**network);
            Some((pool_of(&network)?, network))
        });
        // A reserved address is withheld from all others, so its holder must be allowed to use the
        // pool.
        let reserved_in = |reservation: &Reservation| {
            let name = pool_of(&reservation.network)?;
            let labels = self.namespace_labels(&reservation.namespace);
            let serves = valid.get(&name).is_some_and(|pool| pool.serves(&labels));
            serves.then_some(name)
        };
        let pool_config = PoolConfig::new(
            valid.values().cloned(),
            reservations.into_values(),
            reserved_in,
        );
        let pool_config = pool_config.with_networks(served);
        let before = &mut self.address_pools;
        let news = (
            pool_config != *before.pool_config,
            invalid != *before.invalid,
            settings != *before.settings,
        );
        if news.0 {
            before.pool_config = Arc::new(pool_config);
            before.index = Arc::default();
        }
        if news.1 {
            before.invalid = Arc::new(invalid);
        }
        if news.2 {
            before.settings = Arc::new(settings);
            self.named_settings = Arc::default();
        }
        if news.0 || news.1 {
            before.names = Arc::default();
        }
        news.0 || news.1 || news.2
    }

    /// Sets the same AddressPools and reservations again, after the networks changed.
    pub(super) fn set_pools_again(&mut self) -> bool {
        let config = Arc::clone(self.pool_config());
        let valid = config.pools.values();
        let valid = valid.filter(|pool| pool.origin == PoolOrigin::AddressPool);
        let settings = Arc::clone(&self.address_pools.settings);
        let valid = valid.chain(settings.values());
        let valid = valid.map(|pool| (pool.name.as_ref().into(), Ok(Arc::clone(pool))));
        let invalid = Arc::clone(&self.address_pools.invalid);
        let invalid = invalid.iter();
        let invalid = invalid.map(|(name, errors)| (name.clone(), Err(Arc::clone(errors))));
        let reservations = config.reservations.iter();
        let reservations = reservations.map(|(reservation, _)| Arc::clone(reservation));
        self.set_pools(valid.chain(invalid), reservations)
    }

    /// Returns the valid pools and reservations.
    pub fn pool_config(&self) -> &Arc<PoolConfig> {
        &self.address_pools.pool_config
    }

    /// Returns the state of the pool of this name.
    pub fn pool(&self, name: &str) -> PoolValidity<'_> {
        match (
            self.pool_config().pool(name),
            self.address_pools.invalid.get(name),
        ) {
            (Some(pool), _) => PoolValidity::Valid(pool),
            (None, Some(faults)) => PoolValidity::Invalid(faults),
            (None, None) => match self.address_pools.settings.get(name) {
                Some(settings) => PoolValidity::Settings(settings),
                None => PoolValidity::Unknown,
            },
        }
    }

    /// Returns the pools with the settings of networks' own pools, ordered by name.
    pub fn settings(&self) -> impl Iterator<Item = &Arc<Pool>> {
        self.address_pools.settings.values()
    }

    /// Returns the names of all pools that assign addresses or would if they were valid, in alphabetical
    /// order.
    pub fn pool_names(&self) -> Vec<&str> {
        self.address_pools.names().iter().collect()
    }

    /// Returns the most similar name of a pool, if one is similar enough.
    pub fn similar_pool(&self, name: &str) -> Option<&str> {
        self.address_pools.names().similar_to(name)
    }

    /// Returns true if there is a pool, valid or not, that assigns addresses.
    pub fn has_pools(&self) -> bool {
        let pools = &self.address_pools;
        !pools.pool_config.pools.is_empty() || !pools.invalid.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AllLabels, all_labels};
    use nadmit_allocation::ParsedSpec;
    use nadmit_cni::Network;

    fn pool(name: &str, range: &str) -> NamedPool {
        let spec = serde_json::json!({"ranges": [{"range": range}], "namespaceSelector": {
            "matchLabels": {"kubernetes.io/metadata.name": "db"}}});
        let pool = ParsedSpec::of_pool(&spec).pool(name);
        (name.into(), pool.map(Arc::new).map_err(Arc::from))
    }

    fn reservation(namespace: &str, name: &str, network: &str) -> Arc<Reservation> {
        let spec =
            serde_json::json!({"network": network, "holder": {"pod": "a"}, "ips": ["192.0.2.9"]});
        let made = ParsedSpec::of_reservation(&spec).reservation(namespace, name);
        Arc::new(made.unwrap_or_else(|e| panic!("{e:?}")))
    }

    fn catalog(range: &str, before: &Arc<PoolConfig>) -> Catalog {
        let mut network = Network::new("db", "storage-net", None);
        network.address_pool = Some("storage".into());
        let pools = [pool("storage", range), pool("broken", "192.0.2.0")];
        let reservations = [
            reservation("db", "a", "storage-net"),
            reservation("db", "b", "other-net"),
            reservation("web", "c", "db/storage-net"),
        ];
        Catalog::new([], [Arc::new(network)], []).with_pools(pools, reservations, before)
    }

    #[test]
    fn an_invalid_pool_is_known_but_not_configured() {
        let catalog = catalog("192.0.2.0/24", &Arc::default());
        assert!(catalog.pool("storage").valid().is_some());
        assert!(matches!(catalog.pool("broken"), PoolValidity::Invalid([_])));
        assert!(matches!(catalog.pool("nowhere"), PoolValidity::Unknown));
        assert_eq!(catalog.pool_names(), ["broken", "storage"]);
        assert_eq!(catalog.pool_config().pools.len(), 1);
    }

    #[test]
    fn a_reservation_is_served_by_its_networks_pool() {
        let catalog = catalog("192.0.2.0/24", &Arc::default());
        let served = catalog.pool_config().reservations.iter();
        let served: Vec<_> = served
            .map(|(r, pool)| (&*r.name, pool.as_deref()))
            .collect();
        // The pool does not serve the namespace of the third.
        assert_eq!(served, [("a", Some("storage")), ("b", None), ("c", None)]);
    }

    #[test]
    fn equal_content_keeps_the_same_layout() {
        let first = catalog("192.0.2.0/24", &Arc::default());
        let again = catalog("192.0.2.0/24", first.pool_config());
        assert!(Arc::ptr_eq(first.pool_config(), again.pool_config()));
        let other = catalog("192.0.2.0/25", first.pool_config());
        assert!(!Arc::ptr_eq(first.pool_config(), other.pool_config()));
    }

    #[test]
    fn every_namespace_has_its_name_as_a_label() {
        let labels = all_labels("web", [("team".into(), "db".into())]);
        let catalog = catalog("192.0.2.0/24", &Arc::default())
            .with_namespace_labels([("web".into(), labels)]);
        let Some(pool) = catalog.pool("storage").valid() else {
            panic!("no pool")
        };
        let serves = |labels: &AllLabels| pool.serves(labels);
        assert!(serves(&catalog.namespace_labels("db")));
        assert!(!serves(&catalog.namespace_labels("web")));
        assert_eq!(catalog.namespace_labels("web").len(), 2);
    }
}
