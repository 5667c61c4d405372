//! The state of the pods and workloads behind records, from the catalog and the tracked absences.

use core::time::Duration;
use std::{cell::Cell, sync::Arc};

use crate::{
    MonotonicTime,
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

/// The lost-node quarantine of records whose pool is gone; the same as the default of pools.
const DEFAULT_LOST_NODE_QUARANTINE: Duration = Duration::from_secs(600);

/// The state of a record's pod, with the reason if its address must be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PodVerdict {
    /// A pod exists that may use the address.
    Present,
    /// The recorded pod is gone, and its containers ended at least this long ago.
    Ended(Duration),
    /// The pod is gone, but its containers may still run.
    MayRun(MayStillRun),
    /// The record names no UID, and its pod may still be created: it was unused for too short a time.
    Provisional,
    /// The record names no UID, and a pod may have ended within the pool's quarantine.
    InQuarantine,
    /// The record names no UID, and no pod of it was seen for long enough.
    NeverCame,
    /// The absence of the pod is not tracked.
    Untracked,
}

/// The reason why the containers of a missing pod may still run: a node that does not vouch for their
/// end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MayStillRun {
    /// The node's name.
    pub(crate) node: Box<str>,
    /// The time after which the node is given up.
    pub(crate) left: Duration,
}

/// A [`ClusterObserver`] on a catalog.
pub(crate) struct ClusterView<'c> {
    pub(crate) catalog: &'c Catalog,
    pub(crate) pods: &'c PodIndex<'c>,
    pub(crate) absences: &'c AbsenceTracker,
    pub(crate) multus_namespace: &'c str,
    pub(crate) now: Timestamp,
    pub(crate) instant: MonotonicTime,
    /// The time after which the result may differ although nothing changes.
    pub(crate) due: Cell<Option<Duration>>,
}

impl ClusterView<'_> {
    fn note_due(&self, left: Duration) {
        if !left.is_zero() {
            let due = self.due.get().map_or(left, |due| due.min(left));
            self.due.set(Some(due));
        }
    }

    /// Returns the state of the pod of a record.
    pub(crate) fn verdict(&self, record: &Allocation) -> PodVerdict {
        if !self.pods.users(record).is_empty() && !self.is_abandoned(record) {
            return PodVerdict::Present;
        }
        match names_uid(record) {
            true => self.gone(record),
            false => self.absent(record),
        }
    }

    /// Returns the state of a missing pod whose UID is recorded. Whether its containers have ended
    /// depends on its node.
    fn gone(&self, record: &Allocation) -> PodVerdict {
        let Some(gone) = self.absences.absent_for(record, self.instant) else {
            return PodVerdict::Untracked;
        };
        match self.ended_for(record, gone) {
            Err(running) => PodVerdict::MayRun(running),
            Ok(ended) => {
                let ended = whole_seconds(ended);
                self.note_due(self.quarantine(record).saturating_sub(ended));
                PodVerdict::Ended(ended)
            }
        }
    }

    /// Returns the state of a missing pod without a recorded UID. It may not be created yet, or it may
    /// have existed before its UID could be recorded, with containers that still run.
    fn absent(&self, record: &Allocation) -> PodVerdict {
        let gone = self.absences.absent_for(record, self.instant);
        let gone = gone.unwrap_or_default();
        let unused = PROVISIONAL_TTL.saturating_sub(whole_seconds(gone));
        self.note_due(unused.max(self.left_of(record, PROVISIONAL_TTL)));
        if gone < PROVISIONAL_TTL {
            return PodVerdict::Provisional;
        }
        let ended = match self.ended_for(record, gone) {
            Ok(ended) => ended,
            Err(running) => return PodVerdict::MayRun(running),
        };
        let left = self.quarantine(record).saturating_sub(whole_seconds(ended));
        self.note_due(left);
        match left.is_zero() {
            true => PodVerdict::NeverCame,
            false => PodVerdict::InQuarantine,
        }
    }

    fn quarantine(&self, record: &Allocation) -> Duration {
        let pool = self.catalog.pool_config().pool(&record.pool);
        pool.map_or(Duration::ZERO, |pool| pool.quarantine)
    }

    /// Returns the time until a record reaches an age.
    fn left_of(&self, record: &Allocation, age: Duration) -> Duration {
        record.since.plus(age).since(self.now)
    }

    /// Returns how long the containers of the recorded pod and its predecessors have ended, given how
    /// long the pod has been gone.
    fn ended_for(&self, record: &Allocation, gone: Duration) -> Result<Duration, MayStillRun> {
        let ended = self.ended_on_last_node(record, gone)?;
        record.former_nodes.iter().try_fold(ended, |least, node| {
            let there = self.catalog.nodes().node(node);
            let ended = self.ended_on(record, node, there, gone)?;
            Ok(least.min(ended))
        })
    }

    /// Returns how long the containers of the recorded pod itself have ended.
    fn ended_on_last_node(
        &self,
        record: &Allocation,
        gone: Duration,
    ) -> Result<Duration, MayStillRun> {
        let node = record.pod.as_ref().and_then(|pod| pod.node.as_deref());
        let Some(node) = node else {
            // It may have run on any node.
            let all = self.catalog.nodes().iter();
            let mut doubtful =
                all.filter(|(name, node)| !node.ready || self.absences.has_recovered(name));
            return doubtful.try_fold(gone, |least, (name, node)| {
                let ended = self.ended_on(record, name, Existence::Present(node), gone)?;
                Ok(least.min(ended))
            });
        };
        self.ended_on(record, node, self.catalog.nodes().node(node), gone)
    }

    /// Returns how long the containers on a node have ended.
    fn ended_on(
        &self,
        record: &Allocation,
        name: &str,
        node: Existence<Node>,
        gone: Duration,
    ) -> Result<Duration, MayStillRun> {
        let pool = self.catalog.pool_config().pool(&record.pool);
        let lost = pool.map_or(DEFAULT_LOST_NODE_QUARANTINE, |pool| {
            pool.lost_node_quarantine
        });
        let in_state_for = self.absences.node_state_duration(name, self.instant);
        let if_given_up = |silent: Duration| {
            let left = lost.saturating_sub(whole_seconds(silent));
            self.note_due(left);
            match left.is_zero() {
                true => Ok(gone),
                false => Err(MayStillRun {
                    node: name.into(),
                    left,
                }),
            }
        };
        match node {
            Existence::Absent => Ok(gone),
            // A recovered node still has to end the containers of pods deleted meanwhile.
            Existence::Present(node) if node.ready => {
                Ok(in_state_for.map_or(gone, |ready| ready.min(gone)))
            }
            Existence::Present(node) if node.out_of_service => Ok(gone),
            Existence::Present(_) => if_given_up(in_state_for.unwrap_or_default()),
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
                .is_some_and(|unused| unused >= PROVISIONAL_TTL),
        };
        gone && !lasts
    }

    /// Returns true if a pod other than the present one was given the address and may still use it.
    fn is_held_by_predecessor(&self, record: &Allocation) -> bool {
        if !names_uid(record) || self.pods.named(record).is_some() {
            return self.may_run_on_former_node(record);
        }
        match self.gone(record) {
            PodVerdict::Ended(ended) => {
                let since = self.now.minus(ended).max(record.since);
                self.now < since.plus(self.quarantine(record))
            }
            _ => true,
        }
    }

    /// Returns true if containers of an earlier pod may run on one of the record's former nodes, or
    /// ended there within the quarantine. That pod was gone when the record last changed.
    fn may_run_on_former_node(&self, record: &Allocation) -> bool {
        let gone = self.now.since(record.since);
        let quarantine = self.quarantine(record);
        record.former_nodes.iter().any(|node| {
            let there = self.catalog.nodes().node(node);
            self.ended_on(record, node, there, gone)
                .map_or(true, |ended| {
                    let left = quarantine.saturating_sub(whole_seconds(ended));
                    self.note_due(left);
                    !left.is_zero()
                })
        })
    }
}

impl ClusterObserver for ClusterView<'_> {
    fn sees_all_pods(&self) -> bool {
        true
    }

    fn may_use(&self, pool: &Pool, namespace: &str) -> bool {
        pool.serves(&self.catalog.namespace_labels(namespace))
    }

    fn pod(&self, record: &Allocation) -> PodState {
        match self.verdict(record) {
            PodVerdict::Present => PodState::Present,
            PodVerdict::Ended(ended) => PodState::gone_since(self.now.minus(ended), record),
            PodVerdict::NeverCame => PodState::Absent,
            PodVerdict::MayRun(_)
            | PodVerdict::Provisional
            | PodVerdict::InQuarantine
            | PodVerdict::Untracked => PodState::Unknown,
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
        self.note_due(self.left_of(record, PROVISIONAL_TTL));
        let detached = self.quarantine(record).max(DETACHED_GRACE);
        self.note_due(self.left_of(record, detached));
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

/// Drops the fraction of a second: records are dated in whole seconds.
fn whole_seconds(duration: Duration) -> Duration {
    Duration::from_secs(duration.as_secs())
}
