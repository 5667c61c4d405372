//! Pools and reservations as they are configured.

use std::{collections::BTreeMap, sync::Arc};

use super::{NetworkRef, Pool, Reservation};

/// The pools and reservations at one moment, and which networks the pools serve.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Layout {
    /// The pools by name.
    pub pools: BTreeMap<Arc<str>, Arc<Pool>>,
    /// The reservations, each with the pool that serves its network; without one it reserves
    /// nothing.
    pub reservations: Vec<(Arc<Reservation>, Option<Arc<str>>)>,
}

impl Layout {
    /// A layout; `pool_of` says which pool serves a network.
    pub fn new(
        pools: impl IntoIterator<Item = Arc<Pool>>,
        reservations: impl IntoIterator<Item = Arc<Reservation>>,
        pool_of: impl Fn(&NetworkRef) -> Option<Arc<str>>,
    ) -> Self {
        let pools = pools.into_iter().map(|pool| (Arc::clone(&pool.name), pool));
        let reservations = reservations.into_iter().map(|reservation| {
            let pool = pool_of(&reservation.network);
            (reservation, pool)
        });
        Self {
            pools: pools.collect(),
            reservations: reservations.collect(),
        }
    }

    /// The pool of this name.
    pub fn pool(&self, name: &str) -> Option<&Arc<Pool>> {
        self.pools.get(name)
    }
}
