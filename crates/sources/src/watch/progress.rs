//! Orders the information from watch, list and live reads.
//!
//! All three report what the API server stored, but not in the same order: a watch lags, and a live
//! read overtakes it. The revision (`resourceVersion`) at which each was true decides. An event carries
//! the revision of its change, a list that of its snapshot. Live reads are lists too, of one name or
//! one namespace, because only lists have a revision even when they are empty; so a deletion seen by a
//! live read is not undone by an older event.
//!
//! Revisions are compared as numbers, as the API guarantees for all objects of one kind (KEP-5504), and
//! as etcd has always counted them.

use std::collections::BTreeMap;

/// A namespace and a name.
pub(super) type ObjectKey = (Box<str>, Box<str>);

/// The scope of a live read: one object, a namespace, or everything.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ReadScope {
    /// The namespace; empty for cluster-scoped kinds.
    pub namespace: Box<str>,
    /// The name; `None` for all objects.
    pub name: Option<Box<str>>,
}

impl ReadScope {
    /// Returns true if the object of this key is in scope.
    pub(super) fn covers(&self, (namespace, name): &ObjectKey) -> bool {
        self.namespace == *namespace && self.name.as_ref().is_none_or(|own| own == name)
    }
}

/// The freshness of a live read, compared with the watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReadFreshness {
    /// Newer: its content applies.
    Newer,
    /// The watch has delivered as much, or more.
    AlreadyKnown,
    /// A list that began later is in progress; the read has to be repeated.
    Retry,
}

/// The revisions up to which the objects of one kind are known.
#[derive(Debug, Default)]
pub(super) struct WatchProgress {
    /// The revision up to which everything is known.
    synced_to: u64,
    /// The revision of the list in progress.
    listing: Option<u64>,
    /// The live reads that are newer than `synced_to`; removed once the watch has passed them.
    live_reads: BTreeMap<ReadScope, u64>,
}

impl WatchProgress {
    /// Begins a list of this revision. A revision in the past means that the cluster was restored from
    /// a backup, so everything known is discarded.
    pub(super) fn begin(&mut self, revision: u64) {
        if revision < self.synced_to {
            *self = Self::default();
        }
        self.listing = Some(revision);
    }

    /// Ends the list; `whole` if it is complete.
    pub(super) fn end(&mut self, whole: bool) {
        let revision = self.listing.take();
        if let Some(revision) = revision.filter(|_| whole) {
            self.advance(revision);
        }
    }

    /// Returns true if the state of an object is known at this revision or later, from a live read.
    pub(super) fn has_newer(&self, key: &ObjectKey, revision: u64) -> bool {
        if self.live_reads.is_empty() {
            return false;
        }
        let scope = |name| ReadScope {
            namespace: key.0.clone(),
            name,
        };
        [scope(Some(key.1.clone())), scope(None)]
            .iter()
            .any(|scope| self.live_reads.get(scope).is_some_and(|at| *at >= revision))
    }

    /// Records a change delivered by the watch. Returns true if it is newer than all live reads of the
    /// object.
    pub(super) fn event(&mut self, key: &ObjectKey, revision: u64) -> bool {
        let newer = !self.has_newer(key, revision);
        self.advance(revision);
        newer
    }

    /// Records that the watch has delivered everything up to this revision.
    pub(super) fn advance(&mut self, revision: u64) {
        if revision > self.synced_to {
            self.synced_to = revision;
            self.live_reads.retain(|_, at| *at > revision);
        }
    }

    /// Records a live read of this revision, and returns its freshness.
    pub(super) fn live(&mut self, scope: ReadScope, revision: u64) -> ReadFreshness {
        if revision <= self.synced_to {
            return ReadFreshness::AlreadyKnown;
        }
        if self.listing.is_some_and(|list| revision < list) {
            return ReadFreshness::Retry;
        }
        let at = self.live_reads.entry(scope).or_default();
        if *at > revision {
            return ReadFreshness::AlreadyKnown;
        }
        *at = revision;
        ReadFreshness::Newer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> ObjectKey {
        ("db".into(), name.into())
    }

    fn scope(name: Option<&str>) -> ReadScope {
        ReadScope {
            namespace: "db".into(),
            name: name.map(Into::into),
        }
    }

    fn listed(revision: u64) -> WatchProgress {
        let mut progress = WatchProgress::default();
        progress.begin(revision);
        progress.end(true);
        progress
    }

    #[test]
    fn older_events_do_not_undo_a_live_read() {
        let mut progress = listed(10);
        assert_eq!(progress.live(scope(Some("a")), 20), ReadFreshness::Newer);
        assert!(!progress.event(&key("a"), 15), "older than the read");
        assert!(progress.event(&key("b"), 16), "the read was not about it");
        assert!(progress.event(&key("a"), 21), "newer than the read");
        assert_eq!(
            progress.live(scope(Some("a")), 21),
            ReadFreshness::AlreadyKnown
        );
        assert!(progress.live_reads.is_empty(), "the watch has passed it");
    }

    #[test]
    fn a_namespace_read_covers_all_its_objects() {
        let mut progress = listed(10);
        assert_eq!(progress.live(scope(None), 20), ReadFreshness::Newer);
        assert!(!progress.event(&key("never heard of"), 15));
        assert!(progress.event(&("web".into(), "a".into()), 16));
        assert_eq!(
            progress.live(scope(None), 18),
            ReadFreshness::AlreadyKnown,
            "an older read"
        );
    }

    #[test]
    fn a_read_older_than_the_current_list_is_retried() {
        let mut progress = listed(10);
        assert_eq!(progress.live(scope(Some("a")), 20), ReadFreshness::Newer);
        progress.begin(30);
        assert!(!progress.has_newer(&key("a"), 30));
        assert_eq!(progress.live(scope(Some("b")), 25), ReadFreshness::Retry);
        assert_eq!(progress.live(scope(Some("c")), 30), ReadFreshness::Newer);
        assert!(progress.has_newer(&key("c"), 30));
        progress.end(true);
        assert_eq!(
            progress.live(scope(Some("b")), 25),
            ReadFreshness::AlreadyKnown
        );
    }

    #[test]
    fn an_incomplete_list_is_ignored() {
        let mut progress = listed(10);
        progress.begin(30);
        progress.end(false);
        assert_eq!(progress.live(scope(Some("a")), 20), ReadFreshness::Newer);
    }

    #[test]
    fn a_restored_cluster_resets_the_progress() {
        let mut progress = listed(100);
        assert_eq!(progress.live(scope(Some("a")), 120), ReadFreshness::Newer);
        progress.begin(50);
        progress.end(true);
        assert!(progress.event(&key("a"), 51));
    }
}
