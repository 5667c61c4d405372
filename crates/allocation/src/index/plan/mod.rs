//! Planning: the assignments and records for a pod's attachments.

mod allocate;
mod ips;
mod macs;
mod node_slices;
mod preview;
mod reserved;
mod slices;

use core::time::Duration;
use std::{net::IpAddr, sync::Arc};

use super::{Index, PendingWrite, PlanId};
use crate::{
    Address, Allocation, Holder, NetworkRef, PodRef, Pool, Slice, Timestamp, Write,
    error::AllocationError,
};
use nadmit_cni::mac::Mac;

/// The age up to which a record without the pod's UID is up to date: a repeated request of
/// the same pod changes nothing. The API server's longest request is shorter.
const RECENT_RECORD_TTL: Duration = Duration::from_secs(30);

/// The age up to which another replica may still be working on the plan of a record: longer
/// than a request plus the maximum clock skew.
const CONCURRENT_PLAN_GRACE: Duration = Duration::from_secs(90);

/// The maximum number of rejections that a plan returns; more would not help the reader, and each costs
/// a search.
const MAX_REJECTIONS: usize = 100;

/// The pod that requests addresses, and their holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requester {
    /// The holder of the addresses.
    pub holder: Holder,
    /// The pod, as far as it is known.
    pub pod: Option<PodRef>,
    /// The node that the pod is or will be bound to, once known. It is recorded with the pod.
    pub node: Option<Arc<str>>,
}

/// The request of one attachment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachmentRequest {
    /// The pool that serves the network.
    pub pool: Arc<str>,
    /// The network of the attachment.
    pub network: NetworkRef,
    /// The interface of the attachment.
    pub interface: Arc<str>,
    /// True if the attachment gets an address of each range; false for a network without IPAM.
    pub needs_ips: bool,
    /// The requested addresses; for other ranges one is chosen.
    pub ips: Vec<IpAddr>,
    /// The requested MAC.
    pub mac: MacRequest,
}

/// The MAC that an attachment requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MacRequest {
    /// No MAC from nadmit.
    None,
    /// Any MAC of the pool, if the pool has MACs.
    Auto,
    /// This MAC.
    Exact(Mac),
}

/// The addresses assigned to one attachment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Assignment {
    /// The addresses with the prefix lengths of their ranges: first the requested ones, then one of
    /// each other range.
    pub ips: Vec<(IpAddr, u8)>,
    /// The MAC, if one is assigned.
    pub mac: Option<Mac>,
}

/// A plan: the assignments to a pod's attachments, and the writes that record them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllocationPlan {
    /// The assignments, in the order of the requests.
    pub assignments: Vec<Assignment>,
    /// The writes, to be made atomically; empty if everything is recorded already.
    pub writes: Vec<Write>,
    /// The number of addresses borrowed from slices of other nodes by this plan.
    pub borrowed: usize,
    /// The identifier under which the plan is committed or aborted.
    pub id: PlanId,
}

/// The rejection of one attachment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The index of the request.
    pub request: usize,
    /// The reason for the rejection.
    pub error: AllocationError,
}

/// The readiness required of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Readiness {
    /// Pools that are not ready reject requests.
    Required,
    /// Readiness is ignored, to read what is recorded for the requester.
    Ignored,
}

/// A plan under construction.
struct PlanBuilder<'a> {
    requester: &'a Requester,
    readiness: Readiness,
    /// The pod to record, with its node.
    pod: Option<PodRef>,
    now: Timestamp,
    id: PlanId,
    pending_writes: Vec<PendingWrite>,
    writes: Vec<Write>,
    /// The slices first claimed by this plan.
    claims: Vec<Slice>,
    borrowed: usize,
    /// The number of the holder's addresses that the one being chosen replaces.
    replaced: u64,
}

impl Index {
    /// Plans for [`SyncedIndex::plan`](super::SyncedIndex::plan).
    pub(super) fn plan(
        &mut self,
        requester: &Requester,
        requests: &[AttachmentRequest],
        now: Timestamp,
    ) -> Result<AllocationPlan, Vec<Rejection>> {
        self.plan_with(requester, requests, now, Readiness::Required)
    }

    fn plan_with(
        &mut self,
        requester: &Requester,
        requests: &[AttachmentRequest],
        now: Timestamp,
        readiness: Readiness,
    ) -> Result<AllocationPlan, Vec<Rejection>> {
        let mut builder = PlanBuilder {
            requester,
            readiness,
            pod: requester.pod_on_node(),
            now,
            id: self.next_plan(),
            pending_writes: Vec::new(),
            writes: Vec::new(),
            claims: Vec::new(),
            borrowed: 0,
            replaced: 0,
        };
        let mut assignments = Vec::with_capacity(requests.len());
        let mut rejected = Vec::new();
        for (index, request) in requests.iter().enumerate() {
            if rejected.len() == MAX_REJECTIONS {
                break;
            }
            match self.plan_attachment(request, &mut builder) {
                Ok(one) => assignments.push(one),
                Err(error) => rejected.push(Rejection {
                    request: index,
                    error,
                }),
            }
        }
        let id = builder.id;
        self.pending_plans.insert(id, builder.pending_writes);
        if !rejected.is_empty() {
            self.abort(id);
            return Err(self.drop_pointless_claims(rejected, &builder.claims));
        }
        Ok(AllocationPlan {
            assignments,
            writes: builder.writes,
            borrowed: builder.borrowed,
            id,
        })
    }

    /// Drops claims and their rejections if the pod is also rejected for another reason.
    fn drop_pointless_claims(
        &mut self,
        mut rejected: Vec<Rejection>,
        claims: &[Slice],
    ) -> Vec<Rejection> {
        if rejected
            .iter()
            .all(|one| one.error.required_slice().is_some())
        {
            return rejected;
        }
        for claim in claims {
            self.drop_claim(claim);
        }
        rejected.retain(|one| one.error.required_slice().is_none());
        rejected
    }

    fn plan_attachment(
        &mut self,
        request: &AttachmentRequest,
        builder: &mut PlanBuilder<'_>,
    ) -> Result<Assignment, AllocationError> {
        let pool = self.pool_config.pool(&request.pool).map(Arc::clone);
        let pool = pool.ok_or_else(|| AllocationError::UnknownPool(Arc::clone(&request.pool)))?;
        if builder.readiness == Readiness::Required && !self.is_ready(&pool.name) {
            return Err(AllocationError::NotReady(Arc::clone(&pool.name)));
        }
        let scope = self.scope(request, &pool, builder)?;
        let held = self.held_in_pool(request, &pool, builder.requester);
        let mut assignment = Assignment::default();
        if request.needs_ips {
            let ips = self.choose_ips(request, &pool, scope.as_ref(), &held, builder)?;
            for ip in ips {
                let prefix = pool.range_of(ip).and_then(|at| pool.ranges.get(at));
                assignment
                    .ips
                    .push((ip, prefix.map_or(0, |range| range.subnet.prefix)));
            }
        }
        assignment.mac = self.choose_mac(request, &pool, &held, &assignment, builder)?;
        Ok(assignment)
    }

    /// Returns the requester's addresses of this pool on this interface of this network.
    fn held_in_pool(
        &self,
        request: &AttachmentRequest,
        pool: &Pool,
        requester: &Requester,
    ) -> Vec<Address> {
        let held = self.addresses_of(&requester.holder, &request.network, &request.interface);
        held.iter()
            .filter(|(space, _)| *space == pool.space)
            .map(|(_, address)| *address)
            .collect()
    }
}

impl AttachmentRequest {
    /// Returns true if the request names an address of each range of the pool.
    pub fn names_every_range(&self, pool: &Pool) -> bool {
        let named = |range: usize| self.ips.iter().any(|ip| pool.range_of(*ip) == Some(range));
        (0..pool.ranges.len()).all(named)
    }
}

impl PlanBuilder<'_> {
    fn allocation(&self, address: Address, request: &AttachmentRequest, pool: &Pool) -> Allocation {
        Allocation {
            address,
            space: pool.space.clone(),
            pool: Arc::clone(&pool.name),
            network: request.network.clone(),
            interface: Arc::clone(&request.interface),
            holder: self.requester.holder.clone(),
            pod: self.pod.clone(),
            mac: None,
            former_nodes: Vec::new(),
            reservation: None,
            since: self.now,
            taken: None,
        }
    }

    /// Keeps the recorded node of the same pod if the requester does not know it.
    fn remember_node(&self, desired: &mut Allocation, old: &Allocation) {
        if let (Some(pod), Some(old)) = (&mut desired.pod, &old.pod)
            && pod.node.is_none()
            && pod.uid.is_some()
            && pod.uid == old.uid
        {
            pod.node.clone_from(&old.node);
        }
    }

    /// Returns true if the record's holder token is used by another pod: a token identifies one pod.
    fn has_other_owner(&self, record: &Allocation) -> bool {
        let by = record.pod.as_ref().and_then(|pod| pod.uid.as_ref());
        let uid = self.requester.pod.as_ref().and_then(|pod| pod.uid.as_ref());
        matches!(record.holder, Holder::Unnamed { .. }) && by.is_some() && by != uid
    }

    /// Returns true if the writer of the record may still be working on the rest of its plan.
    fn may_be_concurrent(&self, record: &Allocation) -> bool {
        self.now < record.since.plus(CONCURRENT_PLAN_GRACE)
    }

    /// Returns true if the record needs no update for this pod.
    fn is_up_to_date(&self, record: &Allocation) -> bool {
        let known = self
            .requester
            .pod
            .as_ref()
            .is_some_and(|pod| pod.uid.is_some());
        let fresh = self.now < record.since.plus(RECENT_RECORD_TTL);
        is_same_pod(record.pod.as_ref(), self.pod.as_ref()) && (known || fresh)
    }
}

impl Requester {
    /// Sets the node; an empty name means none.
    #[must_use]
    pub fn on_node(self, node: Option<Arc<str>>) -> Self {
        let node = node.filter(|node| !node.is_empty());
        Self { node, ..self }
    }

    /// Returns the pod with its node.
    fn pod_on_node(&self) -> Option<PodRef> {
        let mut pod = self.pod.clone()?;
        pod.node = self.node.clone().or(pod.node);
        Some(pod)
    }
}

/// Returns true if a record names this pod already; an unknown node matches any.
fn is_same_pod(recorded: Option<&PodRef>, pod: Option<&PodRef>) -> bool {
    match (recorded, pod) {
        (Some(recorded), Some(pod)) => {
            let moved = pod.node.is_some() && recorded.node != pod.node;
            (&recorded.name, &recorded.uid) == (&pod.name, &pod.uid) && !moved
        }
        (None, None) => true,
        _ => false,
    }
}
