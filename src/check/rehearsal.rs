//! What pools would give to the pods of the files, one after the other.

use std::{collections::HashMap, sync::Arc};

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

/// A pod's place: its file, and its place among the file's objects.
pub(super) type Place = (usize, usize);

/// What is refused to pods, if all of the files were applied to an empty cluster.
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
    /// Gives every pod its addresses: first what networks configure, then to the pods that name
    /// theirs, then to the others.
    pub(super) fn of(read: &[Vec<Located<Manifest>>], catalog: &Catalog, policy: &Policy) -> Self {
        if catalog.layout().pools.is_empty() {
            return Self::default();
        }
        let mut stage = Stage::new(catalog, policy);
        let pods = read.iter().enumerate().flat_map(|(file, objects)| {
            let objects = objects.iter().enumerate();
            objects.filter_map(move |(place, object)| match &object.value {
                Manifest::Pod(pod) if !pod.finished => Some(((file, place), pod)),
                _ => None,
            })
        });
        let mut refused = HashMap::new();
        let mut waiting = Vec::new();
        for (place, pod) in pods {
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
    fn new(catalog: &'a Catalog, policy: &'a Policy) -> Self {
        let mut stage = Self {
            catalog,
            policy,
            index: Index::default(),
            written: 0,
        };
        let layout = Arc::clone(catalog.layout());
        stage.index.sync(&layout);
        let in_use = catalog.addresses_in_use(&policy.multus_namespace);
        let configured: Vec<InUse> = in_use
            .into_iter()
            .filter(|one| matches!(one.holder, Holder::Network { .. }))
            .collect();
        let actions = reconcile([], &layout, &configured, &Still, Timestamp::default());
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

/// As whom a pod asks. One without a name is another pod than every other.
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
        token: name.is_empty().then_some(&*token),
    };
    identity.asker()
}
