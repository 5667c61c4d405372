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
        allocation::{AllocationSubject, PoolRequest, attachment_requests, can_be_served},
        judge::judge_allocation,
    },
};

use super::shared_addresses::SharedAddresses;

/// A pod's place: its file, and its place among the file's objects.
pub(super) type ObjectIndex = (usize, usize);

/// What the pods that were read are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PodSource {
    /// Manifests: they have nothing yet, and hold what they are given in their turn.
    Manifests,
    /// Pods of a cluster: they hold what they carry.
    Cluster,
}

/// What is refused to pods, if all of the files were applied.
#[derive(Debug, Default)]
pub(super) struct AllocationDryRun(HashMap<ObjectIndex, Vec<Finding>>);

impl AllocationDryRun {
    /// Gives every pod its addresses: first what networks configure and running pods carry, then to
    /// the pods that name theirs, then to the others.
    pub(super) fn of(
        read: &[Vec<Located<Manifest>>],
        pods_are: PodSource,
        catalog: &Catalog,
        policy: &Policy,
    ) -> Self {
        if catalog.pool_config().pools.is_empty() {
            return Self::default();
        }
        let mut in_use = catalog.addresses_in_use(&policy.multus_namespace);
        if pods_are == PodSource::Manifests {
            let written = manifest_pod_names(read);
            in_use.retain(|one| pod_of(one).is_none_or(|pod| !written.contains(&pod)));
        }
        let mut simulator = Simulator::new(catalog, policy, &in_use);
        let pods = read.iter().enumerate().flat_map(|(file, objects)| {
            let objects = objects.iter().enumerate();
            objects.filter_map(move |(position, object)| match &object.value {
                Manifest::Pod(pod) if !pod.finished => Some(((file, position), pod)),
                _ => None,
            })
        });
        let mut refused = HashMap::new();
        let shared = SharedAddresses::of(&in_use, catalog.pool_config());
        let mut waiting = Vec::new();
        for (position, pod) in pods {
            let subject = simulator.subject(pod);
            let shared = match pods_are {
                PodSource::Cluster => shared.findings(&subject, pod),
                PodSource::Manifests => Vec::new(),
            };
            if !shared.is_empty() {
                refused.insert(position, shared);
                continue;
            }
            let attachments = attachment_requests(&subject);
            let (true, Some(requester)) = (can_be_served(&subject), requester_of(position, pod))
            else {
                continue;
            };
            let request = PodRequest {
                position,
                subject,
                attachments,
                requester,
            };
            if request.names_addresses() {
                refused.insert(position, simulator.allocate(&request));
            } else {
                waiting.push(request);
            }
        }
        for request in waiting {
            refused.insert(request.position, simulator.allocate(&request));
        }
        Self(refused)
    }

    /// What is refused to the pod there.
    pub(super) fn findings(&self, position: ObjectIndex) -> Vec<Finding> {
        self.0.get(&position).cloned().unwrap_or_default()
    }
}

struct Simulator<'a> {
    catalog: &'a Catalog,
    policy: &'a Policy,
    index: Index,
    written: u64,
}

impl<'a> Simulator<'a> {
    fn new(catalog: &'a Catalog, policy: &'a Policy, in_use: &[InUse]) -> Self {
        let mut simulator = Self {
            catalog,
            policy,
            index: Index::default(),
            written: 0,
        };
        let layout = Arc::clone(catalog.pool_config());
        simulator.index.sync(&layout);
        let actions = adopt(&layout, in_use, Timestamp::default());
        for write in actions.into_iter().filter_map(|action| action.write) {
            let stored = Stored {
                allocation: write.allocation().clone(),
                version: simulator.version(),
            };
            simulator.index.apply(stored);
        }
        for pool in layout.pools.keys() {
            simulator.index.set_ready(pool);
        }
        simulator
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

    fn allocate(&mut self, request: &PodRequest<'_>) -> Vec<Finding> {
        let asks: Vec<AttachmentRequest> = request
            .attachments
            .iter()
            .map(|one| one.request.clone())
            .collect();
        let refused = match self
            .index
            .plan(&request.requester, &asks, Timestamp::default())
        {
            Ok(planned) => {
                let versions: Vec<Version> =
                    planned.writes.iter().map(|_| self.version()).collect();
                self.index.commit(planned.id, &versions);
                return Vec::new();
            }
            Err(refused) => refused,
        };
        // Which node a pod comes to, files do not say.
        let sliced = |one: &Rejection| matches!(one.error, AllocationError::SlicesUnsupported(_));
        let refused: Vec<_> = refused
            .into_iter()
            .filter(|one| !sliced(one))
            .filter_map(|one| Some((request.attachments.get(one.request)?.attachment, one.error)))
            .collect();
        judge_allocation(&AllocationSubject {
            pod: &request.subject,
            errors: &refused,
        })
    }
}

/// A pod that asks pools, and its place.
struct PodRequest<'p> {
    position: ObjectIndex,
    subject: PodSubject<'p>,
    attachments: Vec<PoolRequest>,
    requester: Requester,
}

impl PodRequest<'_> {
    fn names_addresses(&self) -> bool {
        self.attachments
            .iter()
            .any(|one| !one.request.ips.is_empty())
    }
}

/// The pods among manifests: namespaces and names.
fn manifest_pod_names(read: &[Vec<Located<Manifest>>]) -> HashSet<(&str, &str)> {
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
fn requester_of(position: ObjectIndex, pod: &PodManifest) -> Option<Requester> {
    let token = format!("{}-{}", position.0, position.1);
    let unnamed = matches!(pod.name, PodName::Generated(_));
    let token = pod.token().or(unnamed.then_some(&*token));
    pod.identity_with_token(token).requester()
}
