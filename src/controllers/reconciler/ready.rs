//! When a pool may give addresses: after everything in use in its ranges is recorded.
//!
//! Every replica finds that out for itself: it has the pods of the namespaces that matter listed after
//! it knew the pool, and compares. Only the leader records what is missing; the others see the records
//! come.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    Inner, State, compare::Compared, live_reads::look_at, observed_addresses::Carried,
    report::ReconcileReport,
};
use crate::{
    allocation::Pool, catalog::Catalog, controllers::ReadTarget, rules::pool::whereabouts_overlaps,
};

impl Inner {
    /// The pools that give nothing: not yet, or not any more.
    pub(super) fn unready(&self, catalog: &Catalog) -> Vec<Arc<Pool>> {
        let pools = catalog.layout().pools.values();
        let contested: Vec<_> = pools.filter(|pool| !is_alone(pool, catalog)).collect();
        let mut index = self.index.lock();
        index.sync(catalog.layout());
        for pool in contested {
            if index.is_ready(&pool.name) {
                tracing::warn!(
                    pool = &*pool.name,
                    "the pool gives nothing any more: Whereabouts gives its addresses"
                );
                index.set_unready(&pool.name);
            }
        }
        let pools = catalog.layout().pools.values();
        pools
            .filter(|pool| !index.is_ready(&pool.name))
            .cloned()
            .collect()
    }

    /// Makes those pools ready of which nothing lacks. Gives the comparison that holds now.
    pub(super) async fn make_ready(
        &self,
        state: &mut State,
        catalog: &mut Arc<Catalog>,
        compared: Compared,
        report: &mut ReconcileReport,
    ) -> Compared {
        let waiting = self.unready(catalog);
        let whole: Vec<&Arc<Pool>> = waiting
            .iter()
            .filter(|pool| !compared.lacks(pool) && is_alone(pool, catalog))
            .collect();
        if whole.is_empty() {
            return compared;
        }
        let looks: BTreeSet<ReadTarget> = whole
            .iter()
            .flat_map(|pool| homes(pool, catalog, &state.carried))
            .map(ReadTarget::PodsOf)
            .collect();
        let failed = look_at(&*self.live, &looks).await;
        let fresh = self
            .catalog
            .load_full()
            .unwrap_or_else(|| Arc::clone(catalog));
        let same = Arc::ptr_eq(&fresh, catalog);
        let compared = match same {
            true => compared,
            false => self.compare(state, &fresh),
        };
        *catalog = fresh;
        for (look, error) in &failed {
            report.error(format!("{look:?}: {error}"));
        }
        let whole = whole.into_iter().filter(|pool| is_alone(pool, catalog));
        let whole: Vec<&Arc<Pool>> = whole.collect();
        let mut index = self.index.lock();
        index.sync(catalog.layout());
        for pool in whole {
            let looked = homes(pool, catalog, &state.carried)
                .into_iter()
                .map(ReadTarget::PodsOf)
                .all(|look| looks.contains(&look) && !failed.contains_key(&look));
            let now = catalog.layout().pool(&pool.name);
            if looked && now.is_some_and(|now| now == pool && !compared.lacks(now)) {
                index.set_ready(&pool.name);
                tracing::info!(pool = &*pool.name, "the pool is ready");
            }
        }
        compared
    }
}

/// Whether Whereabouts gives nothing of it: while it does, two pods would get one address.
fn is_alone(pool: &Pool, catalog: &Catalog) -> bool {
    whereabouts_overlaps(catalog, pool).is_empty()
}

/// The namespaces whose pods may use a pool's addresses: those of its networks, and those whose pods
/// are known to.
fn homes(pool: &Pool, catalog: &Catalog, carried: &Carried) -> BTreeSet<Box<str>> {
    let served = catalog.layout().served.get(&pool.name);
    let served = served
        .into_iter()
        .flatten()
        .map(|network| &network.namespace);
    let users = carried.in_use().filter(|one| one.pool == pool.name);
    let users = users.map(|one| one.holder.namespace());
    served.chain(users).map(|name| (&**name).into()).collect()
}
