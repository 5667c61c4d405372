//! Records of pools that networks define by themselves, after the definition changed: the pool's name is
//! made of the definition. The network may also have got an AddressPool.

use std::sync::Arc;

use super::{Action, ActionReason, ClusterObserver, Reconciliation};
use crate::{Allocation, Pool, PoolOrigin, Write};

impl<O: ClusterObserver> Reconciliation<'_, O> {
    /// Returns the pool of a record: the one that it names, else the one that its network has now. An
    /// AddressPool takes over records of pools that networks defined, of namespaces that may use it.
    pub(super) fn pool_of(&self, record: &Allocation) -> Option<&Arc<Pool>> {
        let named = self.pool_config.pool(&record.pool);
        named.or_else(|| {
            let name = self.pool_config.pool_of(&record.network)?;
            let pool = self.pool_config.pool(name)?;
            let takes_over = match pool.origin {
                PoolOrigin::AddressPool => {
                    record.is_of_derived_pool()
                        && self.observer.may_use(pool, record.holder.namespace())
                }
                PoolOrigin::InlineRanges | PoolOrigin::Whereabouts => true,
            };
            (takes_over && pool.space == record.space).then_some(pool)
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
