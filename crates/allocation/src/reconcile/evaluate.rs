//! Evaluation of single records: release, transfer, detachment.

use core::time::Duration;
use std::{collections::HashMap, sync::Arc};

use super::{
    Action, ActionReason, ClusterObserver, DETACHED_GRACE, InterfaceKey, InterfaceState,
    PROVISIONAL_TTL, PodState, ReconciledAddress, Reconciliation, VersionedRecord, WorkloadState,
};
use crate::{
    Address, Allocation, Holder, Pool, Timestamp, WorkloadRetention, Write,
    reconcile::{
        adoption::precedence, is_holder, is_reserved, returned_to_reservation, source_reservation,
    },
};

impl<'a, O: ClusterObserver> Reconciliation<'a, O> {
    /// Returns the action for a recorded address, if any.
    pub(super) fn evaluate(&self, entry: &ReconciledAddress<'a>) -> Option<Action> {
        let recorded = entry.recorded?;
        let (record, _) = recorded;
        // The recorded holder uses the address.
        if entry.users.iter().any(|user| is_holder(record, user)) {
            return None;
        }
        let evaluated = self.evaluate_holder(recorded);
        self.transfer(entry, recorded, evaluated.as_ref())
            .or(evaluated)
    }

    /// Returns the transfer of a record to the actual user of the address, in one write: if it were
    /// freed first, an address in use could be allocated. Such records exist after a restore of an old
    /// ledger.
    ///
    /// If all pods are observed, a pod that has the address takes precedence over any holder that does
    /// not, whose next pod would otherwise get an address in use. Only addresses configured by a
    /// network are not transferred.
    fn transfer(
        &self,
        entry: &ReconciledAddress<'a>,
        (record, version): VersionedRecord<'a>,
        evaluated: Option<&Action>,
    ) -> Option<Action> {
        let frees = |action: &Action| match &action.write {
            Some(Write::Delete(..)) => true,
            _ => action.reason == ActionReason::ReturnedToReservation,
        };
        let freed = evaluated.is_some_and(frees);
        let configured = matches!(record.holder, Holder::Network { .. });
        let comes_first = self.observer.sees_all_pods() && !configured;
        let users = entry.users.iter().copied();
        let candidates = users.filter(|user| {
            let has = user.assigned && user.pod.is_some();
            freed || (comes_first && has)
        });
        let used = self.record_of(candidates.min_by_key(precedence)?)?;
        let reservation = source_reservation(record, self.pool_config);
        Some(Action {
            write: Some(Write::Update(
                Allocation {
                    reservation,
                    former_nodes: record.former_nodes_for(used.pod.as_ref()),
                    ..used
                },
                version,
            )),
            reason: ActionReason::Transferred,
        })
    }

    fn evaluate_holder(&self, recorded: VersionedRecord<'a>) -> Option<Action> {
        let (record, _) = recorded;
        match &record.holder {
            Holder::Reservation { namespace, name } => {
                let there = is_reserved(self.pool_config, namespace, name, record.address);
                (!there).then(|| free(recorded, ActionReason::ReservationGone))
            }
            Holder::Network { .. } => {
                let there = self.in_use_by(record).contains(&record.address);
                (!there).then(|| free(recorded, ActionReason::NotConfigured))
            }
            Holder::Pod { .. }
            | Holder::Unnamed { .. }
            | Holder::Replica { .. }
            | Holder::VirtualMachine { .. } => self.evaluate_pod(recorded),
        }
    }

    /// Returns the addresses in use by the record's holder on its interface.
    fn in_use_by(&self, record: &'a Allocation) -> &[Address] {
        let in_use_by_interface = self.in_use_by_interface.get_or_init(|| {
            let mut map: HashMap<InterfaceKey<'_>, Vec<Address>> = HashMap::new();
            for one in &self.in_use {
                let interface = (&one.holder, &one.network, &*one.interface);
                map.entry(interface).or_default().push(one.address);
            }
            map
        });
        let interface = (&record.holder, &record.network, &*record.interface);
        in_use_by_interface
            .get(&interface)
            .map_or(&[], Vec::as_slice)
    }

    fn evaluate_pod(&self, recorded: VersionedRecord<'a>) -> Option<Action> {
        let (record, _) = recorded;
        let pool = self.pool_of(record);
        // The address must not be freed before its MAC has a record of its own.
        if self.split_record(record).is_some() {
            return None;
        }
        let reason = match self.observer.pod(record) {
            PodState::Unknown => return None,
            PodState::Present => return self.evaluate_excess(recorded, pool),
            PodState::Absent if self.is_younger(record, PROVISIONAL_TTL) => return None,
            PodState::Absent => {
                self.release_reason(record, pool, ActionReason::ProvisionalExpired)?
            }
            PodState::Gone(since) => {
                let quarantine = pool.map_or(Duration::ZERO, |pool| pool.quarantine);
                // A record renewed after that time belongs to another pod.
                let renewed = record.since > since;
                if renewed || self.now < since.plus(quarantine) {
                    return None;
                }
                self.release_reason(record, pool, ActionReason::PodGone)?
            }
        };
        Some(self.free_or_return(recorded, reason))
    }

    /// Returns true if the record changed less than this time ago.
    fn is_younger(&self, record: &Allocation, age: Duration) -> bool {
        self.now < record.since.plus(age)
    }

    /// Returns the reason to free the address of a holder without a pod, or `None` if the workload
    /// retains it.
    pub(super) fn release_reason(
        &self,
        record: &Allocation,
        pool: Option<&Arc<Pool>>,
        reason: ActionReason,
    ) -> Option<ActionReason> {
        let retains = |pool: &Arc<Pool>| pool.retains(&record.holder, record.address.family());
        if !pool.is_some_and(retains) {
            return Some(reason);
        }
        let retention = pool.map(|pool| pool.workload_retention);
        let WorkloadRetention {
            retain_when_scaled,
            retain_when_deleted,
        } = retention?;
        match self.observer.workload(&record.holder) {
            WorkloadState::ScaledDown if !retain_when_scaled => Some(ActionReason::WorkloadGone),
            WorkloadState::Deleted if !retain_when_deleted => Some(ActionReason::WorkloadGone),
            _ => None,
        }
    }

    /// Evaluates a record of a present pod that does not report the address.
    fn evaluate_excess(
        &self,
        recorded: VersionedRecord<'a>,
        pool: Option<&Arc<Pool>>,
    ) -> Option<Action> {
        let (record, version) = recorded;
        if self.in_use_by(record).contains(&record.address) {
            return None;
        }
        let is_provisional = self.is_younger(record, PROVISIONAL_TTL);
        let excess = || self.free_or_return(recorded, ActionReason::Excess);
        match self.observer.interface_state(record) {
            InterfaceState::HeldByPredecessor => return None,
            InterfaceState::Unknown => {
                return (!is_provisional && self.has_another(record, pool)).then(excess);
            }
            // A pod is bound only once; nothing on its node requests this address any more.
            InterfaceState::OnOtherNode if pool.is_some_and(|pool| pool.assigns_by_node()) => {
                return self.has_another(record, pool).then(excess);
            }
            InterfaceState::Detached => {}
            InterfaceState::Attached | InterfaceState::OnOtherNode
                if self.has_another(record, pool) => {}
            InterfaceState::Attached | InterfaceState::OnOtherNode => return None,
        }
        // The pod may get the address again: a replica that reuses a record without a pod rewrites it
        // first.
        let quarantine = pool.map_or(Duration::ZERO, |pool| pool.quarantine);
        if record.pod.is_none() {
            return (!self.is_younger(record, quarantine.max(DETACHED_GRACE))).then(excess);
        }
        let detached = Allocation {
            pod: None,
            former_nodes: record.former_nodes_for(None),
            since: self.now,
            taken: Some(record.held_since()),
            ..record.clone()
        };
        (!is_provisional).then_some(Action {
            write: Some(Write::Update(detached, version)),
            reason: ActionReason::Detached,
        })
    }

    /// Returns true if the pod uses another address of the same range.
    fn has_another(&self, record: &'a Allocation, pool: Option<&Arc<Pool>>) -> bool {
        let range = |address: Address| pool?.range_of(address.ip()?);
        let own = range(record.address);
        let mut in_use = self.in_use_by(record).iter();
        own.is_some() && in_use.any(|one| range(*one) == own)
    }

    fn free_or_return(&self, recorded: VersionedRecord<'a>, reason: ActionReason) -> Action {
        let (record, version) = recorded;
        match returned_to_reservation(record, self.pool_config, self.now) {
            Some(back) => Action {
                write: Some(Write::Update(back, version)),
                reason: ActionReason::ReturnedToReservation,
            },
            None => free(recorded, reason),
        }
    }
}

fn free((record, version): VersionedRecord<'_>, reason: ActionReason) -> Action {
    Action {
        write: Some(Write::Delete(record.clone(), version)),
        reason,
    }
}

impl PodState {
    /// Returns [`Self::Gone`] since the later of this time and the record's last change: a record with
    /// a time in the future of this clock waits until then.
    pub fn gone_since(since: Timestamp, record: &Allocation) -> Self {
        Self::Gone(since.max(record.since))
    }
}
