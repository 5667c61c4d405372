//! Live reads: those of a full resync, and those behind the actions that revoke addresses. Such an
//! action is planned again after its reads.

use std::{
    collections::{BTreeMap, BTreeSet},
    slice,
    sync::Arc,
};

use futures_util::{StreamExt as _, stream};

use super::{Inner, ReconcileError, ReconcileReport, ReconcilerState};
use nadmit_catalog::{Catalog, LiveCatalog, LiveRead, LiveReadError};
use nadmit_ledger::Store as _;
use nadmit_reconcile::{Effect, Plan, PlannedAction, RequiredReads, batches, resync_dependencies};

/// The number of concurrent reads.
const CONCURRENCY: usize = 16;

/// The dependencies whose reads failed, with the reason.
pub(super) type ReadFailures = BTreeMap<LiveRead, Arc<LiveReadError>>;

/// Performs the live reads for all dependencies. Returns those that failed.
pub(super) async fn refresh_all(live: &dyn LiveCatalog, all: &BTreeSet<LiveRead>) -> ReadFailures {
    let failed: Vec<(BTreeSet<LiveRead>, Arc<LiveReadError>)> = stream::iter(batches(all))
        .map(|(read, dependencies)| async move {
            let refreshed = live.refresh(slice::from_ref(&read)).await;
            refreshed.err().map(|error| (dependencies, Arc::new(error)))
        })
        .buffered(CONCURRENCY)
        .filter_map(std::future::ready)
        .collect()
        .await;
    let failed = failed.into_iter();
    failed
        .flat_map(|(dependencies, error)| {
            dependencies
                .into_iter()
                .map(move |d| (d, Arc::clone(&error)))
        })
        .collect()
}

impl Inner {
    /// Lists the ledger, and reads live the pods, nodes and networks behind its records and the pools.
    /// Objects that cannot be read keep their last known state.
    pub(super) async fn refresh(&self, report: &mut ReconcileReport) {
        match self.ledger.list().await {
            Ok((all, cursor)) => self.index.lock().apply_list_response(all, cursor.version()),
            Err(error) => report.error(error),
        }
        if let Some(slices) = &self.slices {
            match slices.list().await {
                Ok((all, at)) => self.index.lock().replace_slices(all, at),
                Err(error) => report.error(error),
            }
        }
        let Some(catalog) = self.catalog.load_full() else {
            return;
        };
        let dependencies = resync_dependencies(&catalog, &self.index.lock());
        for (read, source) in refresh_all(&*self.live, &dependencies).await {
            report.error(ReconcileError::LiveRead { read, source });
        }
    }

    /// Reads live what the revocations of a plan rest on, and plans again. Returns the new plan, and
    /// its revocations whose dependencies were all read.
    pub(super) async fn verify(
        &self,
        state: &mut ReconcilerState,
        catalog: &mut Arc<Catalog>,
        revocations: &[PlannedAction],
        report: &mut ReconcileReport,
    ) -> (Plan, Vec<PlannedAction>) {
        let required = RequiredReads::of(revocations, &self.index.lock(), catalog);
        let failures = refresh_all(&*self.live, &required.all()).await;
        let (verified, failed) = required.verify(|read| failures.contains_key(read));
        for (planned, dependency) in failed {
            if let Some(source) = failures.get(&dependency).cloned() {
                report.error(ReconcileError::LiveRead {
                    read: dependency,
                    source,
                });
            }
            report.count(planned.action.reason.name(), false);
        }
        let plan = self.plan_on_newest(state, catalog);
        let index = self.index.lock();
        let revocations = plan
            .actions
            .iter()
            .filter(|planned| planned.effect == Effect::Revoke);
        let permitted = revocations.filter(|one| verified.permit(one, &index, catalog));
        let permitted = permitted.cloned().collect();
        drop(index);
        (plan, permitted)
    }

    /// Plans on the newest catalog, which replaces `catalog`.
    fn plan_on_newest(&self, state: &mut ReconcilerState, catalog: &mut Arc<Catalog>) -> Plan {
        if let Some(newest) = self.catalog.load_full() {
            *catalog = newest;
        }
        self.plan(state, catalog)
    }
}
