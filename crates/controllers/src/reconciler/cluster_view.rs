//! The state of the pods and workloads behind records, from the catalog and the tracked absences.

use std::{cell::Cell, sync::Arc};

use tokio::time::{Duration, Instant};

use super::{
    absence_tracker::{AbsenceTracker, names_uid},
    pod_index::{PodIndex, has_interface},
};
use nadmit_allocation::{
    Allocation, Holder, Pool, Retention, Timestamp,
    reconcile::{
        ClusterObserver, DETACHED_GRACE, InterfaceState, PROVISIONAL_TTL, PodState, WorkloadState,
    },
};
use nadmit_catalog::{Catalog, Existence, Node, Pod};

/// The lost-node quarantine of records whose pool is gone, in seconds; the same as the default of
/// pools.
const DEFAULT_LOST_NODE_QUARANTINE: i64 = 600;

/// A [`ClusterObserver`] on a catalog.
pub(super) struct ClusterView<'c> {
    pub(super) catalog: &'c Catalog,
    pub(super) pods: &'c PodIndex<'c>,
    pub(super) absences: &'c AbsenceTracker,
    pub(super) multus_namespace: &'c str,
    pub(super) now: Timestamp,
    pub(super) instant: Instant,
    /// The number of seconds after which the result may differ although nothing changes.
    pub(super) due: Cell<Option<i64>>,
}

impl ClusterView<'_> {
    fn note_due(&self, seconds: i64) {
        if seconds > 0 {
            let due = self.due.get().map_or(seconds, |due| due.min(seconds));
            self.due.set(Some(due));
        }
    }

    /// Returns the state of a missing pod whose UID is recorded. Whether its containers have ended
    /// depends on its node.
    fn gone(&self, record: &Allocation) -> PodState {
        let Some(gone) = self.absences.absent_for(record, self.instant) else {
            return PodState::Unknown;
        };
        let Some(ended) = self.ended_for(record, gone) else {
            return PodState::Unknown;
        };
        let ended = seconds(ended);
        self.note_due(self.quarantine(record) - ended);
        PodState::gone_since(self.now.plus(-ended), record)
    }

    /// Returns the state of a missing pod without a recorded UID. It may not be created yet, or it may
    /// have existed before its UID could be recorded, with containers that still run.
    fn absent(&self, record: &Allocation) -> PodState {
        let gone = self.absences.absent_for(record, self.instant);
        let seconds_absent = gone.map_or(0, seconds);
        let age = self.now.0.saturating_sub(record.since.0);
        let waited = seconds_absent.min(age);
        self.note_due(PROVISIONAL_TTL - waited);
        if seconds_absent < PROVISIONAL_TTL {
            return PodState::Unknown;
        }
        let Some(ended) = gone.and_then(|gone| self.ended_for(record, gone)) else {
            return PodState::Unknown;
        };
        let left = self.quarantine(record) - seconds(ended);
        self.note_due(left);
        match left > 0 {
            true => PodState::Unknown,
            false => PodState::Absent,
        }
    }

    fn quarantine(&self, record: &Allocation) -> i64 {
        let pool = self.catalog.pool_config().pool(&record.pool);
        pool.map_or(0, |pool| pool.quarantine)
    }

    /// Returns how long the containers of the recorded pod and its predecessors have ended, given how
    /// long the pod has been gone; `None` if some may still run.
    fn ended_for(&self, record: &Allocation, gone: Duration) -> Option<Duration> {
        let ended = self.ended_on_last_node(record, gone)?;
        record.former_nodes.iter().try_fold(ended, |least, node| {
            let there = self.catalog.nodes().node(node);
            let ended = self.ended_on(record, node, there, gone)?;
            Some(least.min(ended))
        })
    }

    /// Returns how long the containers of the recorded pod itself have ended; `None` if some may still
    /// run.
    fn ended_on_last_node(&self, record: &Allocation, gone: Duration) -> Option<Duration> {
        let node = record.pod.as_ref().and_then(|pod| pod.node.as_deref());
        let Some(node) = node else {
            // It may have run on any node.
            let all = self.catalog.nodes().iter();
            let mut doubtful =
                all.filter(|(name, node)| !node.ready || self.absences.has_recovered(name));
            return doubtful.try_fold(gone, |least, (name, node)| {
                let ended = self.ended_on(record, name, Existence::Present(node), gone)?;
                Some(least.min(ended))
            });
        };
        self.ended_on(record, node, self.catalog.nodes().node(node), gone)
    }

    /// Returns how long the containers on a node have ended; `None` if some may still run.
    fn ended_on(
        &self,
        record: &Allocation,
        name: &str,
        node: Existence<Node>,
        gone: Duration,
    ) -> Option<Duration> {
        let pool = self.catalog.pool_config().pool(&record.pool);
        let lost = pool.map_or(DEFAULT_LOST_NODE_QUARANTINE, |pool| {
            pool.lost_node_quarantine
        });
        let so_for = self.absences.node_state_duration(name, self.instant);
        let if_given_up = |silent: Duration| {
            let left = lost - seconds(silent);
            self.note_due(left);
            (left <= 0).then_some(gone)
        };
        match node {
            Existence::Absent => Some(gone),
            // A recovered node still has to end the containers of pods deleted meanwhile.
            Existence::Present(node) if node.ready => {
                Some(so_for.map_or(gone, |ready| ready.min(gone)))
            }
            Existence::Present(node) if node.out_of_service => Some(gone),
            Existence::Present(_) => if_given_up(so_for.unwrap_or_default()),
            Existence::Unknown => if_given_up(gone),
        }
    }

    /// Returns true if the recorded pod is gone and the holder has no retention guarantee beyond the
    /// quarantine, during which only its next pod may take the record over. A present pod that does not
    /// carry the address may wait for ever, or be refused what it requests. For a record without a UID,
    /// the pod may never have been created, because one of its name existed.
    fn is_abandoned(&self, record: &Allocation) -> bool {
        let pool = self.catalog.pool_config().pool(&record.pool);
        let lasts = |pool: &Arc<Pool>| {
            let keeps = pool.retains(&record.holder, record.address.family());
            keeps || pool.retention == Retention::Workload
        };
        let lasts = record.holder.is_persistent() && pool.is_none_or(lasts);
        let gone = match names_uid(record) {
            true => self.pods.named(record).is_none(),
            false => self
                .absences
                .absent_for(record, self.instant)
                .is_some_and(|unused| seconds(unused) >= PROVISIONAL_TTL),
        };
        gone && !lasts
    }

    /// Returns true if a pod other than the present one was given the address and may still use it.
    fn is_held_by_predecessor(&self, record: &Allocation) -> bool {
        if !names_uid(record) || self.pods.named(record).is_some() {
            return false;
        }
        match self.gone(record) {
            PodState::Gone(since) => self.now < since.plus(self.quarantine(record)),
            _ => true,
        }
    }
}

impl ClusterObserver for ClusterView<'_> {
    fn sees_all_pods(&self) -> bool {
        true
    }

    fn pod(&self, record: &Allocation) -> PodState {
        if !self.pods.users(record).is_empty() && !self.is_abandoned(record) {
            return PodState::Present;
        }
        match record.pod.as_ref().and_then(|pod| pod.uid.as_ref()) {
            Some(_) => self.gone(record),
            None => self.absent(record),
        }
    }

    fn workload(&self, holder: &Holder) -> WorkloadState {
        let workloads = self.catalog.workloads();
        match holder {
            Holder::Replica {
                namespace,
                stateful_set,
                ordinal,
            } => match workloads.stateful_set(namespace, stateful_set) {
                Existence::Present(ordinals) if ordinals.contains(*ordinal) => {
                    WorkloadState::Present
                }
                Existence::Present(_) => WorkloadState::ScaledDown,
                Existence::Absent => WorkloadState::Deleted,
                Existence::Unknown => WorkloadState::Unknown,
            },
            Holder::VirtualMachine { namespace, name } => {
                match workloads.machine(namespace, name) {
                    Existence::Present(()) => WorkloadState::Present,
                    Existence::Absent => WorkloadState::Deleted,
                    Existence::Unknown => WorkloadState::Unknown,
                }
            }
            _ => WorkloadState::Unknown,
        }
    }

    fn interface_state(&self, record: &Allocation) -> InterfaceState {
        let age = self.now.0.saturating_sub(record.since.0);
        self.note_due(PROVISIONAL_TTL - age);
        self.note_due(self.quarantine(record).max(DETACHED_GRACE) - age);
        if self.is_held_by_predecessor(record) {
            return InterfaceState::HeldByPredecessor;
        }
        let users = self.pods.users(record);
        // Until it is bound it may still get the address.
        if users.iter().any(|pod| pod.node.is_none()) {
            return InterfaceState::Attached;
        }
        // Without a UID, the record may be for another pod of that name, which was never created.
        let named = self.pods.named(record).filter(|_| names_uid(record));
        let has = |pod: &&Pod| {
            let own = named.is_some_and(|named| std::ptr::eq(named, *pod));
            has_interface(pod, record, own, self.multus_namespace)
        };
        if !users.iter().any(has) {
            return InterfaceState::Detached;
        }
        let node = record.pod.as_ref().and_then(|pod| pod.node.as_deref());
        let elsewhere = |pod: &Pod| node.is_some() && pod.node.as_deref() != node;
        match (named, &users[..]) {
            (Some(pod), [_]) if elsewhere(pod) => InterfaceState::OnOtherNode,
            _ => InterfaceState::Attached,
        }
    }
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
