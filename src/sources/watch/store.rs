//! What was heard, of all kinds: what is taken in, what is passed over, and what is not known.

use std::{collections::BTreeMap, sync::Arc};

use tokio::time::Instant;

use crate::{catalog::Catalog, sources::cluster::kept};

use super::{
    kinds::Watched,
    model::Model,
    progress::{Key, Progress, Scope, Worth},
    read::Seen,
    status::{KindState, KindStatus, Stale},
};

/// Everything that was heard of a cluster.
pub(super) struct Store {
    model: Model,
    kinds: [Heard; Watched::ALL.len()],
    remarks: BTreeMap<(Watched, Key), Vec<String>>,
}

/// What was heard of one kind.
#[derive(Default)]
struct Heard {
    state: KindState,
    stale: Option<Stale>,
    progress: Progress,
    /// The objects that the catalog has, each with the number of the last list that had it.
    present: BTreeMap<Key, u64>,
    /// How many lists were begun.
    lists: u64,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            model: Model::default(),
            kinds: std::array::from_fn(|_| Heard::default()),
            remarks: BTreeMap::new(),
        }
    }
}

impl Store {
    fn heard(&mut self, watched: Watched) -> &mut Heard {
        &mut self.kinds[watched.number()]
    }

    /// Whether enough is known for a catalog: all that is necessary, and of the rest whether it can be.
    pub(super) fn is_ready(&self) -> bool {
        Watched::ALL.into_iter().all(|watched| {
            let heard = &self.kinds[watched.number()];
            match heard.state {
                KindState::Synced | KindState::Missing => true,
                KindState::Forbidden => !watched.is_necessary(),
                KindState::Waiting => !watched.is_necessary() && heard.stale.is_some(),
            }
        })
    }

    /// The catalog, if it is news.
    pub(super) fn take(&mut self) -> Option<Arc<Catalog>> {
        self.model.take()
    }

    /// Whether there is something to take.
    pub(super) fn is_changed(&self) -> bool {
        self.model.is_changed()
    }

    /// The catalog as it is now.
    pub(super) fn catalog(&self) -> &Catalog {
        self.model.catalog()
    }

    /// A list of this revision begins.
    pub(super) fn begin_list(&mut self, watched: Watched, revision: u64) {
        let heard = self.heard(watched);
        heard.lists += 1;
        heard.progress.begin(revision);
    }

    /// An object stood in the list that was begun.
    pub(super) fn list(&mut self, watched: Watched, revision: u64, seen: Seen) {
        let heard = self.heard(watched);
        if !heard.progress.knows_better(&seen.key, revision) {
            self.take_in(watched, seen);
        }
    }

    /// The list that was begun is at its end: what did not stand there is gone.
    pub(super) fn end_list(&mut self, watched: Watched, revision: u64) {
        let heard = self.heard(watched);
        let (number, progress) = (heard.lists, &heard.progress);
        let gone = heard
            .present
            .iter()
            .filter(|(key, list)| **list != number && !progress.knows_better(key, revision));
        let gone: Vec<Key> = gone.map(|(key, _)| key.clone()).collect();
        for key in gone {
            self.drop_out(watched, &key);
        }
        let heard = self.heard(watched);
        heard.progress.end(true);
        self.know(watched, KindState::Synced);
    }

    /// The list that was begun broke off.
    pub(super) fn break_list(&mut self, watched: Watched) {
        self.heard(watched).progress.end(false);
    }

    /// The watch brought an object, or that it is gone.
    pub(super) fn event(&mut self, watched: Watched, change: Change) {
        let (key, revision) = change.of();
        if !self.heard(watched).progress.event(key, revision) {
            return;
        }
        match change {
            Change::Put(seen) => self.take_in(watched, seen),
            Change::Gone(key, _) => self.drop_out(watched, &key),
        }
    }

    /// The watch has brought everything up to this revision.
    pub(super) fn bookmark(&mut self, watched: Watched, revision: u64) {
        self.heard(watched).progress.advance(revision);
    }

    /// A live read showed these objects, and no others of its scope.
    pub(super) fn live(
        &mut self,
        watched: Watched,
        scope: Scope,
        revision: u64,
        all: Vec<Seen>,
    ) -> Worth {
        let heard = self.heard(watched);
        let worth = heard.progress.live(scope.clone(), revision);
        if worth == Worth::News {
            let present = heard.present.keys().filter(|key| scope.covers(key));
            let stays = |key: &&Key| !all.iter().any(|seen| seen.key == **key);
            let gone: Vec<Key> = present.filter(stays).cloned().collect();
            for key in gone {
                self.drop_out(watched, &key);
            }
            for seen in all {
                self.take_in(watched, seen);
            }
        }
        worth
    }

    /// A live read showed that there is no such kind.
    pub(super) fn live_missing(&mut self, watched: Watched, scope: &Scope) {
        let present = self.heard(watched).present.keys();
        let gone: Vec<Key> = present.filter(|key| scope.covers(key)).cloned().collect();
        for key in gone {
            self.drop_out(watched, &key);
        }
    }

    /// Whether the objects of a kind are known.
    pub(super) fn is_known(&self, watched: Watched) -> bool {
        let state = self.kinds[watched.number()].state;
        matches!(state, KindState::Synced | KindState::Missing)
    }

    /// There is no such kind, and so no objects of it.
    pub(super) fn missing(&mut self, watched: Watched) {
        let heard = self.heard(watched);
        heard.progress = Progress::default();
        let gone: Vec<Key> = heard.present.keys().cloned().collect();
        for key in gone {
            self.drop_out(watched, &key);
        }
        self.know(watched, KindState::Missing);
    }

    /// Who asks may not hear of it. What was known before stays, where it is necessary; of the rest
    /// nothing may be concluded from absence any more.
    pub(super) fn forbidden(&mut self, watched: Watched) {
        let necessary = watched.is_necessary();
        let heard = self.heard(watched);
        if !necessary || heard.state == KindState::Waiting {
            heard.state = KindState::Forbidden;
            self.model.set_known(watched, false);
        }
    }

    fn know(&mut self, watched: Watched, state: KindState) {
        let heard = self.heard(watched);
        heard.state = state;
        heard.stale = None;
        self.model.set_known(watched, true);
    }

    /// Something went wrong; whether that is news.
    pub(super) fn trouble(&mut self, watched: Watched, error: &str) -> bool {
        let heard = self.heard(watched);
        let since = heard.stale.as_ref().map(|stale| stale.since);
        let news = heard
            .stale
            .as_ref()
            .is_none_or(|stale| stale.error != error);
        heard.stale = Some(Stale {
            since: since.unwrap_or_else(Instant::now),
            error: error.to_owned(),
        });
        news
    }

    /// The watch runs again; since when it had not, if so.
    pub(super) fn recovered(&mut self, watched: Watched) -> Option<Stale> {
        self.heard(watched).stale.take()
    }

    fn take_in(&mut self, watched: Watched, seen: Seen) {
        self.remark(watched, &seen.key, seen.remarks);
        let Some(what) = seen.what else {
            return self.lose(watched, &seen.key);
        };
        self.model.put(watched, &seen.key, what);
        let heard = self.heard(watched);
        heard.present.insert(seen.key, heard.lists);
    }

    fn drop_out(&mut self, watched: Watched, key: &Key) {
        self.remark(watched, key, Vec::new());
        self.lose(watched, key);
    }

    fn lose(&mut self, watched: Watched, key: &Key) {
        if self.heard(watched).present.remove(key).is_some() {
            self.model.remove(watched, key);
        }
    }

    /// Remembers what is wrong with an object, and logs what was not known of it.
    fn remark(&mut self, watched: Watched, key: &Key, remarks: Vec<String>) {
        if remarks.is_empty() && self.remarks.is_empty() {
            return;
        }
        let id = (watched, key.clone());
        let before = self.remarks.remove(&id).unwrap_or_default();
        for remark in remarks.iter().filter(|remark| !before.contains(remark)) {
            tracing::warn!("{remark}");
        }
        if remarks.is_empty() && !before.is_empty() {
            tracing::info!(object = %kept::name(watched.kind().name, &key.0, &key.1), "the errors are gone");
        }
        if !remarks.is_empty() {
            self.remarks.insert(id, remarks);
        }
    }

    /// What is known of each kind.
    pub(super) fn kinds(&self) -> Vec<KindStatus> {
        let status = |watched: Watched| {
            let heard = &self.kinds[watched.number()];
            KindStatus {
                resource: watched.kind().full_resource(),
                necessary: watched.is_necessary(),
                state: heard.state,
                stale: heard.stale.clone(),
                objects: heard.present.len(),
            }
        };
        Watched::ALL.into_iter().map(status).collect()
    }

    /// What is wrong with objects, by kind, namespace and name.
    pub(super) fn remarks(&self) -> impl Iterator<Item = &String> {
        self.remarks.values().flatten()
    }
}

/// What a watch tells.
#[derive(Debug)]
pub(super) enum Change {
    /// An object is there, or is another.
    Put(Seen),
    /// The object of this key is gone since this revision.
    Gone(Key, u64),
}

impl Change {
    fn of(&self) -> (&Key, u64) {
        match self {
            Self::Put(seen) => (&seen.key, seen.revision),
            Self::Gone(key, revision) => (key, *revision),
        }
    }
}
