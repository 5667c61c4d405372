//! What becomes of a record.

use std::{collections::HashMap, sync::Arc};

use super::{
    Action, ActionReason, ClusterObserver, DETACHED_GRACE, Interface, InterfaceState,
    PROVISIONAL_TTL, Place, PodState, Recorded, View, WorkloadState,
};
use crate::allocation::{
    Address, Allocation, Holder, Pool, Timestamp, WorkloadRetention, Write,
    reconcile::{adoption::order, is_same, reserves, returned_to_reservation, taken_from},
};

impl<'a, O: ClusterObserver> View<'a, O> {
    /// What to do about a record, if there is one.
    pub(super) fn judge(&self, place: &Place<'a>) -> Option<Action> {
        let recorded = place.recorded?;
        let (record, _) = recorded;
        // Who uses it is there, and may.
        if place.users.iter().any(|user| is_same(record, user)) {
            return None;
        }
        let judged = self.judge_holder(recorded);
        self.hand_over(place, recorded, judged.as_ref()).or(judged)
    }

    /// The record as that of who uses the address, in one write: were it freed first, somebody else
    /// could be given what is in use. That is so after a ledger was restored from an old copy.
    ///
    /// Where all pods are seen, one that has the address comes before a holder that has not, whatever that
    /// one is: its next pod would be given an address that is in use. Only what a network configures stays
    /// the network's.
    fn hand_over(
        &self,
        place: &Place<'a>,
        (record, version): Recorded<'a>,
        judged: Option<&Action>,
    ) -> Option<Action> {
        let frees = |action: &Action| match &action.write {
            Some(Write::Delete(..)) => true,
            _ => action.reason == ActionReason::ReturnedToReservation,
        };
        let freed = judged.is_some_and(frees);
        let configured = matches!(record.holder, Holder::Network { .. });
        let comes_first = self.observer.sees_all_pods() && !configured;
        let users = place.users.iter().copied();
        let heirs = users.filter(|user| {
            let has = user.assigned && user.pod.is_some();
            freed || (comes_first && has)
        });
        let used = self.record_of(heirs.min_by_key(order)?)?;
        let reservation = taken_from(record, self.layout);
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

    fn judge_holder(&self, recorded: Recorded<'a>) -> Option<Action> {
        let (record, _) = recorded;
        match &record.holder {
            Holder::Reservation { namespace, name } => {
                let there = reserves(self.layout, namespace, name, record.address);
                (!there).then(|| free(recorded, ActionReason::ReservationGone))
            }
            Holder::Network { .. } => {
                let there = self.carried_by(record).contains(&record.address);
                (!there).then(|| free(recorded, ActionReason::NotConfigured))
            }
            Holder::Pod { .. }
            | Holder::Unnamed { .. }
            | Holder::Replica { .. }
            | Holder::VirtualMachine { .. } => self.judge_pod(recorded),
        }
    }

    /// What the record's holder uses on its interface.
    fn carried_by(&self, record: &'a Allocation) -> &[Address] {
        let carried = self.carried.get_or_init(|| {
            let mut carried: HashMap<Interface<'_>, Vec<Address>> = HashMap::new();
            for one in &self.in_use {
                let interface = (&one.holder, &one.network, &*one.interface);
                carried.entry(interface).or_default().push(one.address);
            }
            carried
        });
        let interface = (&record.holder, &record.network, &*record.interface);
        carried.get(&interface).map_or(&[], Vec::as_slice)
    }

    fn judge_pod(&self, recorded: Recorded<'a>) -> Option<Action> {
        let (record, _) = recorded;
        let pool = self.layout.pool(&record.pool);
        // Until its MAC is recorded by itself the address keeps it.
        if self.parted(record).is_some() {
            return None;
        }
        let reason = match self.observer.pod(record) {
            PodState::Unknown => return None,
            PodState::Present => return self.judge_surplus(recorded, pool),
            PodState::Absent if self.age(record) < PROVISIONAL_TTL => return None,
            PodState::Absent => self.outlives(record, pool, ActionReason::ProvisionalExpired)?,
            PodState::Gone(since) => {
                let quarantine = pool.map_or(0, |pool| pool.quarantine);
                // A record that was renewed since then is another pod's.
                let renewed = record.since > since;
                if renewed || self.now < since.plus(quarantine) {
                    return None;
                }
                self.outlives(record, pool, ActionReason::PodGone)?
            }
        };
        Some(self.free_or_give_back(recorded, reason))
    }

    /// For how many seconds the record is as it is.
    fn age(&self, record: &Allocation) -> i64 {
        self.now.0.saturating_sub(record.since.0)
    }

    /// Whether a workload keeps its addresses without a pod: then there is no reason to free them.
    pub(super) fn outlives(
        &self,
        record: &Allocation,
        pool: Option<&Arc<Pool>>,
        reason: ActionReason,
    ) -> Option<ActionReason> {
        let keeps = |pool: &Arc<Pool>| pool.keeps(&record.holder, record.address.family());
        if !pool.is_some_and(keeps) {
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

    /// What a pod that is there does not carry, and has another for, or no use.
    fn judge_surplus(&self, recorded: Recorded<'a>, pool: Option<&Arc<Pool>>) -> Option<Action> {
        let (record, version) = recorded;
        if self.carried_by(record).contains(&record.address) {
            return None;
        }
        let age = self.age(record);
        let surplus = || self.free_or_give_back(recorded, ActionReason::Excess);
        match self.observer.interface_state(record) {
            InterfaceState::HeldByPredecessor => return None,
            InterfaceState::Unknown => {
                return (age >= PROVISIONAL_TTL && self.has_another(record, pool)).then(surplus);
            }
            // The pod is bound once: on its node nobody asks for this one any more.
            InterfaceState::OnOtherNode if pool.is_some_and(|pool| pool.slicing.is_some()) => {
                return self.has_another(record, pool).then(surplus);
            }
            InterfaceState::Detached => {}
            InterfaceState::Attached | InterfaceState::OnOtherNode if self.has_another(record, pool) => {}
            InterfaceState::Attached | InterfaceState::OnOtherNode => return None,
        }
        // The pod may come to have it again: a record without a pod is written anew by whoever goes
        // on with it.
        let quarantine = pool.map_or(0, |pool| pool.quarantine);
        if record.pod.is_none() {
            return (age >= quarantine.max(DETACHED_GRACE)).then(surplus);
        }
        let let_go = Allocation {
            pod: None,
            former_nodes: record.former_nodes_for(None),
            since: self.now,
            taken: Some(record.held_since()),
            ..record.clone()
        };
        (age >= PROVISIONAL_TTL).then_some(Action {
            write: Some(Write::Update(let_go, version)),
            reason: ActionReason::Detached,
        })
    }

    /// Whether the pod carries another address of the same range.
    fn has_another(&self, record: &'a Allocation, pool: Option<&Arc<Pool>>) -> bool {
        let range = |address: Address| pool?.range_of(address.ip()?);
        let own = range(record.address);
        let mut carried = self.carried_by(record).iter();
        own.is_some() && carried.any(|one| range(*one) == own)
    }

    fn free_or_give_back(&self, recorded: Recorded<'a>, reason: ActionReason) -> Action {
        let (record, version) = recorded;
        match returned_to_reservation(record, self.layout, self.now) {
            Some(back) => Action {
                write: Some(Write::Update(back, version)),
                reason: ActionReason::ReturnedToReservation,
            },
            None => free(recorded, reason),
        }
    }
}

fn free((record, version): Recorded<'_>, reason: ActionReason) -> Action {
    Action {
        write: Some(Write::Delete(record.clone(), version)),
        reason,
    }
}

impl PodState {
    /// Gone since then, or since the record was made, whichever is later: a record that is from the
    /// future of this clock waits until that is there.
    pub fn gone_since(since: Timestamp, record: &Allocation) -> Self {
        Self::Gone(since.max(record.since))
    }
}
