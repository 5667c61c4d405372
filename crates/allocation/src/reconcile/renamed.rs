//! Records of pools that networks define by themselves, after the definition changed: its name is made
//! of the definition.

use std::sync::Arc;

use super::{Action, ActionReason, ClusterObserver, Reconciliation};
use crate::{Allocation, Pool, PoolOrigin, Write};

impl<O: ClusterObserver> Reconciliation<'_, O> {
    /// Returns the pool of a record: the one that it names, else the one that its network defines now.
    pub(super) fn pool_of(&self, record: &Allocation) -> Option<&Arc<Pool>> {
        let named = self.pool_config.pool(&record.pool);
        named.or_else(|| {
            let name = self.pool_config.pool_of(&record.network)?;
            let pool = self.pool_config.pool(name)?;
            let is_derived = pool.origin != PoolOrigin::AddressPool;
            (is_derived && pool.space == record.space).then_some(pool)
        })
    }

    /// Returns the actions that record the new names of pools.
    pub(super) fn renamed(&self) -> Vec<Action> {
        let records = self.addresses.iter().filter_map(|entry| {
            let (record, version) = entry.recorded?;
            if self.pool_config.pool(&record.pool).is_some() || self.evaluate(entry).is_some() {
                return None;
            }
            let pool = self.pool_of(record)?;
            let inside = record
                .address
                .ip()
                .is_some_and(|ip| pool.range_of(ip).is_some());
            inside.then(|| Action {
                write: Some(Write::Update(
                    Allocation {
                        pool: Arc::clone(&pool.name),
                        ..record.clone()
                    },
                    version,
                )),
                reason: ActionReason::PoolRenamed,
            })
        });
        records.collect()
    }
}
