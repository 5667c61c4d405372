//! Writing what a comparison asks for; and freeing, which is never done on the cache alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    Inner, State,
    absence_tracker::{Key, key},
    compare::Compared,
    live_reads::{is_release, look_at, looks},
    report::ReconcileReport,
};
use crate::{
    allocation::{Allocation, reconcile::Action},
    catalog::Catalog,
    controllers::{
        ReadTarget,
        apply::{apply, report as log_and_count},
    },
};

impl Inner {
    /// Carries out what a comparison asks for. What takes an address from somebody is judged twice: the
    /// second time after all that it rests on was read live.
    pub(super) async fn apply(
        &self,
        state: &mut State,
        catalog: &mut Arc<Catalog>,
        compared: Compared,
        report: &mut ReconcileReport,
    ) -> Compared {
        let writes = compared
            .actions
            .iter()
            .filter(|action| action.write.is_some());
        let (releases, others): (Vec<_>, Vec<_>) = writes.cloned().partition(is_release);
        self.write(others, report).await;
        if releases.is_empty() {
            return compared;
        }
        let confirmed = self.confirm(&releases, catalog, report).await;
        let fresh = self
            .catalog
            .load_full()
            .unwrap_or_else(|| Arc::clone(catalog));
        let compared = self.compare(state, &fresh);
        *catalog = fresh;
        let still = compared.actions.iter().filter(|action| {
            let Some(record) = judged(action, self).filter(|_| is_release(action)) else {
                return false;
            };
            // What it rests on now is what was looked at.
            let looked = confirmed.get(&key(&record));
            looked.is_some_and(|looked| looks(action, &record, catalog).is_subset(looked))
        });
        self.write(still.cloned().collect(), report).await;
        compared
    }

    /// Which of the records were looked after live, and what was looked at for each.
    async fn confirm(
        &self,
        releases: &[Action],
        catalog: &Catalog,
        report: &mut ReconcileReport,
    ) -> BTreeMap<Key, BTreeSet<ReadTarget>> {
        let rests = releases.iter().filter_map(|action| {
            let record = judged(action, self)?;
            Some((key(&record), looks(action, &record, catalog), action))
        });
        let rests: Vec<_> = rests.collect();
        let all: BTreeSet<ReadTarget> = rests
            .iter()
            .flat_map(|(_, looks, _)| looks)
            .cloned()
            .collect();
        let failed = look_at(&*self.live, &all).await;
        let mut confirmed = BTreeMap::new();
        for (key, looks, action) in rests {
            match looks
                .iter()
                .find_map(|look| Some((look, failed.get(look)?)))
            {
                None => drop(confirmed.insert(key, looks)),
                Some((look, error)) => {
                    report.error(format!("{look:?}: {error}"));
                    report.count(action.reason.name(), false);
                }
            }
        }
        confirmed
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

/// The record that an action is about, as the index has it: one that is given back says no more who
/// had it.
fn judged(action: &Action, inner: &Inner) -> Option<Allocation> {
    let record = action.write.as_ref()?.allocation();
    let index = inner.index.lock();
    index.holder_of(&record.space, record.address).cloned()
}
