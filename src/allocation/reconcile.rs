//! What the ledger says against what is there.
//!
//! Pure: everything that is known comes in, and what to do about it comes out, each with its reason.
//! Whoever carries it out confirms first, and does it under the version of the record that was
//! judged: a record that has changed hands meanwhile is not touched.

mod slices;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{
    Address, Allocation, Holder, Layout, NetworkRef, PodRef, Pool, Retention, Stored, Timestamp,
    Version, WorkloadRetention, Write,
};
use crate::network::mac::Mac;

pub use self::slices::{Idle, IdleSlice, NodeState, idle_slices};

/// For how many seconds a record is left alone though no pod of its holder was seen: twice the API
/// server's longest request, so that a pod that is being created comes to be seen.
pub const PROVISIONAL: i64 = 120;

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

/// Who looks.
pub trait Observer {
    /// The pod behind a record.
    fn pod(&self, allocation: &Allocation) -> PodState;
    /// The workload behind a holder.
    fn workload(&self, holder: &Holder) -> WorkloadState;
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// What to write; `None` for what is only reported.
    pub write: Option<Write>,
    /// Why.
    pub reason: Reason,
}

/// Why something is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Something uses the address, and nothing recorded it.
    Adopted,
    /// A reservation takes effect.
    Reserved,
    /// A reservation gets its address back.
    GivenBack,
    /// The pod is gone.
    PodGone,
    /// No pod ever came for it.
    NeverCame,
    /// The workload does not keep it any more.
    WorkloadGone,
    /// The pod has another address of that range.
    Surplus,
    /// The reservation is gone.
    ReservationGone,
    /// The network does not configure the address any more.
    NotConfigured,
    /// Two use one address: nothing is written, people must decide.
    Duplicate {
        /// The address.
        address: Address,
        /// All of them.
        users: Vec<Holder>,
    },
}

impl Reason {
    /// The word in logs and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Adopted => "adopted",
            Self::Reserved => "reserved",
            Self::GivenBack => "given-back",
            Self::PodGone => "pod-gone",
            Self::NeverCame => "never-came",
            Self::WorkloadGone => "workload-gone",
            Self::Surplus => "surplus",
            Self::ReservationGone => "reservation-gone",
            Self::NotConfigured => "not-configured",
            Self::Duplicate { .. } => "duplicate",
        }
    }
}

/// Compares records with what is there, and says what to do, in a stable order.
pub fn reconcile<'a>(
    records: impl IntoIterator<Item = (&'a Allocation, Version)>,
    layout: &Layout,
    in_use: &[InUse],
    observer: &impl Observer,
    now: Timestamp,
) -> Vec<Action> {
    let mut known = BTreeMap::new();
    for (allocation, version) in records {
        let stored = Stored {
            allocation: allocation.clone(),
            version,
        };
        known.insert((allocation.space.clone(), allocation.address), stored);
    }
    let mut carried: HashMap<Interface<'_>, Vec<Address>> = HashMap::new();
    for one in in_use {
        let interface = (&one.holder, &one.network, &*one.interface);
        carried.entry(interface).or_default().push(one.address);
    }
    let view = View {
        layout,
        in_use,
        carried,
        observer,
        now,
    };
    let mut actions: Vec<Action> = known
        .values()
        .filter_map(|stored| view.judge(stored))
        .collect();
    let used = |space: &super::Space, address: Address| known.get(&(space.clone(), address));
    actions.extend(view.adoptions(used));
    actions.extend(view.reservations(used));
    actions
}

/// A holder's interface on a network.
type Interface<'a> = (&'a Holder, &'a NetworkRef, &'a str);

/// What [`reconcile`] does where nothing is recorded yet: what is in use is adopted, and reservations
/// take effect.
pub fn adopt(layout: &Layout, in_use: &[InUse], now: Timestamp) -> Vec<Action> {
    reconcile([], layout, in_use, &NoRecords, now)
}

/// Without records nobody is asked for.
struct NoRecords;

impl Observer for NoRecords {
    fn pod(&self, _: &Allocation) -> PodState {
        PodState::Unknown
    }

    fn workload(&self, _: &Holder) -> WorkloadState {
        WorkloadState::Unknown
    }
}

struct View<'a, O> {
    layout: &'a Layout,
    in_use: &'a [InUse],
    /// What is used, by where.
    carried: HashMap<Interface<'a>, Vec<Address>>,
    observer: &'a O,
    now: Timestamp,
}

impl<O: Observer> View<'_, O> {
    /// What the record's holder uses on its interface.
    fn carried_by(&self, record: &Allocation) -> Vec<Address> {
        let interface = (&record.holder, &record.network, &*record.interface);
        self.carried.get(&interface).cloned().unwrap_or_default()
    }

    /// What to do about a record.
    fn judge(&self, stored: &Stored) -> Option<Action> {
        let record = &stored.allocation;
        match &record.holder {
            Holder::Reservation { namespace, name } => {
                let there = self.reserves(namespace, name, record.address);
                (!there).then(|| free(stored, Reason::ReservationGone))
            }
            Holder::Network { .. } => {
                let there = self.carried_by(record).contains(&record.address);
                (!there).then(|| free(stored, Reason::NotConfigured))
            }
            Holder::Pod { .. }
            | Holder::Unnamed { .. }
            | Holder::Replica { .. }
            | Holder::Machine { .. } => self.judge_pod(stored),
        }
    }

    fn judge_pod(&self, stored: &Stored) -> Option<Action> {
        let record = &stored.allocation;
        let pool = self.layout.pool(&record.pool);
        let reason = match self.observer.pod(record) {
            PodState::Unknown => return None,
            PodState::Present if self.is_surplus(record) => Reason::Surplus,
            PodState::Present => return None,
            PodState::Absent if self.now.0 - record.since.0 < PROVISIONAL => return None,
            PodState::Absent => self.outlives(record, pool, Reason::NeverCame)?,
            PodState::Gone(since) => {
                let quarantine = pool.map_or(0, |pool| pool.quarantine);
                // A record that was renewed since then is another pod's.
                let renewed = record.since > since;
                if renewed || self.now < since.plus(quarantine) {
                    return None;
                }
                self.outlives(record, pool, Reason::PodGone)?
            }
        };
        Some(
            self.give_back(stored)
                .unwrap_or_else(|| free(stored, reason)),
        )
    }

    /// Whether a workload keeps its addresses without a pod: then there is no reason to free them.
    fn outlives(
        &self,
        record: &Allocation,
        pool: Option<&Arc<Pool>>,
        reason: Reason,
    ) -> Option<Reason> {
        let keeps = match (&record.holder, pool) {
            (Holder::Replica { .. }, Some(pool)) => pool.retention == Retention::Workload,
            (Holder::Machine { .. }, Some(pool)) => {
                let mac = matches!(record.address, Address::Mac(_));
                pool.retention == Retention::Workload && (mac || pool.machines_keep_ips)
            }
            _ => false,
        };
        if !keeps {
            return Some(reason);
        }
        let retention = pool.map(|pool| pool.workload_retention);
        let WorkloadRetention {
            retain_when_scaled,
            retain_when_deleted,
        } = retention?;
        match self.observer.workload(&record.holder) {
            WorkloadState::ScaledDown if !retain_when_scaled => Some(Reason::WorkloadGone),
            WorkloadState::Deleted if !retain_when_deleted => Some(Reason::WorkloadGone),
            _ => None,
        }
    }

    /// Whether the pod carries another address of the same range, and not this one.
    fn is_surplus(&self, record: &Allocation) -> bool {
        if self.now.0 - record.since.0 < PROVISIONAL {
            return false;
        }
        let pool = self.layout.pool(&record.pool);
        let range = |address: Address| pool?.range_of(address.ip()?);
        let carried = self.carried_by(record);
        let carries = carried.contains(&record.address);
        let other = carried
            .iter()
            .any(|one| range(*one) == range(record.address));
        !carries && other && range(record.address).is_some()
    }

    fn give_back(&self, stored: &Stored) -> Option<Action> {
        let back = given_back(&stored.allocation, self.layout, self.now)?;
        Some(Action {
            write: Some(Write::Update(back, stored.version)),
            reason: Reason::GivenBack,
        })
    }

    fn reserves(&self, namespace: &str, name: &str, address: Address) -> bool {
        reserves(self.layout, namespace, name, address)
    }

    /// What is used and not recorded, and what more than one uses.
    fn adoptions<'k>(
        &self,
        known: impl Fn(&super::Space, Address) -> Option<&'k Stored>,
    ) -> Vec<Action> {
        let mut users: BTreeMap<(super::Space, Address), Vec<&InUse>> = BTreeMap::new();
        for one in self.in_use {
            if let Some(pool) = self.layout.pool(&one.pool) {
                let key = (pool.space.clone(), one.address);
                users.entry(key).or_default().push(one);
            }
        }
        let mut actions = Vec::new();
        for ((space, address), list) in users {
            let Some(first) = list.first() else { continue };
            let recorded = known(&space, address).map(|stored| &stored.allocation.holder);
            let mut holders: Vec<Holder> = recorded.into_iter().cloned().collect();
            for one in &list {
                if !holders.iter().any(|holder| is_same(holder, one)) {
                    holders.push(one.holder.clone());
                }
            }
            if holders.len() > 1 {
                let reason = Reason::Duplicate {
                    address,
                    users: holders,
                };
                actions.push(Action {
                    write: None,
                    reason,
                });
            }
            if recorded.is_none() {
                actions.extend(self.adopt(first));
            }
        }
        actions
    }

    fn adopt(&self, one: &InUse) -> Option<Action> {
        let pool = self.layout.pool(&one.pool)?;
        let record = Allocation {
            address: one.address,
            space: pool.space.clone(),
            pool: Arc::clone(&pool.name),
            network: one.network.clone(),
            interface: Arc::clone(&one.interface),
            holder: one.holder.clone(),
            pod: one.pod.clone(),
            mac: one.mac.filter(|_| one.address.ip().is_some()),
            reservation: None,
            since: self.now,
        };
        Some(Action {
            write: Some(Write::Create(record)),
            reason: Reason::Adopted,
        })
    }

    /// Reservations that are not recorded yet.
    fn reservations<'k>(
        &self,
        known: impl Fn(&super::Space, Address) -> Option<&'k Stored>,
    ) -> Vec<Action> {
        let mut taken: HashMap<(super::Space, Address), ()> = HashMap::new();
        for one in self.in_use {
            if let Some(pool) = self.layout.pool(&one.pool) {
                taken.insert((pool.space.clone(), one.address), ());
            }
        }
        let mut actions = Vec::new();
        for (reservation, pool) in &self.layout.reservations {
            let pool = pool.as_ref().and_then(|pool| self.layout.pool(pool));
            let Some(pool) = pool else { continue };
            for address in reservation.sets_aside(pool) {
                let key = (pool.space.clone(), address);
                if known(&pool.space, address).is_some() || taken.insert(key, ()).is_some() {
                    continue;
                }
                let record = Allocation {
                    address,
                    space: pool.space.clone(),
                    pool: Arc::clone(&pool.name),
                    network: reservation.network.clone(),
                    interface: reservation.interface.clone().unwrap_or_default(),
                    holder: reservation.as_holder(),
                    pod: None,
                    mac: reservation.mac.filter(|_| address.ip().is_some()),
                    reservation: None,
                    since: self.now,
                };
                actions.push(Action {
                    write: Some(Write::Create(record)),
                    reason: Reason::Reserved,
                });
            }
        }
        actions
    }
}

/// The record as it goes back to the reservation that it was taken from; `None` if it was taken from
/// none, or that is not there any more.
pub fn given_back(record: &Allocation, layout: &Layout, now: Timestamp) -> Option<Allocation> {
    let from = record.reservation.as_ref()?;
    reserves(layout, &from.namespace, &from.name, record.address).then(|| Allocation {
        holder: Holder::Reservation {
            namespace: Arc::clone(&from.namespace),
            name: Arc::clone(&from.name),
        },
        pod: None,
        reservation: None,
        since: now,
        ..record.clone()
    })
}

fn reserves(layout: &Layout, namespace: &str, name: &str, address: Address) -> bool {
    layout.reservations.iter().any(|(reservation, pool)| {
        let pool = pool.as_ref().and_then(|pool| layout.pool(pool));
        &*reservation.namespace == namespace
            && &*reservation.name == name
            && pool.is_some_and(|pool| reservation.sets_aside(pool).contains(&address))
    })
}

/// Whether the holder of a record is who uses the address: a reservation's address in the hands of a
/// pod is no second user, for its holder may have come past us.
fn is_same(holder: &Holder, user: &InUse) -> bool {
    *holder == user.holder || matches!(holder, Holder::Reservation { .. })
}

fn free(stored: &Stored, reason: Reason) -> Action {
    Action {
        write: Some(Write::Delete(stored.allocation.clone(), stored.version)),
        reason,
    }
}

#[cfg(test)]
mod tests;
