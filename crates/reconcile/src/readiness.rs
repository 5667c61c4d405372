//! The readiness of pools: a pool allocates only after everything in use in its ranges is recorded.

use std::collections::BTreeSet;

use nadmit_allocation::{Address, Pool};
use nadmit_catalog::{Catalog, LiveRead};

use crate::{Plan, Planner};

/// The conditions for the readiness of pools, as of a plan.
#[derive(Debug)]
pub struct ReadinessCheck<'a> {
    /// The catalog of the plan.
    pub catalog: &'a Catalog,
    pub plan: &'a Plan,
    /// The planner of the plan.
    pub planner: &'a Planner,
}

/// The reason why a pool must not allocate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotReady {
    /// An address in its ranges is in use but not recorded, or recorded for another holder.
    Unrecorded(Address),
    /// Another allocator assigns its addresses: two pods could get the same one.
    Contested,
    /// The pool was changed or removed since the reads.
    Changed,
    /// Pods that may use its addresses were not read live.
    Unread(BTreeSet<LiveRead>),
}

impl ReadinessCheck<'_> {
    /// Checks a pool, given whether another allocator assigns its addresses and the live reads that
    /// succeeded.
    ///
    /// # Errors
    /// The first condition that is not met.
    pub fn check(
        &self,
        pool: &Pool,
        is_contested: impl FnOnce(&Pool) -> bool,
        is_read: impl Fn(&LiveRead) -> bool,
    ) -> Result<(), NotReady> {
        if let Some(address) = self.plan.unrecorded(pool) {
            return Err(NotReady::Unrecorded(address));
        }
        if is_contested(pool) {
            return Err(NotReady::Contested);
        }
        let now = self.catalog.pool_config().pool(&pool.name);
        if now.is_none_or(|now| **now != *pool) {
            return Err(NotReady::Changed);
        }
        let mut unread = self.dependencies(pool);
        unread.retain(|dependency| !is_read(dependency));
        match unread.is_empty() {
            true => Ok(()),
            false => Err(NotReady::Unread(unread)),
        }
    }

    /// Returns the live reads that a pool's readiness depends on: the pods of all namespaces whose pods
    /// may use its addresses. These are the namespaces of its networks, and of the pods known to use
    /// some.
    pub fn dependencies(&self, pool: &Pool) -> BTreeSet<LiveRead> {
        let served = self.catalog.pool_config().served.get(&pool.name);
        let served = served
            .into_iter()
            .flatten()
            .map(|network| &network.namespace);
        let in_use = self.planner.addresses.in_use();
        let users = in_use.filter(|one| one.pool == pool.name);
        let users = users.map(|one| one.holder.namespace());
        served
            .chain(users)
            .map(|namespace| LiveRead::pods_of(&**namespace))
            .collect()
    }
}
