//! Writes Whereabouts's records: the entries of `IPPool`s, and reservations.
//!
//! Whereabouts has one object for all addresses of a range, which each of its plugins patches under the
//! `resourceVersion` that it read. So that nadmit's writes do not starve them, the entries that wait at
//! one moment go in one patch ([`queue`]), and a pool is written again after a pause ([`Pacing`]).
//!
//! # Guarantees
//! - An entry that nadmit keeps for a record of another address space is never changed: networks of several
//!   may have their entries in one `IPPool`, and their records do not exclude each other.
//! - An entry or reservation that the plugin keeps is never changed ([`nadmit_whereabouts::DesiredUse`]),
//!   but removed if it was left behind: its pod is read live after the pool. If a new pod of that name
//!   adopts the entry meanwhile, the pool has another version.
//! - A patch applies only to the version of the pool that it was planned on.
//! - A write that rests on a record of the ledger (a [`RecordGuard`]) reads the pool first and the record
//!   second: a replica that changes the record writes the pool after it, and then this patch fails.
//! - A Binding changes the pool even if the entry is as it has to be, for the same reason: the entry may be
//!   that of an earlier pod of the same name, whose hold is being written.
//! - An entry that the plugin keeps of the pod that is being bound is removed only while the pod is not
//!   bound.
//! - The entry is written before its reservation: a reservation alone makes the plugin of another pod fail.
//!   Where the address is left to its pod, the reservation comes first: as soon as the entry has the
//!   container's id, the DEL of the pod deletes both.

mod commit;
mod objects;
mod pacing;
mod queue;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::future::{join_all, try_join_all};
use serde_json::Value;
use thiserror::Error;
use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};

pub use self::{commit::commit_served, pacing::Pacing};
use self::{objects::WhereaboutsApi, queue::PoolQueue};
use super::{Ledger, Store as _};
use nadmit_allocation::Version;
use nadmit_api::call::{ApiError, RetryPolicy};
use nadmit_whereabouts::{DesiredEntry, DesiredUse, IpPoolRef, PodName, PodUse, Taken};

/// A write of Whereabouts's records for one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhereaboutsWrite {
    pub entry: DesiredEntry,
    /// The records that the write rests on, which another replica may have changed.
    pub guards: Vec<RecordGuard>,
}

impl WhereaboutsWrite {
    /// Returns true if a Binding under review makes the write: its record was written just before.
    fn is_of_review(&self) -> bool {
        matches!(self.entry.desired, DesiredUse::Binding { .. }) && self.guards.is_empty()
    }
}

/// The state of a record of the ledger that a write rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordGuard {
    /// The name of the record.
    pub record: String,
    /// The version that was judged; `None` if there was no record.
    pub version: Option<Version>,
}

/// The reason why Whereabouts's records were not written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WhereaboutsError {
    /// Another pod has an address, by the plugin or by a record of another address space.
    #[error("{}", taken_text(.0))]
    Taken(Taken),
    /// The record of the ledger has changed since.
    #[error("the record {0} has changed; it is judged again")]
    Outdated(String),
    /// The pod of a Binding is bound already, and its plugin may have given it an address.
    #[error("pod {0} is bound already; its address is not changed")]
    Bound(PodName),
    /// The pod of a record that seemed to be left behind may use the address.
    #[error("pod {0} may use the address; its record stays")]
    InUse(PodName),
    /// The API server did not accept the write.
    #[error("Whereabouts's records cannot be written: {0}")]
    Api(#[source] ApiError),
    /// The object has a value that cannot be read.
    #[error("IPPool {pool} cannot be read: {reason}; correct or remove it")]
    Unreadable {
        /// Namespace and name of the pool.
        pool: String,
        reason: String,
    },
    /// The CRD of Whereabouts drops the interface of an entry.
    #[error(
        "the CRD of IPPools has no ifname (Whereabouts before v0.8.0), so nadmit cannot serve its networks; \
         upgrade Whereabouts, or set whereabouts: observe"
    )]
    OldDefinition,
    /// The time for writing has passed.
    #[error(
        "Whereabouts's records could not be written in time: its plugins are writing them, too"
    )]
    TimedOut,
    /// The writer ended.
    #[error("the writer of Whereabouts's records ended")]
    Ended,
}

fn taken_text(taken: &Taken) -> String {
    let address = taken.address;
    match &taken.pod {
        Some(pod) => format!("{address} is in use by pod {pod}, as a record of Whereabouts says"),
        None => format!("a record of Whereabouts keeps {address}"),
    }
}

/// The writer of Whereabouts's records. Clones share their queues.
///
/// Requires get, create and patch on `ippools`, and get, create, patch and delete on
/// `overlappingrangeipreservations` in Whereabouts's namespace.
#[derive(Clone)]
pub struct WhereaboutsLedger(Arc<Shared>);

struct Shared {
    api: WhereaboutsApi,
    ledger: Arc<Ledger>,
    pacing: Pacing,
    queues: Mutex<HashMap<IpPoolRef, PoolQueue>>,
}

impl fmt::Debug for WhereaboutsLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WhereaboutsLedger")
    }
}

impl WhereaboutsLedger {
    /// Creates a writer. Sends no request. `ledger` has the records that writes rest on.
    pub fn new(
        client: kube::Client,
        retry_policy: RetryPolicy,
        ledger: Arc<Ledger>,
        pacing: Pacing,
    ) -> Self {
        Self(Arc::new(Shared {
            api: WhereaboutsApi::new(client, retry_policy),
            ledger,
            pacing,
            queues: Mutex::default(),
        }))
    }

    /// Makes the records of these addresses what they have to be: the entries, then the reservations, or
    /// the other way round where an address is left to its pod.
    /// Waits until `deadline` at the most; writes that have begun go on.
    ///
    /// # Errors
    /// The first [`WhereaboutsError`]. Other addresses may have been written.
    pub async fn write(
        &self,
        writes: Vec<WhereaboutsWrite>,
        deadline: Instant,
    ) -> Result<(), WhereaboutsError> {
        let left = |one: &&WhereaboutsWrite| one.entry.desired.is_left_to_pod();
        let others = |one: &&WhereaboutsWrite| !one.entry.desired.is_left_to_pod();
        self.reserve(writes.iter().filter(left), deadline).await?;
        let waiting = writes
            .iter()
            .filter_map(|one| self.enqueue(one.clone(), deadline));
        let waiting: Vec<_> = waiting.collect();
        let entries = timeout_at(deadline, join_all(waiting)).await;
        let entries = entries.map_err(|_| WhereaboutsError::TimedOut)?;
        for entry in entries {
            entry.unwrap_or(Err(WhereaboutsError::Ended))?;
        }
        self.reserve(writes.iter().filter(others), deadline).await
    }

    /// Makes the reservations of these addresses what they have to be.
    async fn reserve<'w>(
        &self,
        writes: impl Iterator<Item = &'w WhereaboutsWrite>,
        deadline: Instant,
    ) -> Result<(), WhereaboutsError> {
        let reservations = writes.map(|one| self.0.reserve(one));
        let reserved = timeout_at(deadline, try_join_all(reservations)).await;
        reserved.map_err(|_| WhereaboutsError::TimedOut)?.map(drop)
    }

    /// Adds a write to the queue of its pool, if it has an entry.
    fn enqueue(
        &self,
        write: WhereaboutsWrite,
        deadline: Instant,
    ) -> Option<oneshot::Receiver<Result<(), WhereaboutsError>>> {
        let pool = write.entry.at.pool.clone()?;
        let (done, waiting) = oneshot::channel();
        let begins = {
            let mut queues = self.0.queues();
            let queue = queues.entry(pool.clone()).or_default();
            queue.push(write, deadline, done)
        };
        if begins {
            tokio::spawn(queue::drain(Arc::clone(&self.0), pool));
        }
        Some(waiting)
    }
}

impl Shared {
    fn queues(&self) -> MutexGuard<'_, HashMap<IpPoolRef, PoolQueue>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the reservation of an address what it has to be.
    async fn reserve(&self, write: &WhereaboutsWrite) -> Result<(), WhereaboutsError> {
        self.api.reserve(&write.entry, || self.check(write)).await
    }

    /// Checks that the records which a write rests on are unchanged, and that the pod of a record that was
    /// left behind does not use the address.
    async fn check(&self, write: &WhereaboutsWrite) -> Result<(), WhereaboutsError> {
        if let DesiredUse::Leaked { pod, .. } = &write.entry.desired {
            let pods = self.api.pods(pod).await?;
            let uses = |found: &Value| PodUse::of(found, write.entry.at.address);
            if pods.iter().any(|found| uses(found) == PodUse::Possible) {
                return Err(WhereaboutsError::InUse(pod.clone()));
            }
        }
        for guard in &write.guards {
            let outdated = || WhereaboutsError::Outdated(guard.record.clone());
            let found = self.ledger.get(&guard.record).await;
            let found = found.map_err(|_| outdated())?;
            let version = found.map(|stored| stored.version);
            if version != guard.version {
                return Err(outdated());
            }
        }
        Ok(())
    }
}
