//! The watched objects of all kinds, and what is known about each kind.

use std::{collections::BTreeMap, sync::Arc};

use tokio::time::Instant;

use crate::cluster::projection;
use nadmit_catalog::{Catalog, PoolDerivation};

use super::{
    catalog_builder::CatalogBuilder,
    kinds::WatchedKind,
    progress::{ObjectKey, ReadFreshness, ReadScope, WatchProgress},
    read::WatchedObject,
    status::{KindState, KindStatus, Stale},
};

/// The watched objects of a cluster.
pub(super) struct ClusterStore {
    builder: CatalogBuilder,
    kinds: [KindCache; WatchedKind::ALL.len()],
    problems: BTreeMap<(WatchedKind, ObjectKey), Vec<String>>,
}

/// The state of one kind.
#[derive(Default)]
struct KindCache {
    state: KindState,
    stale: Option<Stale>,
    progress: WatchProgress,
    /// The objects in the catalog, each with the number of the last list that contained it.
    present: BTreeMap<ObjectKey, u64>,
    /// The number of lists begun.
    lists: u64,
}

impl Default for ClusterStore {
    fn default() -> Self {
        Self {
            builder: CatalogBuilder::default(),
            kinds: std::array::from_fn(|_| KindCache::default()),
            problems: BTreeMap::new(),
        }
    }
}

impl ClusterStore {
    fn cache(&mut self, watched: WatchedKind) -> &mut KindCache {
        &mut self.kinds[watched.index()]
    }

    /// Returns true if enough is known for a catalog: every required kind, and of the others whether
    /// they can be known.
    pub(super) fn is_ready(&self) -> bool {
        WatchedKind::ALL.into_iter().all(|watched| {
            let cache = &self.kinds[watched.index()];
            match cache.state {
                KindState::Synced | KindState::Missing => true,
                KindState::Forbidden => !watched.is_required(),
                KindState::Waiting => !watched.is_required() && cache.stale.is_some(),
            }
        })
    }

    /// Returns the catalog if it has changed since the last call.
    pub(super) fn take(&mut self) -> Option<Arc<Catalog>> {
        self.builder.take()
    }

    /// Returns true if [`Self::take`] may return a catalog.
    pub(super) fn is_changed(&self) -> bool {
        self.builder.is_changed()
    }

    /// Returns the present catalog.
    pub(super) fn catalog(&self) -> &Catalog {
        self.builder.catalog()
    }

    /// Returns true if the pod of this UID was observed, with additional networks or unbound.
    pub(super) fn has_observed_pod(&self, key: &ObjectKey, uid: &str) -> bool {
        self.builder.has_observed(key, uid)
    }

    /// Returns the number of nadmit's pods in a namespace that are bound and have not ended; `None` if pods are
    /// not known, or there are none.
    pub(super) fn live_replicas(&self, namespace: &str) -> Option<usize> {
        let is_known = self.is_known(WatchedKind::Pods);
        let count = is_known.then(|| self.builder.replicas(namespace));
        count.filter(|count| *count > 0)
    }

    /// Returns true if the watch of a kind works, as far as is known.
    pub(super) fn is_current(&self, watched: WatchedKind) -> bool {
        let cache = &self.kinds[watched.index()];
        cache.state == KindState::Synced && cache.stale.is_none()
    }

    /// Sets by which settings networks define pools.
    pub(super) fn set_pool_derivation(&mut self, derivation: PoolDerivation) {
        self.builder.set_pool_derivation(derivation);
    }

    /// Begins a list of this revision.
    pub(super) fn begin_list(&mut self, watched: WatchedKind, revision: u64) {
        let cache = self.cache(watched);
        cache.lists += 1;
        cache.progress.begin(revision);
    }

    /// Applies an object of the current list.
    pub(super) fn list(&mut self, watched: WatchedKind, revision: u64, object: WatchedObject) {
        let cache = self.cache(watched);
        if !cache.progress.has_newer(&object.key, revision) {
            self.insert(watched, object);
        }
    }

    /// Ends the current list, and removes the objects it did not contain.
    pub(super) fn end_list(&mut self, watched: WatchedKind, revision: u64) {
        let cache = self.cache(watched);
        let (number, progress) = (cache.lists, &cache.progress);
        let gone = cache
            .present
            .iter()
            .filter(|(key, list)| **list != number && !progress.has_newer(key, revision));
        let gone: Vec<ObjectKey> = gone.map(|(key, _)| key.clone()).collect();
        for key in gone {
            self.remove(watched, &key);
        }
        let cache = self.cache(watched);
        cache.progress.end(true);
        self.mark_synced(watched, KindState::Synced);
    }

    /// Ends the current list as incomplete.
    pub(super) fn break_list(&mut self, watched: WatchedKind) {
        self.cache(watched).progress.end(false);
    }

    /// Applies a change from the watch.
    pub(super) fn event(&mut self, watched: WatchedKind, change: WatchChange) {
        let (key, revision) = change.of();
        if !self.cache(watched).progress.event(key, revision) {
            return;
        }
        match change {
            WatchChange::Put(object) => self.insert(watched, object),
            WatchChange::Gone(key, _) => self.remove(watched, &key),
        }
    }

    /// Records that the watch has delivered everything up to this revision.
    pub(super) fn bookmark(&mut self, watched: WatchedKind, revision: u64) {
        self.cache(watched).progress.advance(revision);
    }

    /// Applies a live read of all objects in its scope, if it is newer.
    pub(super) fn apply_live_read(
        &mut self,
        watched: WatchedKind,
        scope: ReadScope,
        revision: u64,
        all: Vec<WatchedObject>,
    ) -> ReadFreshness {
        let cache = self.cache(watched);
        let freshness = cache.progress.live(scope.clone(), revision);
        if freshness == ReadFreshness::Newer {
            let present = cache.present.keys().filter(|key| scope.covers(key));
            let stays = |key: &&ObjectKey| !all.iter().any(|object| object.key == **key);
            let gone: Vec<ObjectKey> = present.filter(stays).cloned().collect();
            for key in gone {
                self.remove(watched, &key);
            }
            for object in all {
                self.insert(watched, object);
            }
        }
        freshness
    }

    /// Applies a live read that showed that the kind does not exist.
    pub(super) fn apply_live_missing(&mut self, watched: WatchedKind, scope: &ReadScope) {
        let present = self.cache(watched).present.keys();
        let gone: Vec<ObjectKey> = present.filter(|key| scope.covers(key)).cloned().collect();
        for key in gone {
            self.remove(watched, &key);
        }
    }

    /// Returns true if the objects of a kind are known.
    pub(super) fn is_known(&self, watched: WatchedKind) -> bool {
        let state = self.kinds[watched.index()].state;
        matches!(state, KindState::Synced | KindState::Missing)
    }

    /// Marks a kind as missing from the cluster, and so without objects.
    pub(super) fn missing(&mut self, watched: WatchedKind) {
        let cache = self.cache(watched);
        cache.progress = WatchProgress::default();
        let gone: Vec<ObjectKey> = cache.present.keys().cloned().collect();
        for key in gone {
            self.remove(watched, &key);
        }
        self.mark_synced(watched, KindState::Missing);
    }

    /// Marks a kind as forbidden by RBAC. Required kinds keep their last known objects; for optional
    /// kinds, absence no longer means non-existence.
    pub(super) fn forbidden(&mut self, watched: WatchedKind) {
        let required = watched.is_required();
        let cache = self.cache(watched);
        if !required || cache.state == KindState::Waiting {
            cache.state = KindState::Forbidden;
            self.builder.set_known(watched, false);
        }
    }

    fn mark_synced(&mut self, watched: WatchedKind, state: KindState) {
        let cache = self.cache(watched);
        cache.state = state;
        cache.stale = None;
        self.builder.set_known(watched, true);
    }

    /// Records a failure. Returns true if it differs from the last one.
    pub(super) fn record_failure(&mut self, watched: WatchedKind, error: &str) -> bool {
        let cache = self.cache(watched);
        let since = cache.stale.as_ref().map(|stale| stale.since);
        let news = cache
            .stale
            .as_ref()
            .is_none_or(|stale| stale.error != error);
        cache.stale = Some(Stale {
            since: since.unwrap_or_else(Instant::now),
            error: error.to_owned(),
        });
        news
    }

    /// Records that the watch works again. Returns the failure, if there was one.
    pub(super) fn recovered(&mut self, watched: WatchedKind) -> Option<Stale> {
        self.cache(watched).stale.take()
    }

    fn insert(&mut self, watched: WatchedKind, object: WatchedObject) {
        self.record_problems(watched, &object.key, object.problems);
        let Some(decoded) = object.decoded else {
            return self.evict(watched, &object.key);
        };
        self.builder.put(&object.key, decoded);
        let cache = self.cache(watched);
        cache.present.insert(object.key, cache.lists);
    }

    fn remove(&mut self, watched: WatchedKind, key: &ObjectKey) {
        self.record_problems(watched, key, Vec::new());
        self.evict(watched, key);
    }

    fn evict(&mut self, watched: WatchedKind, key: &ObjectKey) {
        if self.cache(watched).present.remove(key).is_some() {
            self.builder.remove(watched, key);
        }
    }

    /// Records the errors in an object, and logs the new ones.
    fn record_problems(&mut self, watched: WatchedKind, key: &ObjectKey, problems: Vec<String>) {
        if problems.is_empty() && self.problems.is_empty() {
            return;
        }
        let id = (watched, key.clone());
        let before = self.problems.remove(&id).unwrap_or_default();
        for problem in problems.iter().filter(|problem| !before.contains(problem)) {
            tracing::warn!(%problem, "invalid object");
        }
        if problems.is_empty() && !before.is_empty() {
            tracing::info!(object = %projection::object_name(watched.kind().name, &key.0, &key.1), "object valid again");
        }
        if !problems.is_empty() {
            self.problems.insert(id, problems);
        }
    }

    /// Returns the status of each kind.
    pub(super) fn kinds(&self) -> Vec<KindStatus> {
        let status = |watched: WatchedKind| {
            let cache = &self.kinds[watched.index()];
            KindStatus {
                resource: watched.kind().full_resource(),
                required: watched.is_required(),
                state: cache.state,
                stale: cache.stale.clone(),
                objects: cache.present.len() - self.builder.left_out(watched),
            }
        };
        WatchedKind::ALL.into_iter().map(status).collect()
    }

    /// Returns the errors in objects, by kind, namespace and name.
    pub(super) fn problems(&self) -> impl Iterator<Item = &String> {
        self.problems.values().flatten()
    }
}

/// A change delivered by a watch.
#[derive(Debug)]
pub(super) enum WatchChange {
    /// An object was created or changed.
    Put(WatchedObject),
    /// An object was deleted, at this revision.
    Gone(ObjectKey, u64),
}

impl WatchChange {
    fn of(&self) -> (&ObjectKey, u64) {
        match self {
            Self::Put(object) => (&object.key, object.revision),
            Self::Gone(key, revision) => (key, *revision),
        }
    }
}
