//! What a catalog, and the memory of those before it, say of the pods and workloads behind records.

use std::cell::Cell;

use tokio::time::{Duration, Instant};

use super::{
    memory::Memory,
    pods::{Pods, has_interface},
};
use crate::{
    allocation::{
        Allocation, Holder, Timestamp,
        reconcile::{LET_GO, Observer, PROVISIONAL, PodState, Tie, WorkloadState},
    },
    catalog::{Catalog, Existence, Pod},
};

/// How long, in seconds, what a pod had on a node that does not answer is kept if its pool is gone: as
/// pools do that do not say.
const LOST: i64 = 600;

/// What is seen of pods and workloads.
pub(super) struct Observed<'c> {
    pub(super) catalog: &'c Catalog,
    pub(super) pods: &'c Pods<'c>,
    pub(super) memory: &'c Memory,
    pub(super) default_home: &'c str,
    pub(super) now: Timestamp,
    pub(super) instant: Instant,
    /// In how many seconds the same look may say more, with nothing changed.
    pub(super) due: Cell<Option<i64>>,
}

impl Observed<'_> {
    fn note(&self, seconds: i64) {
        if seconds > 0 {
            let due = self.due.get().map_or(seconds, |due| due.min(seconds));
            self.due.set(Some(due));
        }
    }

    /// A pod that had a UID, and is gone. Whether its containers are, its node knows.
    fn gone(&self, record: &Allocation) -> PodState {
        let Some(gone) = self.memory.gone_for(record, self.instant) else {
            return PodState::Unknown;
        };
        let pool = self.catalog.layout().pool(&record.pool);
        let lost = pool.map_or(LOST, |pool| pool.lost_node_quarantine);
        let node = record.pod.as_ref().and_then(|pod| pod.node.as_deref());
        let so_for = |node| self.memory.node_so_for(node, self.instant);
        let wait = |silent: Duration| {
            let left = lost - seconds(silent);
            self.note(left);
            left > 0
        };
        let gone = match node.map(|node| (node, self.catalog.nodes().node(node))) {
            None | Some((_, Existence::Absent)) => gone,
            Some((name, Existence::Present(node))) if node.ready => {
                // One that is back still has to end what it did not hear of.
                so_for(name).map_or(gone, |ready| ready.min(gone))
            }
            Some((_, Existence::Present(node))) if node.out_of_service => gone,
            Some((name, Existence::Present(_))) => {
                if wait(so_for(name).unwrap_or_default()) {
                    return PodState::Unknown;
                }
                gone
            }
            Some((_, Existence::Unknown)) => {
                if wait(gone) {
                    return PodState::Unknown;
                }
                gone
            }
        };
        let gone = seconds(gone);
        self.note(pool.map_or(0, |pool| pool.quarantine) - gone);
        PodState::gone_since(self.now.plus(-gone), record)
    }

    /// A pod of which nobody knows a UID: it may be on its way.
    fn absent(&self, record: &Allocation) -> PodState {
        let looked = self
            .memory
            .gone_for(record, self.instant)
            .map_or(0, seconds);
        let age = self.now.0.saturating_sub(record.since.0);
        let waited = looked.min(age);
        self.note(PROVISIONAL - waited);
        if looked < PROVISIONAL {
            return PodState::Unknown;
        }
        PodState::Absent
    }

    /// Whether another pod than that which is there was given the address, and may use it.
    fn is_elsewhere(&self, record: &Allocation) -> bool {
        let had_uid = record.pod.as_ref().is_some_and(|pod| pod.uid.is_some());
        if !had_uid || self.pods.named(record).is_some() {
            return false;
        }
        let pool = self.catalog.layout().pool(&record.pool);
        let quarantine = pool.map_or(0, |pool| pool.quarantine);
        match self.gone(record) {
            PodState::Gone(since) => self.now < since.plus(quarantine),
            _ => true,
        }
    }
}

impl Observer for Observed<'_> {
    fn pod(&self, record: &Allocation) -> PodState {
        if !self.pods.users(record).is_empty() {
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
            Holder::Machine { namespace, name } => match workloads.machine(namespace, name) {
                Existence::Present(()) => WorkloadState::Present,
                Existence::Absent => WorkloadState::Deleted,
                Existence::Unknown => WorkloadState::Unknown,
            },
            _ => WorkloadState::Unknown,
        }
    }

    fn tie(&self, record: &Allocation) -> Tie {
        let age = self.now.0.saturating_sub(record.since.0);
        let pool = self.catalog.layout().pool(&record.pool);
        let quarantine = pool.map_or(0, |pool| pool.quarantine);
        self.note(PROVISIONAL - age);
        self.note(quarantine.max(LET_GO) - age);
        if self.is_elsewhere(record) {
            return Tie::Elsewhere;
        }
        let users = self.pods.users(record);
        // Until it is bound it may come to have the address.
        if users.iter().any(|pod| pod.node.is_none()) {
            return Tie::Has;
        }
        let node = record.pod.as_ref().and_then(|pod| pod.node.as_deref());
        if let (Some(node), Some(pod), [_]) = (node, self.pods.named(record), &users[..])
            && pod.node.as_deref() != Some(node)
        {
            return Tie::Moved;
        }
        let named = self.pods.named(record);
        let has = |pod: &&Pod| {
            let own = named.is_some_and(|named| std::ptr::eq(named, *pod));
            has_interface(pod, record, own, self.default_home)
        };
        match users.iter().any(has) {
            true => Tie::Has,
            false => Tie::Dropped,
        }
    }
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
