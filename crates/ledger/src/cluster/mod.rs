//! The ledger of a cluster: one AddressAllocation per record, written through the API server.
//!
//! Replicas are coordinated by the API server alone: "already exists" makes a record's name the lock, and a
//! `resourceVersion` names the state that a decision was based on. Both come from etcd, whichever API
//! server answers. A `resourceVersion` is a number that grows with every write of the cluster (KEP-5504):
//! it is the record's [`Version`], and a position in the history is a [`Cursor`].
//!
//! A write passes through these modules:
//!
//! 1. [`ClusterLedger::write`](crate::Store::write) spawns a task, which completes even if the
//!    caller stops waiting.
//! 2. `batch` writes the records concurrently, creates first, and deletes what it has created if one of
//!    them is refused permanently.
//! 3. `write` writes one record: it sends a request and, if the response leaves the outcome open, reads the
//!    object.
//! 4. [`nadmit_api::call`] retries where that helps.
//!
//! `object` converts records to objects and back, `read` reads objects, `follow` watches them, `messages`
//! has the remedies for invalid objects, `request_metrics` counts requests, `transfer` exports and imports.
//!
//! # Batch IDs
//! Every object carries the ID of the batch that wrote it last ([`WRITTEN_BY`]). By it a batch recognizes its
//! own record when the response to a create was lost, or when the batch is repeated because its outcome was
//! unknown. If another batch has created a record with the same content (two replicas handled one pod at the
//! same time), the batch takes it over by updating the ID: the version changes, so that the other batch
//! cannot delete the record any more.

mod batch;
mod batch_ids;
mod follow;
mod messages;
mod object;
mod read;
mod request_metrics;
mod transfer;
mod write;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use kube::{
    Client, Resource as _,
    api::{Api, ApiResource, DynamicObject, PostParams},
};
use prometheus_client::registry::Registry;

use self::{
    batch_ids::BatchIds,
    object::InvalidObject,
    request_metrics::{RequestCounters, RequestVerb},
};
pub use self::{object::WRITTEN_BY, request_metrics::LedgerRequestCounts};
use super::{Actor, Cursor, LedgerEvents, ReadError, Store, WriteError};
use nadmit_allocation::{Holder, Stored, Version, Write};
use nadmit_api::{
    AddressAllocation,
    call::{ApiCall, ApiError, RetryPolicy},
    watch::ListWatch,
};

/// Field manager in the objects' `managedFields`.
const MANAGER: &str = "nadmit";
/// Number of names of unreadable objects that are remembered, so that each is logged once.
const MAX_REPORTED: usize = 1_024;

#[derive(Debug, Clone)]
pub struct ClusterLedgerOptions {
    /// Name of this process, unique among all writers: the pod's name and a random part, because a
    /// container may be restarted within its pod.
    pub writer: String,
    /// Timeouts and pauses of a record's write or a read.
    pub retry_policy: RetryPolicy,
    /// Number of objects per page of a list.
    pub page_size: u32,
    /// Duration of one watch request; less than 295 s.
    pub watch_duration: Duration,
    /// Longest pause before a broken watch is reopened.
    pub max_backoff: Duration,
    /// Identity that requests are sent with.
    pub actor: Actor,
}

impl ClusterLedgerOptions {
    /// Returns the defaults of a server: the default retry policy, pages of 500 objects, watches of 4
    /// minutes.
    pub fn new(writer: impl Into<String>) -> Self {
        Self {
            writer: writer.into(),
            retry_policy: RetryPolicy::default(),
            page_size: 500,
            watch_duration: Duration::from_secs(240),
            max_backoff: Duration::from_secs(10),
            actor: Actor::Server,
        }
    }
}

/// A ledger of AddressAllocation objects. The [module documentation](super) states its guarantees. Clones
/// are the same ledger.
///
/// Requires get, list, watch, create, update and delete on `addressallocations.nadmit.io`.
#[derive(Debug, Clone)]
pub struct ClusterLedger(Arc<ClusterLedgerInner>);

#[derive(Debug)]
struct ClusterLedgerInner {
    api: Api<DynamicObject>,
    list_watch: ListWatch,
    options: ClusterLedgerOptions,
    counters: RequestCounters,
    batch_ids: BatchIds,
    /// Names of unreadable objects that were logged.
    reported: Mutex<HashSet<String>>,
}

impl ClusterLedger {
    /// Creates a ledger. Sends no request.
    ///
    /// The client should not retry by itself, as that of [`nadmit_api::call::client`] does not: retrying is
    /// done here.
    pub fn new(client: Client, options: ClusterLedgerOptions) -> Self {
        let kind = ApiResource::erase::<AddressAllocation>(&());
        Self(Arc::new(ClusterLedgerInner {
            list_watch: ListWatch::new(client.clone(), DynamicObject::url_path(&kind, None)),
            api: Api::all_with(client, &kind),
            options,
            counters: RequestCounters::default(),
            batch_ids: BatchIds::default(),
            reported: Mutex::default(),
        }))
    }

    /// Returns the number of requests made.
    pub fn requests(&self) -> LedgerRequestCounts {
        self.0.counters.snapshot()
    }

    /// Registers counters of requests.
    pub fn register(&self, registry: &mut Registry) {
        self.0.counters.register(registry);
    }

    /// Lists the current records of a holder, sorted by name. Every write that was acknowledged before this
    /// call is visible.
    ///
    /// # Errors
    /// [`ReadError`] if the list cannot be read.
    pub async fn list_held(&self, holder: &Holder) -> Result<Vec<Stored>, ReadError> {
        self.0.list_held(holder).await
    }

    /// Reads the current records of these names, in the order of the names, each like [`Store::get`].
    ///
    /// # Errors
    /// [`ReadError`], if one of them cannot be read.
    pub async fn get_many(&self, names: &[String]) -> Result<Vec<Option<Stored>>, ReadError> {
        self.0.get_many(names).await
    }
}

impl Store for ClusterLedger {
    async fn write(&self, batch: Vec<Write>) -> Result<Vec<Version>, WriteError> {
        // A task of its own, so that the batch completes even if the caller stops waiting.
        let task = tokio::spawn(batch::run(Arc::clone(&self.0), batch));
        task.await.unwrap_or_else(|error| {
            Err(WriteError::Uncertain {
                reason: format!("the writer ended: {error}"),
            })
        })
    }

    async fn get(&self, record_name: &str) -> Result<Option<Stored>, ReadError> {
        self.0.get(record_name).await
    }

    async fn list(&self) -> Result<(Vec<Stored>, Cursor), ReadError> {
        self.0.list().await
    }

    fn follow(&self, from: Cursor) -> LedgerEvents {
        follow::events(Arc::clone(&self.0), from)
    }
}

impl ClusterLedgerInner {
    fn begin_call(&self) -> ApiCall {
        ApiCall::begin(self.options.retry_policy)
    }

    /// Returns an error with its remedy.
    fn advice(&self, verb: RequestVerb, error: &ApiError) -> String {
        let actor = self.options.actor;
        actor.advice(verb.name(), "addressallocations", error)
    }

    fn count_retries(&self, call: &ApiCall) {
        self.counters.count_retries(call.retries());
    }

    /// Returns the parameters of writes.
    fn post_params() -> PostParams {
        PostParams {
            dry_run: false,
            field_manager: Some(MANAGER.to_owned()),
        }
    }

    /// Counts an object that is not a valid record, and logs it the first time.
    fn log_unreadable(&self, name: &str, reason: &InvalidObject) {
        self.counters.count_unreadable();
        let mut noticed = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        if noticed.len() >= MAX_REPORTED {
            noticed.clear();
        }
        if noticed.insert(name.to_owned()) {
            tracing::error!(component = "ledger", object = name, error = %messages::unreadable(name, reason), "ignoring invalid AddressAllocation");
        }
    }
}
