//! Planning: which records a pod's attachments need.

mod allocate;
mod ips;
mod macs;
mod preview;
mod reserved;
mod slices;

use std::{net::IpAddr, sync::Arc};

use super::{Index, PendingWrite, PlanId};
use crate::{
    allocation::{
        Address, Allocation, Holder, NetworkRef, PodRef, Pool, Slice, Timestamp, Write,
        error::AllocationError,
    },
    network::mac::Mac,
};

/// For how many seconds a record without the pod's UID counts as just made: the same pod asking again
/// within them changes nothing. The API server's longest request is shorter.
const FRESH: i64 = 30;

/// For how many seconds another writer may be at work on a plan: longer than a request lasts, by more
/// than clocks are apart.
const YOUNG: i64 = 90;

/// The most refusals that a plan returns: the rest adds nothing for the reader, and each costs a search.
const MOST_REFUSED: usize = 100;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requester {
    /// For whom.
    pub holder: Holder,
    /// The pod, as far as it is known.
    pub pod: Option<PodRef>,
    /// The node that the pod is on or goes to, once that is known. It is recorded with the pod.
    pub node: Option<Arc<str>>,
}

/// What one attachment asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachmentRequest {
    /// The pool that serves its network.
    pub pool: Arc<str>,
    /// Its network.
    pub network: NetworkRef,
    /// Its interface.
    pub interface: Arc<str>,
    /// Whether it takes an address of each range; a network without IPAM takes none.
    pub needs_ips: bool,
    /// The addresses that it names; ranges without one are filled.
    pub ips: Vec<IpAddr>,
    /// Its MAC.
    pub mac: MacRequest,
}

/// Which MAC an attachment wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MacRequest {
    /// None of nadmit's.
    None,
    /// One of the pool's, if the pool has any.
    Auto,
    /// This one.
    Exact(Mac),
}

/// What one attachment is given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Assignment {
    /// The addresses with the prefix lengths of their ranges: those that were named first, then one
    /// of each further range.
    pub ips: Vec<(IpAddr, u8)>,
    /// The MAC.
    pub mac: Option<Mac>,
}

/// What a pod is given, and the records that make it so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllocationPlan {
    /// For each attachment in its order.
    pub given: Vec<Assignment>,
    /// The records to write, all or none; none if it has everything already.
    pub writes: Vec<Write>,
    /// How many of the addresses are lent from slices of other nodes with this plan.
    pub borrowed: usize,
    /// By which the index knows the plan: to confirm or to roll back.
    pub ticket: PlanId,
}

/// Why an attachment gets nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Its place among what was asked.
    pub request: usize,
    /// Why.
    pub refusal: AllocationError,
}

/// The state that a pool has to be in to give anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Readiness {
    /// A pool that is not ready gives nothing.
    Required,
    /// A pool that is not ready gives what it has recorded for the asker.
    Ignored,
}

/// A plan in the making.
struct PlanBuilder<'a> {
    asker: &'a Requester,
    readiness: Readiness,
    /// The pod as it is recorded, with its node.
    pod: Option<PodRef>,
    now: Timestamp,
    ticket: PlanId,
    marks: Vec<PendingWrite>,
    writes: Vec<Write>,
    /// The slices that are being claimed since this plan.
    claims: Vec<Slice>,
    borrowed: usize,
    /// How many addresses that the holder has go for the one that is being chosen.
    replaced: u64,
}

impl Index {
    /// Plans what all attachments of a pod need, and puts it in flight.
    ///
    /// # Errors
    /// The first of what is refused; nothing is taken then. [`Refusal::NeedsSlice`] stands there alone:
    /// record the slices that it names, tell with [`Self::apply_slice`] how that went (or with
    /// [`Self::drop_claim`] that it did not), and plan again.
    pub fn plan(
        &mut self,
        asker: &Requester,
        asks: &[AttachmentRequest],
        now: Timestamp,
    ) -> Result<AllocationPlan, Vec<Rejection>> {
        self.plan_by(asker, asks, now, Readiness::Required)
    }

    fn plan_by(
        &mut self,
        asker: &Requester,
        asks: &[AttachmentRequest],
        now: Timestamp,
        readiness: Readiness,
    ) -> Result<AllocationPlan, Vec<Rejection>> {
        let mut draft = PlanBuilder {
            asker,
            readiness,
            pod: asker.on_its_node(),
            now,
            ticket: self.issue(),
            marks: Vec::new(),
            writes: Vec::new(),
            claims: Vec::new(),
            borrowed: 0,
            replaced: 0,
        };
        let mut given = Vec::with_capacity(asks.len());
        let mut refused = Vec::new();
        for (index, ask) in asks.iter().enumerate() {
            if refused.len() == MOST_REFUSED {
                break;
            }
            match self.attach_one(ask, &mut draft) {
                Ok(one) => given.push(one),
                Err(refusal) => refused.push(Rejection {
                    request: index,
                    refusal,
                }),
            }
        }
        let ticket = draft.ticket;
        self.pending_plans.insert(ticket, draft.marks);
        if !refused.is_empty() {
            self.abort(ticket);
            return Err(self.only_what_counts(refused, &draft.claims));
        }
        Ok(AllocationPlan {
            given,
            writes: draft.writes,
            borrowed: draft.borrowed,
            ticket,
        })
    }

    /// A slice is claimed only if nothing else stands against the pod.
    fn only_what_counts(
        &mut self,
        mut refused: Vec<Rejection>,
        claims: &[Slice],
    ) -> Vec<Rejection> {
        if refused.iter().all(|one| one.refusal.slice().is_some()) {
            return refused;
        }
        for claim in claims {
            self.drop_claim(claim);
        }
        refused.retain(|one| one.refusal.slice().is_none());
        refused
    }

    fn attach_one(
        &mut self,
        ask: &AttachmentRequest,
        draft: &mut PlanBuilder<'_>,
    ) -> Result<Assignment, AllocationError> {
        let pool = self.layout.pool(&ask.pool).map(Arc::clone);
        let pool = pool.ok_or_else(|| AllocationError::UnknownPool(Arc::clone(&ask.pool)))?;
        if draft.readiness == Readiness::Required && !self.is_ready(&pool.name) {
            return Err(AllocationError::NotReady(Arc::clone(&pool.name)));
        }
        let reach = self.reach(ask, &pool, draft)?;
        let held = self.held_of_pool(ask, &pool, draft.asker);
        let mut given = Assignment::default();
        if ask.needs_ips {
            let ips = self.choose_ips(ask, &pool, reach.as_ref(), &held, draft)?;
            for ip in ips {
                let prefix = pool.range_of(ip).and_then(|at| pool.ranges.get(at));
                given
                    .ips
                    .push((ip, prefix.map_or(0, |range| range.subnet.prefix)));
            }
        }
        given.mac = self.choose_mac(ask, &pool, &held, &given, draft)?;
        Ok(given)
    }

    /// What the asker has already on this interface of this network, of this pool.
    fn held_of_pool(
        &self,
        ask: &AttachmentRequest,
        pool: &Pool,
        asker: &Requester,
    ) -> Vec<Address> {
        let held = self.addresses_of(&asker.holder, &ask.network, &ask.interface);
        held.iter()
            .filter(|(space, _)| *space == pool.space)
            .map(|(_, address)| *address)
            .collect()
    }
}

impl AttachmentRequest {
    /// Whether it names an address of each range of its pool.
    pub fn names_every_range(&self, pool: &Pool) -> bool {
        let named = |range: usize| self.ips.iter().any(|ip| pool.range_of(*ip) == Some(range));
        (0..pool.ranges.len()).all(named)
    }
}

impl PlanBuilder<'_> {
    fn allocation(&self, address: Address, ask: &AttachmentRequest, pool: &Pool) -> Allocation {
        Allocation {
            address,
            space: pool.space.clone(),
            pool: Arc::clone(&pool.name),
            network: ask.network.clone(),
            interface: Arc::clone(&ask.interface),
            holder: self.asker.holder.clone(),
            pod: self.pod.clone(),
            mac: None,
            former_nodes: Vec::new(),
            reservation: None,
            since: self.now,
            taken: None,
        }
    }

    /// Where a pod is stays known, though who asks does not say it again.
    fn remember_node(&self, wanted: &mut Allocation, old: &Allocation) {
        if let (Some(pod), Some(old)) = (&mut wanted.pod, &old.pod)
            && pod.node.is_none()
            && pod.uid.is_some()
            && pod.uid == old.uid
        {
            pod.node.clone_from(&old.node);
        }
    }

    /// Whether the record's token belongs to another pod: a token is good for one.
    fn is_claimed(&self, record: &Allocation) -> bool {
        let by = record.pod.as_ref().and_then(|pod| pod.uid.as_ref());
        let uid = self.asker.pod.as_ref().and_then(|pod| pod.uid.as_ref());
        matches!(record.holder, Holder::Unnamed { .. }) && by.is_some() && by != uid
    }

    /// Whether whoever wrote the record may be at work on the rest of its plan still.
    fn is_young(&self, record: &Allocation) -> bool {
        self.now.0 - record.since.0 < YOUNG
    }

    /// Whether a record says already what this pod needs it to say.
    fn is_settled(&self, record: &Allocation) -> bool {
        let known = self.asker.pod.as_ref().is_some_and(|pod| pod.uid.is_some());
        let fresh = self.now.0 - record.since.0 < FRESH;
        is_same(record.pod.as_ref(), self.pod.as_ref()) && (known || fresh)
    }
}

impl Requester {
    /// The same on a node; an empty name is none.
    #[must_use]
    pub fn on_node(self, node: Option<Arc<str>>) -> Self {
        let node = node.filter(|node| !node.is_empty());
        Self { node, ..self }
    }

    /// The pod with its node.
    fn on_its_node(&self) -> Option<PodRef> {
        let mut pod = self.pod.clone()?;
        pod.node = self.node.clone().or(pod.node);
        Some(pod)
    }
}

/// Whether a record names this pod already; a node that is not known contradicts none.
fn is_same(recorded: Option<&PodRef>, pod: Option<&PodRef>) -> bool {
    match (recorded, pod) {
        (Some(recorded), Some(pod)) => {
            let moved = pod.node.is_some() && recorded.node != pod.node;
            (&recorded.name, &recorded.uid) == (&pod.name, &pod.uid) && !moved
        }
        (None, None) => true,
        _ => false,
    }
}
