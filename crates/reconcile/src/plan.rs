//! The plan of a pass: the comparison of records and cluster.

use std::{cell::Cell, sync::Arc};

use nadmit_allocation::{
    Address, Index, Pool, Stored, Timestamp,
    reconcile::{ActionReason, reconcile},
};
use nadmit_catalog::Catalog;

use crate::{
    MonotonicTime, PlannedAction, absence_tracker::AbsenceTracker, cluster_view::ClusterView,
    observed_addresses::ObservedAddresses, pod_index::PodIndex,
};

/// The input of a plan: the cluster and the records at one moment.
#[derive(Debug)]
pub struct Observation<'a> {
    /// The state of the cluster.
    pub catalog: &'a Arc<Catalog>,
    /// The records of the ledger.
    pub records: Vec<Arc<Stored>>,
    /// The namespace of default networks that name none.
    pub multus_namespace: &'a str,
    /// The wall clock's time, for the ages of records.
    pub now: Timestamp,
    /// The monotonic clock's time, for absences.
    pub instant: MonotonicTime,
}

/// The planner, with what it keeps from one plan to the next.
#[derive(Debug, Default)]
pub struct Planner {
    pub(crate) absences: AbsenceTracker,
    pub(crate) addresses: ObservedAddresses,
}

/// The actions that follow from an [`Observation`].
#[derive(Debug)]
pub struct Plan {
    /// The records that were compared.
    pub records: Vec<Arc<Stored>>,
    /// The actions, in a deterministic order.
    pub actions: Vec<PlannedAction>,
    /// The time at which a plan may contain more although nothing changes.
    pub due: Option<MonotonicTime>,
}

impl Planner {
    /// Compares the records with the cluster.
    pub fn plan(&mut self, observation: Observation<'_>) -> Plan {
        let Observation {
            catalog,
            records,
            multus_namespace,
            now,
            instant,
        } = observation;
        self.addresses.update(catalog, multus_namespace);
        let pods = PodIndex::of(catalog);
        self.absences
            .update(&records, &pods, &self.addresses, catalog, instant);
        let view = ClusterView {
            catalog,
            pods: &pods,
            absences: &self.absences,
            multus_namespace,
            now,
            instant,
            due: Cell::new(None),
        };
        let known = records.iter().map(|one| (&one.allocation, one.version));
        let actions = reconcile(
            known,
            catalog.pool_config(),
            self.addresses.in_use(),
            &view,
            now,
        );
        let due = view.due.get();
        Plan {
            actions: actions.into_iter().map(PlannedAction::from).collect(),
            due: due.map(|due| instant.plus(due)),
            records,
        }
    }
}

impl Plan {
    /// Removes adoptions of addresses that are already being recorded.
    pub fn drop_pending(&mut self, index: &Index) {
        self.actions.retain(|planned| {
            let adopts = matches!(
                planned.action.reason,
                ActionReason::Adopted | ActionReason::Reserved | ActionReason::MacSplit
            );
            let record = planned
                .action
                .write
                .as_ref()
                .map(|write| write.allocation());
            !adopts
                || record
                    .is_none_or(|record| index.holder_of(&record.space, record.address).is_none())
        });
    }

    /// Returns an address in a pool's ranges that is in use but not recorded, or recorded for another
    /// holder.
    pub fn unrecorded(&self, pool: &Pool) -> Option<Address> {
        let mut adopted = self
            .actions
            .iter()
            .map(|planned| &planned.action)
            .filter(|action| {
                matches!(
                    action.reason,
                    ActionReason::Adopted | ActionReason::Transferred
                )
            })
            .filter_map(|action| action.write.as_ref().map(|write| write.allocation()));
        let found = adopted.find(|record| {
            let inside = record
                .address
                .ip()
                .is_some_and(|ip| pool.range_of(ip).is_some());
            record.space == pool.space && (inside || record.pool == pool.name)
        });
        found.map(|record| record.address)
    }

    /// Returns the number of addresses with several users.
    pub fn duplicates(&self) -> usize {
        let reasons = self.actions.iter().map(|planned| &planned.action.reason);
        reasons
            .filter(|reason| matches!(reason, ActionReason::Duplicate { .. }))
            .count()
    }
}
