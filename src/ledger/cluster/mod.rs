//! The ledger in a cluster: one AddressAllocation for each record, written through the API server.
//!
//! Nothing here keeps replicas in step but the API server's own words: "already exists" makes a
//! record's name the lock, and a `resourceVersion` names the state that was judged. Both are etcd's,
//! whichever replica asks. A `resourceVersion` is a number that grows with every write of the
//! cluster (KEP-5504): it is the record's [`Version`], and a place in history is a [`Cursor`].
//!
//! A write goes through these files:
//!
//! 1. [`ClusterLedger::write`](crate::ledger::Store::write) starts a task, which comes to its end
//!    whoever waits for it.
//! 2. `batch` writes the records side by side, creates first, and takes back what it has created if
//!    one of them is refused for good.
//! 3. `write` carries one record through: a request, and where its answer leaves a question, looks.
//! 4. [`crate::api::call`] asks again where that helps, within the [`RetryPolicy`].
//!
//! `object` turns records into objects and back, `read` looks, `follow` watches, `words` says what
//! to do about objects that are no records, `counted` counts requests, `transfer` exports and imports.
//!
//! # Marks
//! Every object carries the mark of the batch that wrote it last ([`WRITER`]). By it a batch knows its
//! own record again when the answer to a create was lost, or when it is repeated because its end was
//! not known. A record that another batch has created with the same content (two replicas asked for
//! one pod in one second) is taken over by an update of the mark: its version changes, so that the
//! other cannot take it back any more.

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
    Client,
    api::{Api, ApiResource, DynamicObject, PostParams},
};
use prometheus_client::collector::Collector;

use self::{
    batch_ids::BatchIds,
    request_metrics::{RequestCounters, RequestVerb},
};
pub use self::{object::WRITTEN_BY, request_metrics::RequestCounts};
use super::{Actor, Cursor, LedgerEvents, ReadError, Store, WriteError};
use crate::{
    allocation::{Holder, Stored, Version, Write},
    api::{
        AddressAllocation,
        call::{ApiCall, ApiError, RetryPolicy},
    },
};

/// Who writes, in the objects' `managedFields`.
const MANAGER: &str = "nadmit";
/// How many names of unreadable objects are remembered, so that each is reported once.
const MAX_REPORTED: usize = 1_024;

/// How a [`ClusterLedger`] behaves.
#[derive(Debug, Clone)]
pub struct ClusterLedgerOptions {
    /// The name of this process, unlike that of any other that writes: the pod's name and something
    /// random, as a container may be restarted in its pod.
    pub writer: String,
    /// How long to try a record's write, or a read.
    pub retry_policy: RetryPolicy,
    /// How many objects a page of a list has.
    pub page_size: u32,
    /// How long a watch lasts before it is opened anew; under 295 s.
    pub watch_duration: Duration,
    /// The longest pause before a watch that broke is opened anew.
    pub max_backoff: Duration,
    /// As whom the API server is asked.
    pub actor: Actor,
}

impl ClusterLedgerOptions {
    /// What serves well: 8 s of patience, pages of 500, watches of 4 minutes.
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

/// A ledger of AddressAllocation objects. Guarantees: see [the room](super). A clone is the same
/// ledger.
///
/// It needs get, list, watch, create, update and delete on `addressallocations.nadmit.io`.
#[derive(Debug, Clone)]
pub struct ClusterLedger(Arc<ClusterLedgerInner>);

#[derive(Debug)]
struct ClusterLedgerInner {
    api: Api<DynamicObject>,
    options: ClusterLedgerOptions,
    counters: RequestCounters,
    batch_ids: BatchIds,
    /// The unreadable objects that were reported.
    reported: Mutex<HashSet<String>>,
}

impl ClusterLedger {
    /// The ledger of the cluster that `client` leads to. Asks nothing yet.
    ///
    /// The client should ask once and leave repeating to this room, as that of
    /// [`crate::api::call::client`] does.
    pub fn new(client: Client, options: ClusterLedgerOptions) -> Self {
        let kind = ApiResource::erase::<AddressAllocation>(&());
        Self(Arc::new(ClusterLedgerInner {
            api: Api::all_with(client, &kind),
            options,
            counters: RequestCounters::default(),
            batch_ids: BatchIds::default(),
            reported: Mutex::default(),
        }))
    }

    /// How many requests were made.
    pub fn requests(&self) -> RequestCounts {
        self.0.counters.snapshot()
    }

    /// The same as metrics, as they are at each scrape.
    pub fn collector(&self) -> Box<dyn Collector> {
        Box::new(self.0.counters.clone())
    }

    /// What a holder has now, by name: every write that was answered before this call is seen.
    ///
    /// # Errors
    /// [`ReadError`], if the API server does not say.
    pub async fn list_held(&self, holder: &Holder) -> Result<Vec<Stored>, ReadError> {
        self.0.list_held(holder).await
    }

    /// The records of these names as they are now, in the order of the names; each as by
    /// [`Store::get`].
    ///
    /// # Errors
    /// [`ReadError`], if one of them cannot be read.
    pub async fn get_many(&self, names: &[String]) -> Result<Vec<Option<Stored>>, ReadError> {
        self.0.get_many(names).await
    }
}

impl Store for ClusterLedger {
    async fn write(&self, batch: Vec<Write>) -> Result<Vec<Version>, WriteError> {
        // A task of its own: what was begun comes to its end, whoever waits for it.
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
        follow::follow(Arc::clone(&self.0), from)
    }
}

impl ClusterLedgerInner {
    fn begin_call(&self) -> ApiCall {
        ApiCall::begin(self.options.retry_policy)
    }

    /// An answer, and what to do about it.
    fn advice(&self, verb: RequestVerb, answer: &ApiError) -> String {
        let caller = self.options.actor;
        caller.advice(verb.name(), "addressallocations", answer)
    }

    fn count_retries(&self, call: &ApiCall) {
        self.counters.count_retries(call.retries());
    }

    /// How objects are written.
    fn post_params() -> PostParams {
        PostParams {
            dry_run: false,
            field_manager: Some(MANAGER.to_owned()),
        }
    }

    /// Counts an object that is no record, and reports it the first time.
    fn log_unreadable(&self, name: &str, reason: &str) {
        self.counters.count_unreadable();
        let mut noticed = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        if noticed.len() >= MAX_REPORTED {
            noticed.clear();
        }
        if noticed.insert(name.to_owned()) {
            tracing::error!("{}", messages::unreadable(name, reason));
        }
    }
}
