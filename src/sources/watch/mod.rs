//! The catalog of a living cluster, kept up to date by watches.
//!
//! [`ClusterSource`] follows each kind that the catalog is made of, keeps of an object only what is
//! read, and publishes the catalog whole, as the folder does. What a pod or a network means is read by
//! the same code as from manifests.
//!
//! Guarantees:
//! - The first catalog is published when all that is necessary was listed once. Afterwards a watch
//!   that is lost is logged once and shown by [`ClusterSource::status`]; what was known before still
//!   counts, and the watch is tried for ever, with pauses of half a minute at most.
//! - A kind that the cluster does not have has no objects; it is picked up when it appears. Of a kind that
//!   may not be listed, and is not necessary, the catalog says that it does not know.
//! - After a `refresh_…` the published catalog is at least as fresh, in that respect, as the cluster was
//!   at the call, and it stays so: no event that is older undoes what was read live.
//! - A change is published at once, the next one 20 ms later at the soonest. What it costs does not
//!   grow with the number of objects.
//! - All of it ends with the token, runs in tokio's time, and is left to no chance.

mod backoff;
mod catalog_builder;
mod follow;
mod kinds;
mod node;
mod pod;
mod progress;
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

use crate::catalog::Catalog;

use self::{kinds::WatchedKind, store::ClusterStore};

pub use self::status::{ClusterStatus, KindState, KindStatus, Stale};

/// How a cluster is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterSourceOptions {
    /// What the API server is called in errors: its URL.
    pub server: String,
    /// How many objects are asked for at a time.
    pub page_size: usize,
    /// How long changes are gathered before the next catalog.
    pub debounce: Duration,
    /// The longest pause before something that failed is tried again.
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

/// Feeds the catalog from a cluster. Clones share one state.
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
    /// Also orders what is published.
    store: Mutex<ClusterStore>,
    /// There may be something to publish.
    changed: Notify,
    synced: watch::Sender<bool>,
    published: AtomicU64,
    events: AtomicU64,
}

impl ClusterSource {
    /// A source that feeds `catalog` from the cluster of `client`. Nothing is asked yet.
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
                synced: watch::Sender::new(false),
                published: AtomicU64::new(0),
                events: AtomicU64::new(0),
            }),
        }
    }

    /// Keeps the catalog up to date until `cancel`. To be run once.
    pub async fn run(self, cancel: CancellationToken) {
        let shared = &*self.shared;
        let follow = WatchedKind::ALL.map(|watched| follow::follow(shared, watched));
        // Only those are looked at that have something to do.
        let mut follow: FuturesUnordered<_> = follow.into_iter().collect();
        tokio::select! {
            biased;
            () = cancel.cancelled() => {}
            () = shared.publish_changes() => {}
            () = async { while follow.next().await.is_some() {} } => {}
        }
    }

    /// Waits for the first catalog.
    pub async fn wait_synced(&self) {
        let mut synced = self.shared.synced.subscribe();
        // The sender lives as long as this source.
        let _ = synced.wait_for(|synced| *synced).await;
    }

    /// Whether the first catalog is published: then the server is ready, whatever happens to watches
    /// later.
    pub fn is_synced(&self) -> bool {
        *self.shared.synced.borrow()
    }

    /// What there is to say of the watches now.
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

    /// Does something to the store; what changed is published soon.
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

    /// Publishes what changed, if enough is known.
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
                "the cluster is known"
            );
        }
        self.target.store(Some(catalog));
        self.published.fetch_add(1, Ordering::Relaxed);
        drop(store);
        self.synced
            .send_if_modified(|synced| !std::mem::replace(synced, true));
    }
}
