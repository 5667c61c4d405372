//! Readiness of pools: a pool allocates only after everything in use in its ranges is recorded.
//!
//! Every replica decides that for itself: after it first sees a pool, it lists the pods of all relevant
//! namespaces live, and compares. Only the leader records what is missing; the other replicas wait for
//! the records to arrive.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    Inner, ReconcilerState, compare::Comparison, live_reads::refresh_all,
    observed_addresses::ObservedAddresses, report::ReconcileReport,
};
use crate::ReadTarget;
use nadmit_allocation::Pool;
use nadmit_catalog::Catalog;
use nadmit_rules::pool::whereabouts_overlaps;

impl Inner {
    /// Returns the pools that allocate nothing, and marks those as not ready whose addresses
    /// Whereabouts allocates.
    pub(super) fn unready(&self, catalog: &Catalog) -> Vec<Arc<Pool>> {
        let pools = catalog.pool_config().pools.values();
        let contested: Vec<_> = pools.filter(|pool| !is_exclusive(pool, catalog)).collect();
        let mut index = self.index.lock();
        index.sync(catalog.pool_config());
        for pool in contested {
            if index.is_ready(&pool.name) {
                tracing::warn!(
                    pool = &*pool.name,
                    "pool no longer ready: Whereabouts allocates its addresses"
                );
                index.set_unready(&pool.name);
            }
        }
        let pools = catalog.pool_config().pools.values();
        pools
            .filter(|pool| !index.is_ready(&pool.name))
            .cloned()
            .collect()
    }

    /// Marks the pools as ready that have no unrecorded usage. Returns the comparison on the current
    /// catalog.
    pub(super) async fn make_ready(
        &self,
        state: &mut ReconcilerState,
        catalog: &mut Arc<Catalog>,
        comparison: Comparison,
        report: &mut ReconcileReport,
    ) -> Comparison {
        let waiting = self.unready(catalog);
        let candidates: Vec<&Arc<Pool>> = waiting
            .iter()
            .filter(|pool| !comparison.lacks(pool) && is_exclusive(pool, catalog))
            .collect();
        if candidates.is_empty() {
            return comparison;
        }
        let dependencies: BTreeSet<ReadTarget> = candidates
            .iter()
            .flat_map(|pool| namespaces_of(pool, catalog, &state.addresses))
            .map(ReadTarget::PodsOf)
            .collect();
        let failed = refresh_all(&*self.live, &dependencies).await;
        let fresh = self
            .catalog
            .load_full()
            .unwrap_or_else(|| Arc::clone(catalog));
        let same = Arc::ptr_eq(&fresh, catalog);
        let comparison = match same {
            true => comparison,
            false => self.compare(state, &fresh),
        };
        *catalog = fresh;
        for (target, error) in &failed {
            report.error(format!("{target:?}: {error}"));
        }
        let candidates = candidates
            .into_iter()
            .filter(|pool| is_exclusive(pool, catalog));
        let candidates: Vec<&Arc<Pool>> = candidates.collect();
        let mut index = self.index.lock();
        index.sync(catalog.pool_config());
        for pool in candidates {
            let verified = namespaces_of(pool, catalog, &state.addresses)
                .into_iter()
                .map(ReadTarget::PodsOf)
                .all(|target| dependencies.contains(&target) && !failed.contains_key(&target));
            let now = catalog.pool_config().pool(&pool.name);
            if verified && now.is_some_and(|now| now == pool && !comparison.lacks(now)) {
                index.set_ready(&pool.name);
                tracing::info!(pool = &*pool.name, "pool ready");
            }
        }
        comparison
    }
}

/// Returns true if Whereabouts allocates no addresses of the pool; otherwise two pods could get the
/// same address.
fn is_exclusive(pool: &Pool, catalog: &Catalog) -> bool {
    whereabouts_overlaps(catalog, pool).is_empty()
}

/// Returns the namespaces whose pods may use a pool's addresses: those of its networks, and those of
/// the pods known to use some.
fn namespaces_of(
    pool: &Pool,
    catalog: &Catalog,
    addresses: &ObservedAddresses,
) -> BTreeSet<Box<str>> {
    let served = catalog.pool_config().served.get(&pool.name);
    let served = served
        .into_iter()
        .flatten()
        .map(|network| &network.namespace);
    let users = addresses.in_use().filter(|one| one.pool == pool.name);
    let users = users.map(|one| one.holder.namespace());
    served.chain(users).map(|name| (&**name).into()).collect()
}
