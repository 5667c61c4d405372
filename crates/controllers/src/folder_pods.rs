//! The pods that a folder of manifests contains or used to contain.

use std::collections::{HashMap, HashSet};

use nadmit_allocation::{
    Allocation, Holder, Timestamp,
    reconcile::{ClusterObserver, PodState, WorkloadState},
};
use nadmit_catalog::Catalog;

/// A pod's namespace and name.
type PodKey = (Box<str>, Box<str>);

/// The pods in a folder, and those removed from it. A pod that was never in the folder may run all the
/// same: a folder does not list every pod.
#[derive(Debug, Default)]
pub(super) struct FolderPods {
    present: HashSet<PodKey>,
    gone: HashMap<PodKey, Timestamp>,
}

impl FolderPods {
    /// Updates the pods from a new catalog.
    pub(super) fn update(&mut self, catalog: &Catalog, now: Timestamp) {
        let present: HashSet<PodKey> = catalog
            .pods()
            .map(|pod| (pod.namespace.clone(), pod.name.clone()))
            .collect();
        for name in self.present.difference(&present) {
            self.gone.entry(name.clone()).or_insert(now);
        }
        self.gone.retain(|name, _| !present.contains(name));
        self.present = present;
    }

    /// Returns true if some pod was removed, so that the passing of time alone may change what to do.
    pub(super) fn any_gone(&self) -> bool {
        !self.gone.is_empty()
    }

    /// Forgets pods removed before `then`. Their addresses are free by now, or kept permanently.
    pub(super) fn forget_before(&mut self, then: Timestamp) {
        self.gone.retain(|_, since| *since >= then);
    }
}

impl ClusterObserver for FolderPods {
    fn pod(&self, allocation: &Allocation) -> PodState {
        let name = match (&allocation.pod, &allocation.holder) {
            (Some(pod), _) => &pod.name,
            (None, Holder::Pod { name, .. }) => name,
            (None, _) => return PodState::Unknown,
        };
        let key: PodKey = ((**allocation.holder.namespace()).into(), (**name).into());
        if self.present.contains(&key) {
            return PodState::Present;
        }
        self.gone
            .get(&key)
            .map_or(PodState::Unknown, |since| PodState::Gone(*since))
    }

    fn workload(&self, _: &Holder) -> WorkloadState {
        WorkloadState::Unknown
    }
}
