//! A dry run of allocation: pools allocate to the input's pods one after the other, in an index
//! that holds what running pods and networks use already.

use std::collections::{HashMap, HashSet};

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

use super::shared_addresses::{SharedAddresses, pod_of};

/// The index of a pod's file, and its index among the file's objects.
pub(super) type ObjectIndex = (usize, usize);

/// The origin of the pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PodSource {
    /// Manifests: their pods hold nothing yet, and are allocated addresses in turn.
    Manifests,
    /// A cluster: its pods hold the addresses they use.
    Cluster,
}

/// The findings on pods that would be rejected if all of the files were applied.
#[derive(Debug, Default)]
pub(super) struct AllocationDryRun(HashMap<ObjectIndex, Vec<Finding>>);

impl AllocationDryRun {
    /// Runs the allocation: first the addresses that networks configure and running pods use, then
    /// the pods that request addresses, then the others.
    pub(super) fn of(
        read: &[Vec<Located<Manifest>>],
        source: PodSource,
        catalog: &Catalog,
        policy: &Policy,
    ) -> Self {
        if catalog.pool_config().pools.is_empty() {
            return Self::default();
        }
        let mut in_use = catalog.addresses_in_use(&policy.multus_namespace);
        if source == PodSource::Manifests {
            let manifest_pods = manifest_pod_names(read);
            in_use.retain(|one| pod_of(one).is_none_or(|pod| !manifest_pods.contains(&pod)));
        }
        let mut simulator = Simulator::new(catalog, policy, &in_use);
        let pods = read.iter().enumerate().flat_map(|(file, objects)| {
            let objects = objects.iter().enumerate();
            objects.filter_map(move |(position, object)| match &object.value {
                Manifest::Pod(pod) if !pod.finished => Some(((file, position), pod)),
                _ => None,
            })
        });
        let mut rejected = HashMap::new();
        let shared = SharedAddresses::of(&in_use, catalog.pool_config());
        let mut waiting = Vec::new();
        for (position, pod) in pods {
            let subject = simulator.subject(pod);
            let shared = match source {
                PodSource::Cluster => shared.findings(&subject, pod),
                PodSource::Manifests => Vec::new(),
            };
            if !shared.is_empty() {
                rejected.insert(position, shared);
                continue;
            }
            let attachments = attachment_requests(&subject);
            let (true, Some(requester)) = (can_be_served(&subject), requester_of(position, pod))
            else {
                continue;
            };
            let request = DryRunRequest {
                position,
                subject,
                attachments,
                requester,
            };
            if request.names_addresses() {
                rejected.insert(position, simulator.allocate(&request));
            } else {
                waiting.push(request);
            }
        }
        for request in waiting {
            rejected.insert(request.position, simulator.allocate(&request));
        }
        Self(rejected)
    }

    /// Returns the findings on the pod with this index.
    pub(super) fn findings(&self, position: ObjectIndex) -> Vec<Finding> {
        self.0.get(&position).cloned().unwrap_or_default()
    }
}

struct Simulator<'a> {
    catalog: &'a Catalog,
    policy: &'a Policy,
    index: Index,
    last_version: u64,
}

impl<'a> Simulator<'a> {
    fn new(catalog: &'a Catalog, policy: &'a Policy, in_use: &[InUse]) -> Self {
        let mut simulator = Self {
            catalog,
            policy,
            index: Index::of(catalog.pool_config()),
            last_version: 0,
        };
        let pool_config = catalog.pool_config();
        let actions = adopt(pool_config, in_use, Timestamp::default());
        for write in actions.into_iter().filter_map(|action| action.write) {
            let stored = Stored {
                allocation: write.allocation().clone(),
                version: simulator.version(),
            };
            simulator.index.apply(stored);
        }
        for pool in pool_config.pools.keys() {
            simulator.index.set_ready(pool);
        }
        simulator
    }

    fn version(&mut self) -> Version {
        self.last_version += 1;
        Version(self.last_version)
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

    fn allocate(&mut self, request: &DryRunRequest<'_>) -> Vec<Finding> {
        let requests: Vec<AttachmentRequest> = request
            .attachments
            .iter()
            .map(|one| one.request.clone())
            .collect();
        let mut index = self.index.synced(self.catalog.pool_config());
        let rejected = match index.plan(&request.requester, &requests, Timestamp::default()) {
            Ok(planned) => {
                let versions: Vec<Version> =
                    planned.writes.iter().map(|_| self.version()).collect();
                self.index.commit(planned.id, &versions);
                return Vec::new();
            }
            Err(rejected) => rejected,
        };
        // Files determine neither a pod's node nor the slices of nodes.
        let sliced = |one: &Rejection| {
            matches!(
                one.error,
                AllocationError::SlicesUnsupported(_)
                    | AllocationError::NodeUnknown(_)
                    | AllocationError::NoNodeSlice(_)
            )
        };
        let rejected: Vec<_> = rejected
            .into_iter()
            .filter(|one| !sliced(one))
            .filter_map(|one| Some((request.attachments.get(one.request)?.attachment, one.error)))
            .collect();
        judge_allocation(&AllocationSubject {
            pod: &request.subject,
            errors: &rejected,
        })
    }
}

/// A pod with attachments to pools.
struct DryRunRequest<'p> {
    position: ObjectIndex,
    subject: PodSubject<'p>,
    attachments: Vec<PoolRequest>,
    requester: Requester,
}

impl DryRunRequest<'_> {
    fn names_addresses(&self) -> bool {
        self.attachments
            .iter()
            .any(|one| !one.request.ips.is_empty())
    }
}

/// Returns the namespaces and names of the pods among the manifests.
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

/// Returns the requester for a pod. A pod without a name differs from every other; one whose name
/// was generated after it was allocated addresses carries the token by which it holds them.
fn requester_of(position: ObjectIndex, pod: &PodManifest) -> Option<Requester> {
    let token = format!("{}-{}", position.0, position.1);
    let unnamed = matches!(pod.name, PodName::Generated(_));
    let token = pod.token().or(unnamed.then_some(&*token));
    pod.identity_with_token(token).requester()
}
