//! What was heard, of all kinds: what is taken in, what is passed over, and what is not known.

use std::{collections::BTreeMap, sync::Arc};

use tokio::time::Instant;

use crate::{catalog::Catalog, sources::cluster::kept};

use super::{
    catalog_builder::CatalogBuilder,
    kinds::WatchedKind,
    progress::{ObjectKey, ReadFreshness, ReadScope, WatchProgress},
    read::WatchedObject,
    status::{KindState, KindStatus, Stale},
};

/// Everything that was heard of a cluster.
pub(super) struct ClusterStore {
    builder: CatalogBuilder,
    kinds: [KindCache; WatchedKind::ALL.len()],
    problems: BTreeMap<(WatchedKind, ObjectKey), Vec<String>>,
}

/// What was heard of one kind.
#[derive(Default)]
struct KindCache {
    state: KindState,
    stale: Option<Stale>,
    progress: WatchProgress,
    /// The objects that the catalog has, each with the number of the last list that had it.
    present: BTreeMap<ObjectKey, u64>,
    /// How many lists were begun.
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

    /// Whether enough is known for a catalog: all that is necessary, and of the rest whether it can be.
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

    /// The catalog, if it is news.
    pub(super) fn take(&mut self) -> Option<Arc<Catalog>> {
        self.builder.take()
    }

    /// Whether there is something to take.
    pub(super) fn is_changed(&self) -> bool {
        self.builder.is_changed()
    }

    /// The catalog as it is now.
    pub(super) fn catalog(&self) -> &Catalog {
        self.builder.catalog()
    }

    /// A list of this revision begins.
    pub(super) fn begin_list(&mut self, watched: WatchedKind, revision: u64) {
        let cache = self.cache(watched);
        cache.lists += 1;
        cache.progress.begin(revision);
    }

    /// An object stood in the list that was begun.
    pub(super) fn list(&mut self, watched: WatchedKind, revision: u64, object: WatchedObject) {
        let cache = self.cache(watched);
        if !cache.progress.has_newer(&object.key, revision) {
            self.insert(watched, object);
        }
    }

    /// The list that was begun is at its end: what did not stand there is gone.
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

    /// The list that was begun broke off.
    pub(super) fn break_list(&mut self, watched: WatchedKind) {
        self.cache(watched).progress.end(false);
    }

    /// The watch brought an object, or that it is gone.
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

    /// The watch has brought everything up to this revision.
    pub(super) fn bookmark(&mut self, watched: WatchedKind, revision: u64) {
        self.cache(watched).progress.advance(revision);
    }

    /// A live read showed these objects, and no others of its scope.
    pub(super) fn apply_live_read(
        &mut self,
        watched: WatchedKind,
        scope: ReadScope,
        revision: u64,
        all: Vec<WatchedObject>,
    ) -> ReadFreshness {
        let cache = self.cache(watched);
        let freshness = cache.progress.apply_live_read(scope.clone(), revision);
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

    /// A live read showed that there is no such kind.
    pub(super) fn apply_live_missing(&mut self, watched: WatchedKind, scope: &ReadScope) {
        let present = self.cache(watched).present.keys();
        let gone: Vec<ObjectKey> = present.filter(|key| scope.covers(key)).cloned().collect();
        for key in gone {
            self.remove(watched, &key);
        }
    }

    /// Whether the objects of a kind are known.
    pub(super) fn is_known(&self, watched: WatchedKind) -> bool {
        let state = self.kinds[watched.index()].state;
        matches!(state, KindState::Synced | KindState::Missing)
    }

    /// There is no such kind, and so no objects of it.
    pub(super) fn missing(&mut self, watched: WatchedKind) {
        let cache = self.cache(watched);
        cache.progress = WatchProgress::default();
        let gone: Vec<ObjectKey> = cache.present.keys().cloned().collect();
        for key in gone {
            self.remove(watched, &key);
        }
        self.mark_synced(watched, KindState::Missing);
    }

    /// Who asks may not hear of it. What was known before stays, where it is necessary; of the rest
    /// nothing may be concluded from absence any more.
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

    /// Something went wrong; whether that is news.
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

    /// The watch runs again; since when it had not, if so.
    pub(super) fn recovered(&mut self, watched: WatchedKind) -> Option<Stale> {
        self.cache(watched).stale.take()
    }

    fn insert(&mut self, watched: WatchedKind, object: WatchedObject) {
        self.record_problems(watched, &object.key, object.problems);
        let Some(decoded) = object.decoded else {
            return self.evict(watched, &object.key);
        };
        self.builder.put(watched, &object.key, decoded);
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

    /// Remembers what is wrong with an object, and logs what was not known of it.
    fn record_problems(&mut self, watched: WatchedKind, key: &ObjectKey, problems: Vec<String>) {
        if problems.is_empty() && self.problems.is_empty() {
            return;
        }
        let id = (watched, key.clone());
        let before = self.problems.remove(&id).unwrap_or_default();
        for record_problems in problems
            .iter()
            .filter(|record_problems| !before.contains(record_problems))
        {
            tracing::warn!("{record_problems}");
        }
        if problems.is_empty() && !before.is_empty() {
            tracing::info!(object = %kept::name(watched.kind().name, &key.0, &key.1), "the errors are gone");
        }
        if !problems.is_empty() {
            self.problems.insert(id, problems);
        }
    }

    /// What is known of each kind.
    pub(super) fn kinds(&self) -> Vec<KindStatus> {
        let status = |watched: WatchedKind| {
            let cache = &self.kinds[watched.index()];
            KindStatus {
                resource: watched.kind().full_resource(),
                required: watched.is_required(),
                state: cache.state,
                stale: cache.stale.clone(),
                objects: cache.present.len(),
            }
        };
        WatchedKind::ALL.into_iter().map(status).collect()
    }

    /// What is wrong with objects, by kind, namespace and name.
    pub(super) fn problems(&self) -> impl Iterator<Item = &String> {
        self.problems.values().flatten()
    }
}

/// What a watch tells.
#[derive(Debug)]
pub(super) enum WatchChange {
    /// An object is there, or is another.
    Put(WatchedObject),
    /// The object of this key is gone since this revision.
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
