//! Readiness of pools: a pool allocates only after everything in use in its ranges is recorded.
//!
//! Every replica decides that for itself: after it first sees a pool, it lists the pods of all relevant
//! namespaces live, and compares. Only the leader records what is missing; the other replicas wait for
//! the records to arrive.

use std::{collections::BTreeSet, sync::Arc};

use super::{Inner, ReconcileError, ReconcileReport, ReconcilerState, verify::refresh_all};
use nadmit_allocation::{Pool, PoolOrigin};
use nadmit_catalog::{Catalog, LiveRead, WhereaboutsMode};
use nadmit_reconcile::{NotReady, Plan, ReadinessCheck};
use nadmit_rules::{Policy, pool::whereabouts_overlaps};

impl Inner {
    /// Returns the pools that allocate nothing, and marks those as not ready whose addresses
    /// Whereabouts allocates.
    pub(super) fn unready(&self, catalog: &Catalog) -> Vec<Arc<Pool>> {
        let policy = self.policy.load();
        let pools = catalog.pool_config().pools.values();
        let contested: Vec<_> = pools
            .filter(|pool| is_contested(pool, catalog, &policy))
            .collect();
        let mut index = self.index.synced(catalog.pool_config());
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

    /// Marks the pools as ready that have no unrecorded usage. Returns the plan on the current catalog.
    pub(super) async fn make_ready(
        &self,
        state: &mut ReconcilerState,
        catalog: &mut Arc<Catalog>,
        plan: Plan,
        report: &mut ReconcileReport,
    ) -> Plan {
        let waiting = self.unready(catalog);
        let policy = self.policy.load_full();
        let mut dependencies: BTreeSet<LiveRead> = BTreeSet::new();
        let before = ReadinessCheck {
            catalog,
            plan: &plan,
            planner: &state.planner,
        };
        let candidates: Vec<Arc<Pool>> = waiting
            .into_iter()
            .filter(|pool| {
                let check =
                    before.check(pool, |pool| is_contested(pool, catalog, &policy), |_| false);
                if let Err(NotReady::Unread(unread)) = &check {
                    dependencies.extend(unread.iter().cloned());
                }
                matches!(check, Ok(()) | Err(NotReady::Unread(_)))
            })
            .collect();
        if candidates.is_empty() {
            return plan;
        }
        let failed = refresh_all(&*self.live, &dependencies).await;
        let newest = self.catalog.load_full();
        let changed = newest.filter(|newest| !Arc::ptr_eq(newest, catalog));
        let plan = match changed {
            None => plan,
            Some(newest) => {
                *catalog = newest;
                self.plan(state, catalog)
            }
        };
        for (read, source) in failed.clone() {
            report.error(ReconcileError::LiveRead { read, source });
        }
        let after = ReadinessCheck {
            catalog,
            plan: &plan,
            planner: &state.planner,
        };
        let is_read = |read: &LiveRead| dependencies.contains(read) && !failed.contains_key(read);
        let ready: Vec<Arc<Pool>> = candidates
            .into_iter()
            .filter(|pool| {
                let check = after.check(pool, |pool| is_contested(pool, catalog, &policy), is_read);
                check.is_ok()
            })
            .collect();
        let foreign = catalog.foreign_uses(|| self.index.lock().snapshot());
        let mut index = self.index.synced(catalog.pool_config());
        index.set_foreign(foreign);
        for pool in ready {
            index.set_ready(&pool.name);
            tracing::info!(pool = &*pool.name, "pool ready");
        }
        drop(index);
        plan
    }
}

/// Returns true if Whereabouts allocates addresses of the pool too, and nadmit does not write its records
/// for them; for a pool whose records nadmit writes, if they are not known.
fn is_contested(pool: &Pool, catalog: &Catalog, policy: &Policy) -> bool {
    let records = catalog.whereabouts();
    let are_unknown = !records.knows_pools() || !records.knows_reservations();
    let is_shared = || !whereabouts_overlaps(catalog, pool).is_empty();
    match pool.origin {
        PoolOrigin::Whereabouts => are_unknown,
        PoolOrigin::InlineRanges => {
            let serves = catalog.pool_derivation().whereabouts == WhereaboutsMode::Serve;
            let home = policy.whereabouts_namespaces.iter().map(|name| &**name);
            let writes = serves && pool.slicing.is_none() && !are_unknown;
            let writes = writes && catalog.whereabouts_namespace(home).is_some();
            !writes && is_shared()
        }
        PoolOrigin::AddressPool => is_shared(),
    }
}
