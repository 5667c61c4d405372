//! What pools would give to pods, one after the other, and what those that run carry already.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use crate::{
    allocation::{
        AllocationError, Index, Stored, Timestamp, Version,
        index::{AttachmentRequest, Rejection, Requester},
        reconcile::{InUse, adopt},
    },
    catalog::Catalog,
    manifests::{Located, Manifest, PodManifest, PodName},
    network::annotations,
    rules::{
        Finding, PodSubject, Policy,
        allocation::{AllocationSubject, PoolAttachment, asks, can_be_served},
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

impl Rehearsal {
    /// Gives every pod its addresses: first what networks configure and running pods carry, then to
    /// the pods that name theirs, then to the others.
    pub(super) fn of(
        read: &[Vec<Located<Manifest>>],
        pods_are: Pods,
        catalog: &Catalog,
        policy: &Policy,
    ) -> Self {
        if catalog.pool_config().pools.is_empty() {
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
        let shared = Shared::of(&in_use, catalog.pool_config());
        let mut waiting = Vec::new();
        for (place, pod) in pods {
            let subject = stage.subject(pod);
            let shared = match pods_are {
                Pods::Running => shared.findings(&subject, pod),
                Pods::Written => Vec::new(),
            };
            if !shared.is_empty() {
                refused.insert(place, shared);
                continue;
            }
            let attachments = asks(&subject);
            let (true, Some(asker)) = (can_be_served(&subject), asker(place, pod)) else {
                continue;
            };
            let turn = Turn {
                place,
                subject,
                attachments,
                asker,
            };
            if turn.names_addresses() {
                refused.insert(place, stage.play(&turn));
            } else {
                waiting.push(turn);
            }
        }
        for turn in waiting {
            refused.insert(turn.place, stage.play(&turn));
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
        let layout = Arc::clone(catalog.pool_config());
        stage.index.sync(&layout);
        let actions = adopt(&layout, in_use, Timestamp::default());
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

    fn play(&mut self, turn: &Turn<'_>) -> Vec<Finding> {
        let asks: Vec<AttachmentRequest> =
            turn.attachments.iter().map(|one| one.ask.clone()).collect();
        let refused = match self.index.plan(&turn.asker, &asks, Timestamp::default()) {
            Ok(planned) => {
                let versions: Vec<Version> =
                    planned.writes.iter().map(|_| self.version()).collect();
                self.index.commit(planned.ticket, &versions);
                return Vec::new();
            }
            Err(refused) => refused,
        };
        // Which node a pod comes to, files do not say.
        let sliced = |one: &Rejection| matches!(one.refusal, AllocationError::SlicesUnsupported(_));
        let refused: Vec<_> = refused
            .into_iter()
            .filter(|one| !sliced(one))
            .filter_map(|one| Some((turn.attachments.get(one.request)?.attachment, one.refusal)))
            .collect();
        judge_allocation(&AllocationSubject {
            pod: &turn.subject,
            refused: &refused,
        })
    }
}

/// A pod that asks pools, and its place.
struct Turn<'p> {
    place: Place,
    subject: PodSubject<'p>,
    attachments: Vec<PoolAttachment>,
    asker: Requester,
}

impl Turn<'_> {
    fn names_addresses(&self) -> bool {
        self.attachments.iter().any(|one| !one.ask.ips.is_empty())
    }
}

/// The pods among manifests: namespaces and names.
fn written(read: &[Vec<Located<Manifest>>]) -> HashSet<(&str, &str)> {
    let objects = read.iter().flatten();
    let names = objects.filter_map(|object| match &object.value {
        Manifest::Pod(pod) => match &pod.name {
            PodName::Explicit(name) => Some((&*pod.namespace, &**name)),
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
fn asker(place: Place, pod: &PodManifest) -> Option<Requester> {
    let token = format!("{}-{}", place.0, place.1);
    let unnamed = matches!(pod.name, PodName::Generated(_));
    let token = pod.token().or(unnamed.then_some(&*token));
    pod.identity_with_token(token).requester()
}
