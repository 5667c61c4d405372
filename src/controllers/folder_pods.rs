//! What the folder has shown of pods.

use std::collections::{HashMap, HashSet};

use crate::{
    allocation::{
        Allocation, Holder, Timestamp,
        reconcile::{Observer, PodState, WorkloadState},
    },
    catalog::Catalog,
};

/// A pod's namespace and name.
type PodKey = (Box<str>, Box<str>);

/// The pods that a folder shows, and those that it does not show any more. What it never showed may
/// run all the same: a folder is no list of everything.
#[derive(Debug, Default)]
pub(super) struct FolderPods {
    present: HashSet<PodKey>,
    gone: HashMap<PodKey, Timestamp>,
}

impl FolderPods {
    /// Looks at a catalog.
    pub(super) fn look(&mut self, catalog: &Catalog, now: Timestamp) {
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

    /// Whether some pod is gone, so that time alone may change what is to be done.
    pub(super) fn any_gone(&self) -> bool {
        !self.gone.is_empty()
    }

    /// Forgets pods that have been gone since before `then`: what they held is free or kept for good.
    pub(super) fn forget_before(&mut self, then: Timestamp) {
        self.gone.retain(|_, since| *since >= then);
    }
}

impl Observer for FolderPods {
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
