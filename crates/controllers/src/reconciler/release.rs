//! Applies the result of a comparison. Addresses are never freed based on the cache alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    Inner, ReconcilerState,
    absence_tracker::{RecordKey, key},
    compare::Comparison,
    live_reads::{dependencies, is_release, refresh_all},
    report::ReconcileReport,
};
use crate::{
    ReadTarget,
    apply::{apply, log_and_count},
};
use nadmit_allocation::{Allocation, reconcile::Action};
use nadmit_catalog::Catalog;

impl Inner {
    /// Applies the actions of a comparison. Revoking actions are decided twice: the second time after
    /// everything they depend on was read live.
    pub(super) async fn apply(
        &self,
        state: &mut ReconcilerState,
        catalog: &mut Arc<Catalog>,
        comparison: Comparison,
        report: &mut ReconcileReport,
    ) -> Comparison {
        let writes = comparison
            .actions
            .iter()
            .filter(|action| action.write.is_some());
        let (releases, others): (Vec<_>, Vec<_>) = writes.cloned().partition(is_release);
        self.write(others, report).await;
        if releases.is_empty() {
            return comparison;
        }
        let verified = self.verify_live(&releases, catalog, report).await;
        let fresh = self
            .catalog
            .load_full()
            .unwrap_or_else(|| Arc::clone(catalog));
        let comparison = self.compare(state, &fresh);
        *catalog = fresh;
        let still = comparison.actions.iter().filter(|action| {
            let Some(record) = current_record(action, self).filter(|_| is_release(action)) else {
                return false;
            };
            // Everything it depends on now was read live.
            let reads = verified.get(&key(&record));
            reads.is_some_and(|reads| dependencies(action, &record, catalog).is_subset(reads))
        });
        self.write(still.cloned().collect(), report).await;
        comparison
    }

    /// Performs the live reads for the given releases. Returns the records for which all reads
    /// succeeded, each with its reads.
    async fn verify_live(
        &self,
        releases: &[Action],
        catalog: &Catalog,
        report: &mut ReconcileReport,
    ) -> BTreeMap<RecordKey, BTreeSet<ReadTarget>> {
        let required = releases.iter().filter_map(|action| {
            let record = current_record(action, self)?;
            Some((key(&record), dependencies(action, &record, catalog), action))
        });
        let required: Vec<_> = required.collect();
        let all: BTreeSet<ReadTarget> = required
            .iter()
            .flat_map(|(_, dependencies, _)| dependencies)
            .cloned()
            .collect();
        let failed = refresh_all(&*self.live, &all).await;
        let mut verified = BTreeMap::new();
        for (key, dependencies, action) in required {
            match dependencies
                .iter()
                .find_map(|target| Some((target, failed.get(target)?)))
            {
                None => drop(verified.insert(key, dependencies)),
                Some((target, error)) => {
                    report.error(format!("{target:?}: {error}"));
                    report.count(action.reason.name(), false);
                }
            }
        }
        verified
    }

    async fn write(&self, actions: Vec<Action>, report: &mut ReconcileReport) {
        for (action, done) in apply(&self.ledger, &self.index, actions).await {
            report.count(action.reason.name(), done);
            if done {
                log_and_count(&action, &self.metrics);
            }
        }
    }
}

/// Returns the record that an action concerns, as the index has it: the write of a returned address no
/// longer names the previous holder.
fn current_record(action: &Action, inner: &Inner) -> Option<Allocation> {
    let record = action.write.as_ref()?.allocation();
    let index = inner.index.lock();
    index.holder_of(&record.space, record.address).cloned()
}
