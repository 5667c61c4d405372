//! The catalog of a cluster, kept up to date by watches.
//!
//! [`ClusterSource`] follows each kind that the catalog consists of, keeps only the relevant parts of
//! an object, and publishes the catalog as a whole, as the folder source does. Pods and networks are
//! interpreted by the same code as those in manifests.
//!
//! Guarantees:
//! - The first catalog is published when all required kinds have been listed once. Afterwards a lost
//!   watch is logged once and shown by [`ClusterSource::status`]; the last known objects still count,
//!   and the watch is retried for ever, with pauses of at most half a minute.
//! - A kind that the cluster does not have has no objects; it is picked up when it appears. An optional
//!   kind that may not be listed is marked as unknown in the catalog.
//! - After a `refresh_…` the published catalog is at least as fresh, in that respect, as the cluster
//!   was
//!   at the call, and it stays so: no older event undoes a live read.
//! - A change is published at once, the next one at the earliest 20 ms later. The cost does not grow
//!   with the number of objects.
//! - Everything ends with the token, runs in tokio's time, and is deterministic.

mod catalog_builder;
mod follow;
mod kinds;
mod pod;
mod progress;
mod put;
mod read;
mod refresh;
mod requests;
mod status;
mod store;

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::{
    sync::{Notify, watch},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use nadmit_catalog::{Catalog, PoolDerivation};

use self::{kinds::WatchedKind, store::ClusterStore};

pub use self::{
    kinds::watched_custom_kinds,
    put::{UnreadableRecord, put_records},
    status::{ClusterStatus, KindState, KindStatus, Stale},
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterSourceOptions {
    /// The API server's URL, for error messages.
    pub server: String,
    /// The number of objects in a page of a list.
    pub page_size: u32,
    /// The time for which changes are collected before the next catalog.
    pub debounce: Duration,
    /// The maximum pause before a failed request is retried.
    pub max_backoff: Duration,
}

impl Default for ClusterSourceOptions {
    fn default() -> Self {
        Self {
            server: "of this cluster".to_owned(),
            page_size: 500,
            debounce: Duration::from_millis(20),
            max_backoff: Duration::from_secs(30),
        }
    }
}

/// Keeps the catalog in step with a cluster. Clones share their state.
#[derive(Clone)]
pub struct ClusterSource {
    shared: Arc<SourceState>,
}

impl fmt::Debug for ClusterSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterSource")
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

struct SourceState {
    client: kube::Client,
    options: ClusterSourceOptions,
    target: Arc<ArcSwapOption<Catalog>>,
    /// The watched objects. The lock also orders the published catalogs.
    store: Mutex<ClusterStore>,
    /// Signals that there may be something to publish.
    changed: Notify,
    /// Signals that the watch of pods delivered something.
    pods_changed: watch::Sender<()>,
    synced: watch::Sender<bool>,
    published: AtomicU64,
    events: AtomicU64,
}

impl ClusterSource {
    /// Creates a source that publishes into `catalog`; sends no request.
    pub fn new(
        client: kube::Client,
        options: ClusterSourceOptions,
        catalog: Arc<ArcSwapOption<Catalog>>,
    ) -> Self {
        Self {
            shared: Arc::new(SourceState {
                client,
                options,
                target: catalog,
                store: Mutex::default(),
                changed: Notify::new(),
                pods_changed: watch::Sender::new(()),
                synced: watch::Sender::new(false),
                published: AtomicU64::new(0),
                events: AtomicU64::new(0),
            }),
        }
    }

    /// Keeps the catalog up to date until `cancel`. May be run once.
    pub async fn run(self, cancel: CancellationToken) {
        let shared = &*self.shared;
        let follow = WatchedKind::ALL.map(|watched| follow::follow(shared, watched));
        // This polls only the futures that were woken.
        let mut follow: FuturesUnordered<_> = follow.into_iter().collect();
        tokio::select! {
            biased;
            () = cancel.cancelled() => {}
            () = shared.publish_changes() => {}
            () = async { while follow.next().await.is_some() {} } => {}
        }
    }

    /// Sets by which settings networks define pools.
    pub fn set_pool_derivation(&self, derivation: PoolDerivation) {
        self.shared
            .with(|store| store.set_pool_derivation(derivation));
    }

    /// Returns the number of nadmit's own pods that run in a namespace; `None` while it is not known, or if they
    /// are not labelled as those of `deploy/`. A pod that is being deleted counts until it is gone.
    pub fn live_replicas(&self, namespace: &str) -> Option<usize> {
        self.shared.store().live_replicas(namespace)
    }

    /// Waits for the first catalog.
    pub async fn wait_synced(&self) {
        let mut synced = self.shared.synced.subscribe();
        // The sender lives as long as this source.
        let _ = synced.wait_for(|synced| *synced).await;
    }

    /// Returns true if the first catalog is published. The server is ready from then on, even if
    /// watches are lost.
    pub fn is_synced(&self) -> bool {
        *self.shared.synced.borrow()
    }

    /// Returns the present status of the watches.
    pub fn status(&self) -> ClusterStatus {
        let (kinds, problems) = {
            let store = self.shared.store();
            (store.kinds(), store.problems().cloned().collect())
        };
        ClusterStatus {
            synced: self.is_synced(),
            kinds,
            problems,
            published: self.shared.published.load(Ordering::Relaxed),
            events: self.shared.events.load(Ordering::Relaxed),
        }
    }
}

impl SourceState {
    fn store(&self) -> std::sync::MutexGuard<'_, ClusterStore> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the store, and schedules the publication of what changed.
    fn with<T>(&self, change: impl FnOnce(&mut ClusterStore) -> T) -> T {
        let mut store = self.store();
        let outcome = change(&mut store);
        let first = !*self.synced.borrow() && store.is_ready();
        if first || store.is_changed() {
            self.changed.notify_one();
        }
        outcome
    }

    async fn publish_changes(&self) {
        loop {
            self.changed.notified().await;
            self.publish();
            sleep(self.options.debounce).await;
        }
    }

    /// Publishes the catalog if it has changed and all required kinds are known.
    fn publish(&self) {
        let mut store = self.store();
        if !store.is_ready() && !*self.synced.borrow() {
            return;
        }
        let first = !*self.synced.borrow();
        let news = store.take();
        let Some(catalog) = news.or_else(|| first.then(|| Arc::new(store.catalog().clone())))
        else {
            return;
        };
        if first {
            tracing::info!(
                networks = catalog.network_count(),
                namespaces = catalog.namespace_count(),
                pods = catalog.pod_count(),
                "initial sync complete"
            );
        }
        self.target.store(Some(catalog));
        self.published.fetch_add(1, Ordering::Relaxed);
        drop(store);
        self.synced
            .send_if_modified(|synced| !std::mem::replace(synced, true));
    }
}
