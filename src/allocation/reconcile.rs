//! What the ledger says against what is there.
//!
//! Pure: everything that is known comes in, and what to do about it comes out, each with its reason.
//! Whoever carries it out confirms first, and does it under the version of the record that was
//! judged: a record that has changed hands meanwhile is not touched.

mod adoption;
mod evaluate;
mod mac_split;
mod slices;

use std::{
    cell::OnceCell,
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    Address, Allocation, Holder, NetworkRef, PodRef, PoolConfig, Space, Timestamp, Version, Write,
};
use crate::network::mac::Mac;

pub use self::slices::{IdleReason, IdleSlice, NodeState, idle_slices};

/// For how many seconds a record is left alone though no pod of its holder was seen: twice the API
/// server's longest request, so that a pod that is being created comes to be seen.
pub const PROVISIONAL_TTL: i64 = 120;
/// For how many seconds at least a record is left that its holder has let go: by then every replica
/// has heard of it, and none goes on with it without writing it anew.
pub const DETACHED_GRACE: i64 = 30;

/// An address that something uses, whether the ledger knows it or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InUse {
    /// The pool in whose ranges it lies.
    pub pool: Arc<str>,
    /// The address.
    pub address: Address,
    /// The network it is used on.
    pub network: NetworkRef,
    /// The interface; empty for a network's own configuration.
    pub interface: Arc<str>,
    /// By whom.
    pub holder: Holder,
    /// By which pod.
    pub pod: Option<PodRef>,
    /// Whether the pod is on a node, or was given the address: otherwise it may only have asked for it.
    pub assigned: bool,
    /// The MAC of the same interface.
    pub mac: Option<Mac>,
}

/// What is known of the pod behind a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PodState {
    /// It is there, and may use its addresses.
    Present,
    /// It is gone, or has ended, since then.
    Gone(Timestamp),
    /// There is none, and none was seen.
    Absent,
    /// Nothing can be said: its node does not answer, or nobody looks.
    Unknown,
}

/// What is known of the workload behind a holder that lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkloadState {
    /// It is there, and has this replica.
    Present,
    /// It is there, scaled below this replica.
    ScaledDown,
    /// It is deleted.
    Deleted,
    /// Nothing can be said.
    Unknown,
}

/// The relation between a running pod and a recorded interface whose address the pod does not use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InterfaceState {
    /// Only the pod's presence is known.
    Unknown,
    /// The pod has the interface, or may still get it.
    Attached,
    /// The pod is bound, and neither requests nor has the interface any more.
    Detached,
    /// The pod is bound to another node than the one the record was made for.
    OnOtherNode,
    /// The record names another pod of the same holder, which may still run somewhere.
    HeldByPredecessor,
}

/// Who looks.
pub trait ClusterObserver {
    /// The pod behind a record.
    fn pod(&self, allocation: &Allocation) -> PodState;
    /// The workload behind a holder.
    fn workload(&self, holder: &Holder) -> WorkloadState;
    /// How the pod behind a record, which is there, stands to an address that it does not carry.
    fn interface_state(&self, allocation: &Allocation) -> InterfaceState {
        let _ = allocation;
        InterfaceState::Unknown
    }
    /// Whether all pods that there are are seen. Then who uses an address has it, whatever is recorded.
    fn sees_all_pods(&self) -> bool {
        false
    }
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// What to write; `None` for what is only reported.
    pub write: Option<Write>,
    /// Why.
    pub reason: ActionReason,
}

/// Why something is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActionReason {
    /// Something uses the address, and nothing recorded it.
    Adopted,
    /// A reservation takes effect.
    Reserved,
    /// A reservation gets its address back.
    ReturnedToReservation,
    /// Another than the record says uses the address: it becomes the holder.
    Transferred,
    /// The pod is gone.
    PodGone,
    /// No pod ever came for it.
    ProvisionalExpired,
    /// The workload does not keep it any more.
    WorkloadGone,
    /// The pod has another address of that range, or the interface no more.
    Excess,
    /// The same: its holder lets go of it, and it is freed after the quarantine.
    Detached,
    /// The pod's name, UID or node came to be known.
    PodIdentified,
    /// The reservation is gone.
    ReservationGone,
    /// The network does not configure the address any more.
    NotConfigured,
    /// The MAC of a virtual machine, so far recorded with an address, is to outlive that.
    MacSplit,
    /// Two use one address: nothing is written, people must decide.
    Duplicate {
        /// The address.
        address: Address,
        /// All of them.
        users: Vec<Holder>,
    },
}

impl ActionReason {
    /// The word in logs and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Adopted => "adopted",
            Self::Reserved => "reserved",
            Self::ReturnedToReservation => "given-back",
            Self::Transferred => "handed-over",
            Self::PodGone => "pod-gone",
            Self::ProvisionalExpired => "never-came",
            Self::WorkloadGone => "workload-gone",
            Self::Excess => "surplus",
            Self::Detached => "let-go",
            Self::PodIdentified => "named",
            Self::ReservationGone => "reservation-gone",
            Self::NotConfigured => "not-configured",
            Self::MacSplit => "mac-parted",
            Self::Duplicate { .. } => "duplicate",
        }
    }
}

/// Compares records with what is there, and says what to do, in a stable order.
pub fn reconcile<'a>(
    records: impl IntoIterator<Item = (&'a Allocation, Version)>,
    layout: &'a PoolConfig,
    in_use: impl IntoIterator<Item = &'a InUse>,
    observer: &impl ClusterObserver,
    now: Timestamp,
) -> Vec<Action> {
    let in_use: Vec<&InUse> = in_use.into_iter().collect();
    let view = View {
        places: places(records, layout, &in_use),
        layout,
        in_use,
        carried: OnceCell::new(),
        with_mac: OnceCell::new(),
        observer,
        now,
    };
    let judged = view.places.iter();
    let mut actions: Vec<Action> = judged.filter_map(|place| view.judge(place)).collect();
    actions.extend(view.adoptions());
    actions.extend(view.partings());
    actions.extend(view.reservations());
    actions
}

/// An address and where it is unique.
type Key<'a> = (&'a Space, Address);

/// A record in its version.
type Recorded<'a> = (&'a Allocation, Version);

/// A holder's interface on a network.
type Interface<'a> = (&'a Holder, &'a NetworkRef, &'a str);

/// An address that is recorded, used, or both.
struct Place<'a> {
    key: Key<'a>,
    recorded: Option<Recorded<'a>>,
    /// In the order in which they came.
    users: Vec<&'a InUse>,
}

/// All addresses that are recorded or used, in their order.
fn places<'a>(
    records: impl IntoIterator<Item = Recorded<'a>>,
    layout: &'a PoolConfig,
    in_use: &[&'a InUse],
) -> Vec<Place<'a>> {
    let records = records.into_iter();
    let mut places: Vec<Place<'_>> = records
        .map(|(record, version)| Place {
            key: (&record.space, record.address),
            recorded: Some((record, version)),
            users: Vec::new(),
        })
        .collect();
    places.sort_unstable_by_key(|place| place.key);
    let mut used: Vec<(Key<'_>, &InUse)> = in_use
        .iter()
        .filter_map(|one| Some(((&layout.pool(&one.pool)?.space, one.address), *one)))
        .collect();
    used.sort_by_key(|(key, _)| *key);
    let mut used = used.into_iter().peekable();
    let mut merged = Vec::with_capacity(places.len());
    for mut place in places {
        while let Some(before) = used.next_if(|(key, _)| *key < place.key) {
            add(&mut merged, before);
        }
        while let Some((_, one)) = used.next_if(|(key, _)| *key == place.key) {
            place.users.push(one);
        }
        merged.push(place);
    }
    used.for_each(|one| add(&mut merged, one));
    merged
}

/// Adds a user of an address that is not recorded.
fn add<'a>(places: &mut Vec<Place<'a>>, (key, one): (Key<'a>, &'a InUse)) {
    match places.last_mut().filter(|last| last.key == key) {
        Some(last) => last.users.push(one),
        None => places.push(Place {
            key,
            recorded: None,
            users: vec![one],
        }),
    }
}

/// What [`reconcile`] does where nothing is recorded yet: what is in use is adopted, and reservations
/// take effect.
pub fn adopt(layout: &PoolConfig, in_use: &[InUse], now: Timestamp) -> Vec<Action> {
    reconcile([], layout, in_use, &NoRecords, now)
}

/// Without records nobody is asked for.
struct NoRecords;

impl ClusterObserver for NoRecords {
    fn pod(&self, _: &Allocation) -> PodState {
        PodState::Unknown
    }

    fn workload(&self, _: &Holder) -> WorkloadState {
        WorkloadState::Unknown
    }
}

/// Everything that is known.
struct View<'a, O> {
    layout: &'a PoolConfig,
    in_use: Vec<&'a InUse>,
    places: Vec<Place<'a>>,
    /// What is used, by where; made when somebody asks.
    carried: OnceCell<HashMap<Interface<'a>, Vec<Address>>>,
    /// The interfaces of holders that have a MAC with a record of its own; made when somebody asks.
    with_mac: OnceCell<HashSet<Interface<'a>>>,
    observer: &'a O,
    now: Timestamp,
}

/// The record as it goes back to the reservation that it was taken from; `None` if it was taken from
/// none, or that is not there any more.
pub fn returned_to_reservation(
    record: &Allocation,
    layout: &PoolConfig,
    now: Timestamp,
) -> Option<Allocation> {
    let from = taken_from(record, layout)?;
    Some(Allocation {
        holder: Holder::Reservation {
            namespace: Arc::clone(&from.namespace),
            name: Arc::clone(&from.name),
        },
        pod: None,
        former_nodes: Vec::new(),
        reservation: None,
        since: now,
        taken: None,
        ..record.clone()
    })
}

/// The reservation, if it is there, that a record is of or was taken from.
fn taken_from(record: &Allocation, layout: &PoolConfig) -> Option<NetworkRef> {
    let from = match &record.holder {
        Holder::Reservation { namespace, name } => NetworkRef {
            namespace: Arc::clone(namespace),
            name: Arc::clone(name),
        },
        _ => record.reservation.clone()?,
    };
    reserves(layout, &from.namespace, &from.name, record.address).then_some(from)
}

fn reserves(layout: &PoolConfig, namespace: &str, name: &str, address: Address) -> bool {
    layout.reservations.iter().any(|(reservation, pool)| {
        let pool = pool.as_ref().and_then(|pool| layout.pool(pool));
        &*reservation.namespace == namespace
            && &*reservation.name == name
            && pool.is_some_and(|pool| reservation.reserved_addresses(pool).contains(&address))
    })
}

/// Whether who uses an address is whom its record is for. A pod stays itself when a controller takes it
/// over, or lets it go.
fn is_same(record: &Allocation, user: &InUse) -> bool {
    record.holder == user.holder || is_same_pod(record, user)
}

fn is_same_pod(record: &Allocation, user: &InUse) -> bool {
    let uid = |pod: &Option<PodRef>| pod.as_ref().and_then(|pod| pod.uid.clone());
    uid(&record.pod).is_some() && uid(&record.pod) == uid(&user.pod)
}

#[cfg(test)]
mod tests;
