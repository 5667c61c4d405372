//! The comparison of records and cluster, in memory.

use std::{cell::Cell, sync::Arc};

use tokio::time::{Duration, Instant};

use super::{Inner, ReconcilerState, cluster_view::ClusterView, pod_index::PodIndex};
use nadmit_allocation::{
    Pool, Stored,
    reconcile::{Action, ActionReason, reconcile},
};
use nadmit_catalog::Catalog;

/// The result of a comparison.
pub(super) struct Comparison {
    pub(super) records: Vec<Arc<Stored>>,
    pub(super) actions: Vec<Action>,
    /// The time at which the comparison may find more although nothing changes.
    pub(super) due: Option<Instant>,
}

impl Inner {
    /// Compares a catalog with the index.
    pub(super) fn compare(
        &self,
        state: &mut ReconcilerState,
        catalog: &Arc<Catalog>,
    ) -> Comparison {
        let multus_namespace = self.policy.load().multus_namespace.clone();
        let records = {
            let mut index = self.index.lock();
            index.sync(catalog.pool_config());
            state.changes = index.generation();
            index.snapshot()
        };
        state.addresses.update(catalog, &multus_namespace);
        let (now, instant) = (self.clock.seconds(), Instant::now());
        let pods = PodIndex::of(catalog);
        state
            .absences
            .update(&records, &pods, &state.addresses, catalog, instant);
        let view = ClusterView {
            catalog,
            pods: &pods,
            absences: &state.absences,
            multus_namespace: &multus_namespace,
            now,
            instant,
            due: Cell::new(None),
        };
        let known = records.iter().map(|one| (&one.allocation, one.version));
        let mut actions = reconcile(
            known,
            catalog.pool_config(),
            state.addresses.in_use(),
            &view,
            now,
        );
        let due = view.due.get();
        self.drop_what_is_in_flight(&mut actions);
        Comparison {
            actions,
            due: due.map(|due| instant + Duration::from_secs(due.unsigned_abs())),
            records,
        }
    }

    /// Removes adoptions of addresses that are already being recorded.
    fn drop_what_is_in_flight(&self, actions: &mut Vec<Action>) {
        let index = self.index.lock();
        actions.retain(|action| {
            let adopts = matches!(
                action.reason,
                ActionReason::Adopted | ActionReason::Reserved | ActionReason::MacSplit
            );
            let record = action.write.as_ref().map(|write| write.allocation());
            !adopts
                || record
                    .is_none_or(|record| index.holder_of(&record.space, record.address).is_none())
        });
    }
}

impl Comparison {
    /// Returns true if something in a pool's ranges is in use but not recorded, or recorded for another
    /// holder.
    pub(super) fn lacks(&self, pool: &Pool) -> bool {
        let mut adopted = self
            .actions
            .iter()
            .filter(|action| {
                matches!(
                    action.reason,
                    ActionReason::Adopted | ActionReason::Transferred
                )
            })
            .filter_map(|action| action.write.as_ref().map(|write| write.allocation()));
        adopted.any(|record| {
            let inside = record
                .address
                .ip()
                .is_some_and(|ip| pool.range_of(ip).is_some());
            record.space == pool.space && (inside || record.pool == pool.name)
        })
    }
}
