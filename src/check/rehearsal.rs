//! What pools would give to pods, one after the other, and what those that run carry already.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use crate::{
    allocation::{
        Allocation, Controller, Holder, Identity, Index, Stored, Timestamp, Version,
        index::{Ask, Asker},
        reconcile::{InUse, Observer, PodState, WorkloadState, reconcile},
    },
    catalog::Catalog,
    manifests::{Located, Manifest, PodManifest, PodName},
    network::annotations,
    rules::{
        Finding, PodSubject, Policy,
        allocation::{AllocationSubject, asks, can_be_served},
        judge::judge_allocation,
    },
};

use super::shared::Shared;

/// A pod's place: its file, and its place among the file's objects.
pub(super) type Place = (usize, usize);

/// What the pods that were read are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pods {
    /// Manifests: they have nothing yet, and hold what they are given in their turn.
    Written,
    /// Pods of a cluster: they hold what they carry.
    Running,
}

/// What is refused to pods, if all of the files were applied.
#[derive(Debug, Default)]
pub(super) struct Rehearsal(HashMap<Place, Vec<Finding>>);

/// Nothing comes and goes while files are read.
struct Still;

impl Observer for Still {
    fn pod(&self, _: &Allocation) -> PodState {
        PodState::Present
    }

    fn workload(&self, _: &Holder) -> WorkloadState {
        WorkloadState::Present
    }
}

impl Rehearsal {
    /// Gives every pod its addresses: first what networks configure and running pods carry, then to
    /// the pods that name theirs, then to the others.
    pub(super) fn of(
        read: &[Vec<Located<Manifest>>],
        pods_are: Pods,
        catalog: &Catalog,
        policy: &Policy,
    ) -> Self {
        if catalog.layout().pools.is_empty() {
            return Self::default();
        }
        let mut in_use = catalog.addresses_in_use(&policy.multus_namespace);
        if pods_are == Pods::Written {
            let written = written(read);
            in_use.retain(|one| pod_of(one).is_none_or(|pod| !written.contains(&pod)));
        }
        let mut stage = Stage::new(catalog, policy, &in_use);
        let pods = read.iter().enumerate().flat_map(|(file, objects)| {
            let objects = objects.iter().enumerate();
            objects.filter_map(move |(place, object)| match &object.value {
                Manifest::Pod(pod) if !pod.finished => Some(((file, place), pod)),
                _ => None,
            })
        });
        let mut refused = HashMap::new();
        let shared = Shared::of(&in_use, catalog.layout());
        let mut waiting = Vec::new();
        for (place, pod) in pods {
            let shared = match pods_are {
                Pods::Running => shared.findings(&stage.subject(pod), pod),
                Pods::Written => Vec::new(),
            };
            if !shared.is_empty() {
                refused.insert(place, shared);
                continue;
            }
            match stage.asks(pod) {
                Some(asks) if asks.iter().any(|ask| !ask.ips.is_empty()) => {
                    refused.insert(place, stage.play(place, pod));
                }
                Some(_) => waiting.push((place, pod)),
                None => {}
            }
        }
        for (place, pod) in waiting {
            refused.insert(place, stage.play(place, pod));
        }
        Self(refused)
    }

    /// What is refused to the pod there.
    pub(super) fn findings(&self, place: Place) -> Vec<Finding> {
        self.0.get(&place).cloned().unwrap_or_default()
    }
}

struct Stage<'a> {
    catalog: &'a Catalog,
    policy: &'a Policy,
    index: Index,
    written: u64,
}

impl<'a> Stage<'a> {
    fn new(catalog: &'a Catalog, policy: &'a Policy, in_use: &[InUse]) -> Self {
        let mut stage = Self {
            catalog,
            policy,
            index: Index::default(),
            written: 0,
        };
        let layout = Arc::clone(catalog.layout());
        stage.index.sync(&layout);
        let actions = reconcile([], &layout, in_use, &Still, Timestamp::default());
        for write in actions.into_iter().filter_map(|action| action.write) {
            let stored = Stored {
                allocation: write.allocation().clone(),
                version: stage.version(),
            };
            stage.index.apply(stored);
        }
        for pool in layout.pools.keys() {
            stage.index.set_ready(pool);
        }
        stage
    }

    fn version(&mut self) -> Version {
        self.written += 1;
        Version(self.written)
    }

    fn subject<'p>(&self, pod: &'p PodManifest) -> PodSubject<'p>
    where
        'a: 'p,
    {
        let text = |key| pod.annotation(key).map(|text| &*text.value);
        PodSubject::new(
            &pod.namespace,
            pod.host_network,
            text(annotations::NETWORKS),
            text(annotations::DEFAULT_NETWORK),
            self.policy,
            self.catalog,
        )
    }

    /// What the pod asks of pools, if that can be served at all.
    fn asks(&self, pod: &PodManifest) -> Option<Vec<Ask>> {
        let subject = self.subject(pod);
        let attachments = asks(&subject);
        let served = !attachments.is_empty() && can_be_served(&subject, &attachments);
        served.then(|| attachments.into_iter().map(|one| one.ask).collect())
    }

    fn play(&mut self, place: Place, pod: &PodManifest) -> Vec<Finding> {
        let (Some(asks), Some(asker)) = (self.asks(pod), asker(place, pod)) else {
            return Vec::new();
        };
        let refused = match self.index.plan(&asker, &asks, Timestamp::default()) {
            Ok(planned) => {
                let versions: Vec<Version> =
                    planned.writes.iter().map(|_| self.version()).collect();
                self.index.confirm(planned.ticket, &versions);
                return Vec::new();
            }
            Err(refused) => refused,
        };
        let subject = self.subject(pod);
        let attachments = rules_asks(&subject);
        let refused: Vec<_> = refused
            .into_iter()
            .filter_map(|one| Some((*attachments.get(one.ask)?, one.refusal)))
            .collect();
        judge_allocation(&AllocationSubject {
            pod: &subject,
            refused: &refused,
        })
    }
}

/// The places of the attachments that ask pools.
fn rules_asks(subject: &PodSubject<'_>) -> Vec<usize> {
    asks(subject)
        .into_iter()
        .map(|one| one.attachment)
        .collect()
}

/// The pods among manifests: namespaces and names.
fn written(read: &[Vec<Located<Manifest>>]) -> HashSet<(&str, &str)> {
    let objects = read.iter().flatten();
    let names = objects.filter_map(|object| match &object.value {
        Manifest::Pod(pod) => match &pod.name {
            PodName::Given(name) => Some((&*pod.namespace, &**name)),
            PodName::Generated(_) => None,
        },
        _ => None,
    });
    names.collect()
}

/// Namespace and name of the pod that uses an address.
pub(super) fn pod_of(one: &InUse) -> Option<(&str, &str)> {
    Some((one.holder.namespace(), &one.pod.as_ref()?.name))
}

/// As whom a pod asks. One without a name is another pod than every other; one whose name was made
/// after it was given something carries the token under which it holds that.
fn asker(place: Place, pod: &PodManifest) -> Option<Asker> {
    let token = format!("{}-{}", place.0, place.1);
    let (name, generate_name) = match &pod.name {
        PodName::Given(name) => (&**name, &*pod.identity.generate_name),
        PodName::Generated(prefix) => ("", &**prefix),
    };
    let controller = pod.identity.controller.as_ref();
    let identity = Identity {
        namespace: &pod.namespace,
        name,
        generate_name,
        uid: pod.identity.uid.as_deref(),
        controller: controller.map(|[api_version, kind, name]| Controller {
            api_version,
            kind,
            name,
        }),
        token: match pod.annotation(annotations::HOLDER_TOKEN) {
            Some(carried) => Some(&*carried.value),
            None => name.is_empty().then_some(&*token),
        },
    };
    identity.asker()
}
