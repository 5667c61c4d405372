//! Reconciliation of the ledger with the observed cluster.
//!
//! Pure: takes records and observations and returns actions, each with its reason. The caller verifies
//! each action live and applies it under the version of the record it was derived from, so a record
//! that has changed since is not touched.

mod adoption;
mod evaluate;
mod mac_split;
mod renamed;
mod slices;

use core::time::Duration;
use std::{
    cell::OnceCell,
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    Address, Allocation, Holder, NetworkRef, PodRef, Pool, PoolConfig, Space, Timestamp, Version,
    Write,
};
use nadmit_cni::mac::Mac;

pub use self::slices::{IdleReason, IdleSlice, NodeState, idle_slices};

/// The age up to which a record is kept although no pod of its holder was observed: twice
/// the API server's longest request, so that a pod that is being created gets observed.
pub const PROVISIONAL_TTL: Duration = Duration::from_secs(120);
/// The minimum time that a detached record is kept: all replicas observe the detachment
/// within it, and none reuses the record without rewriting it.
pub const DETACHED_GRACE: Duration = Duration::from_secs(30);

/// An address in use in the cluster, recorded or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InUse {
    /// The pool whose ranges contain the address.
    pub pool: Arc<str>,
    /// The address in use.
    pub address: Address,
    /// The network that uses it.
    pub network: NetworkRef,
    /// The interface; empty if the configuration of the network contains the address.
    pub interface: Arc<str>,
    /// The holder that uses it.
    pub holder: Holder,
    /// The pod that uses it.
    pub pod: Option<PodRef>,
    /// True if the pod is bound to a node or was assigned the address; otherwise it may only request
    /// it.
    pub assigned: bool,
    /// The MAC of the interface.
    pub mac: Option<Mac>,
}

/// The observed state of the pod of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PodState {
    /// The pod exists and may use its addresses.
    Present,
    /// The pod has been gone or terminated since this time.
    Gone(Timestamp),
    /// No pod exists, and none was ever observed.
    Absent,
    /// The state is unknown: the node does not respond, or pods are not observed.
    Unknown,
}

/// The observed state of the workload of a persistent holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkloadState {
    /// The workload exists and includes this replica.
    Present,
    /// The workload exists but is scaled below this replica.
    ScaledDown,
    /// The workload is deleted.
    Deleted,
    /// The state is unknown.
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
    /// An earlier pod of the same holder may still use the address: the record names it, or a former
    /// node of the record may still run its containers.
    HeldByPredecessor,
}

/// The observed state of the cluster.
pub trait ClusterObserver {
    /// Returns the state of the pod of a record.
    fn pod(&self, allocation: &Allocation) -> PodState;
    /// Returns the state of the workload of a holder.
    fn workload(&self, holder: &Holder) -> WorkloadState;
    /// Returns the relation of a present pod to a recorded address that it does not report.
    fn interface_state(&self, allocation: &Allocation) -> InterfaceState {
        let _ = allocation;
        InterfaceState::Unknown
    }
    /// Returns true if all pods are observed. Then a pod that uses an address becomes its holder,
    /// whatever the record says.
    fn sees_all_pods(&self) -> bool {
        false
    }
    /// Returns true if pods of this namespace are known to be allowed to use a pool.
    fn may_use(&self, pool: &Pool, namespace: &str) -> bool {
        let _ = (pool, namespace);
        false
    }
}

/// An action of the reconciler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// The write to make; `None` if the problem is only reported.
    pub write: Option<Write>,
    pub reason: ActionReason,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActionReason {
    /// The address is in use but not recorded.
    Adopted,
    /// A reservation is recorded for the first time.
    Reserved,
    /// The address returns to its reservation.
    ReturnedToReservation,
    /// Another holder than the recorded one uses the address and becomes its holder.
    Transferred,
    /// The pod is gone, and the quarantine has passed.
    PodGone,
    /// No pod was observed for a provisional record.
    ProvisionalExpired,
    /// The workload no longer retains the address.
    WorkloadGone,
    /// The pod has another address of the range, or no longer has the interface.
    Excess,
    /// The pod has another address of the range, or no longer has the interface: the record is detached
    /// from it, and freed after the quarantine.
    Detached,
    /// The name, UID or node of the pod became known.
    PodIdentified,
    /// The pool of the network has another name: the network's own definition of it changed.
    PoolRenamed,
    /// The reservation is deleted.
    ReservationGone,
    /// The configuration of the network no longer contains the address.
    NotConfigured,
    /// The MAC of a virtual machine gets its own record, to outlive the address it was recorded with.
    MacSplit,
    /// Several holders use the address. Nothing is written; an administrator has to decide.
    Duplicate {
        /// The address in use.
        address: Address,
        /// The holders that use it.
        users: Vec<Holder>,
    },
}

impl ActionReason {
    /// Returns the label for logs and metrics.
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
            Self::PoolRenamed => "pool-renamed",
            Self::ReservationGone => "reservation-gone",
            Self::NotConfigured => "not-configured",
            Self::MacSplit => "mac-parted",
            Self::Duplicate { .. } => "duplicate",
        }
    }
}

/// Compares records with the observed cluster and returns the actions to take, in a stable order.
pub fn reconcile<'a>(
    records: impl IntoIterator<Item = (&'a Allocation, Version)>,
    pool_config: &'a PoolConfig,
    in_use: impl IntoIterator<Item = &'a InUse>,
    observer: &impl ClusterObserver,
    now: Timestamp,
) -> Vec<Action> {
    let in_use: Vec<&InUse> = in_use.into_iter().collect();
    let reconciliation = Reconciliation {
        addresses: addresses(records, pool_config, &in_use),
        pool_config,
        in_use,
        in_use_by_interface: OnceCell::new(),
        with_mac: OnceCell::new(),
        observer,
        now,
    };
    let evaluated = reconciliation.addresses.iter();
    let mut actions: Vec<Action> = evaluated
        .filter_map(|entry| reconciliation.evaluate(entry))
        .collect();
    actions.extend(reconciliation.adoptions());
    actions.extend(reconciliation.renamed());
    actions.extend(reconciliation.mac_splits());
    actions.extend(reconciliation.reservations());
    actions
}

type AddressKey<'a> = (&'a Space, Address);

type VersionedRecord<'a> = (&'a Allocation, Version);

/// The interface of a holder on a network.
type InterfaceKey<'a> = (&'a Holder, &'a NetworkRef, &'a str);

/// An address that is recorded, in use, or both.
struct ReconciledAddress<'a> {
    key: AddressKey<'a>,
    recorded: Option<VersionedRecord<'a>>,
    /// The users of the address, in input order.
    users: Vec<&'a InUse>,
}

/// Returns all addresses that are recorded or in use, in ascending order.
fn addresses<'a>(
    records: impl IntoIterator<Item = VersionedRecord<'a>>,
    pool_config: &'a PoolConfig,
    in_use: &[&'a InUse],
) -> Vec<ReconciledAddress<'a>> {
    let records = records.into_iter();
    let mut addresses: Vec<ReconciledAddress<'_>> = records
        .map(|(record, version)| ReconciledAddress {
            key: (&record.space, record.address),
            recorded: Some((record, version)),
            users: Vec::new(),
        })
        .collect();
    addresses.sort_unstable_by_key(|entry| entry.key);
    let mut used: Vec<(AddressKey<'_>, &InUse)> = in_use
        .iter()
        .filter_map(|one| Some(((&pool_config.pool(&one.pool)?.space, one.address), *one)))
        .collect();
    used.sort_by_key(|(key, _)| *key);
    let mut used = used.into_iter().peekable();
    let mut merged = Vec::with_capacity(addresses.len());
    for mut entry in addresses {
        while let Some(before) = used.next_if(|(key, _)| *key < entry.key) {
            add(&mut merged, before);
        }
        while let Some((_, one)) = used.next_if(|(key, _)| *key == entry.key) {
            entry.users.push(one);
        }
        merged.push(entry);
    }
    used.for_each(|one| add(&mut merged, one));
    merged
}

/// Adds a user of an unrecorded address.
fn add<'a>(addresses: &mut Vec<ReconciledAddress<'a>>, (key, one): (AddressKey<'a>, &'a InUse)) {
    match addresses.last_mut().filter(|last| last.key == key) {
        Some(last) => last.users.push(one),
        None => addresses.push(ReconciledAddress {
            key,
            recorded: None,
            users: vec![one],
        }),
    }
}

/// Returns the actions of [`reconcile`] on an empty ledger: addresses in use are adopted, and
/// reservations are recorded.
pub fn adopt(pool_config: &PoolConfig, in_use: &[InUse], now: Timestamp) -> Vec<Action> {
    reconcile([], pool_config, in_use, &NoRecords, now)
}

/// An observer for an empty ledger; it is never queried.
struct NoRecords;

impl ClusterObserver for NoRecords {
    fn pod(&self, _: &Allocation) -> PodState {
        PodState::Unknown
    }

    fn workload(&self, _: &Holder) -> WorkloadState {
        WorkloadState::Unknown
    }
}

/// The input of one reconciliation, with lookup tables.
struct Reconciliation<'a, O> {
    pool_config: &'a PoolConfig,
    in_use: Vec<&'a InUse>,
    addresses: Vec<ReconciledAddress<'a>>,
    /// The addresses in use, by interface; built on first use.
    in_use_by_interface: OnceCell<HashMap<InterfaceKey<'a>, Vec<Address>>>,
    /// The interfaces that have a MAC with a record of its own; built on first use.
    with_mac: OnceCell<HashSet<InterfaceKey<'a>>>,
    observer: &'a O,
    now: Timestamp,
}

/// Returns the record after its return to the reservation that it was taken from; `None` if there is no
/// such reservation or it is deleted.
pub fn returned_to_reservation(
    record: &Allocation,
    pool_config: &PoolConfig,
    now: Timestamp,
) -> Option<Allocation> {
    let from = source_reservation(record, pool_config)?;
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

/// Returns the existing reservation that a record is for or was taken from.
fn source_reservation(record: &Allocation, pool_config: &PoolConfig) -> Option<NetworkRef> {
    let from = match &record.holder {
        Holder::Reservation { namespace, name } => NetworkRef {
            namespace: Arc::clone(namespace),
            name: Arc::clone(name),
        },
        _ => record.reservation.clone()?,
    };
    is_reserved(pool_config, &from.namespace, &from.name, record.address).then_some(from)
}

fn is_reserved(pool_config: &PoolConfig, namespace: &str, name: &str, address: Address) -> bool {
    pool_config.reservations.iter().any(|(reservation, pool)| {
        let pool = pool.as_ref().and_then(|pool| pool_config.pool(pool));
        &*reservation.namespace == namespace
            && &*reservation.name == name
            && pool.is_some_and(|pool| reservation.reserved_addresses(pool).contains(&address))
    })
}

/// Returns true if the user of an address is the holder of its record. A pod remains the same when a
/// controller adopts or orphans it.
fn is_holder(record: &Allocation, user: &InUse) -> bool {
    record.holder == user.holder || is_same_pod(record, user)
}

fn is_same_pod(record: &Allocation, user: &InUse) -> bool {
    let uid = |pod: &Option<PodRef>| pod.as_ref().and_then(|pod| pod.uid.clone());
    uid(&record.pod).is_some() && uid(&record.pod) == uid(&user.pod)
}

#[cfg(test)]
mod tests;
