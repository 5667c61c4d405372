//! Who knows better: the watch, a list, or a live read.
//!
//! All three say what the API server stored, but not in the order in which it did: a watch lags, and a
//! live read overtakes it. What decides is the revision (`resourceVersion`) at which each was true. An
//! event carries that of its change, a list that of the moment of the list. Live reads are lists, too,
//! of one name or one namespace: only so do they have a revision when there is nothing, and a
//! deletion seen live is not undone by an older event.
//!
//! Revisions are compared as numbers, as the API promises of all objects of one kind (KEP-5504), and as
//! etcd has counted them always.

use std::collections::BTreeMap;

/// A namespace and a name.
pub(super) type ObjectKey = (Box<str>, Box<str>);

/// What a live read was about: one object, a namespace, or all.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ReadScope {
    /// The namespace; empty for kinds without.
    pub namespace: Box<str>,
    /// One name in it, or all.
    pub name: Option<Box<str>>,
}

impl ReadScope {
    /// Whether the object of this key is in it.
    pub(super) fn covers(&self, (namespace, name): &ObjectKey) -> bool {
        self.namespace == *namespace && self.name.as_ref().is_none_or(|own| own == name)
    }
}

/// What a live read is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReadFreshness {
    /// It is news: what it says holds.
    Newer,
    /// The watch brought as much, or more.
    AlreadyKnown,
    /// A list that was begun later is only half taken in: only another read can tell.
    Retry,
}

/// How far the knowledge of one kind reaches.
#[derive(Debug, Default)]
pub(super) struct WatchProgress {
    /// Everything up to this revision is known.
    synced_to: u64,
    /// The revision of the list that is being taken in.
    listing: Option<u64>,
    /// What is known beyond, by live reads. Gone when the watch has passed it.
    live_reads: BTreeMap<ReadScope, u64>,
}

impl WatchProgress {
    /// A list of this revision begins. One that lies behind is that of a cluster restored from
    /// a backup: what was known of its other future is void.
    pub(super) fn begin(&mut self, revision: u64) {
        if revision < self.synced_to {
            *self = Self::default();
        }
        self.listing = Some(revision);
    }

    /// The list ended, well or not.
    pub(super) fn end(&mut self, whole: bool) {
        let revision = self.listing.take();
        if let Some(revision) = revision.filter(|_| whole) {
            self.advance(revision);
        }
    }

    /// Whether more is known of an object than what held at this revision.
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

    /// The watch brought a change of this revision; whether it is news.
    pub(super) fn event(&mut self, key: &ObjectKey, revision: u64) -> bool {
        let news = !self.has_newer(key, revision);
        self.advance(revision);
        news
    }

    /// The watch has brought everything up to this revision.
    pub(super) fn advance(&mut self, revision: u64) {
        if revision > self.synced_to {
            self.synced_to = revision;
            self.live_reads.retain(|_, at| *at > revision);
        }
    }

    /// A live read says how things were at this revision; what it is worth.
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
    fn what_was_read_live_is_not_undone_by_older_events() {
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
    fn a_read_of_a_namespace_is_about_all_in_it() {
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
    fn a_list_half_taken_in_makes_an_older_read_worthless() {
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
    fn a_list_that_broke_off_is_no_knowledge() {
        let mut progress = listed(10);
        progress.begin(30);
        progress.end(false);
        assert_eq!(progress.live(scope(Some("a")), 20), ReadFreshness::Newer);
    }

    #[test]
    fn a_cluster_that_was_restored_is_believed() {
        let mut progress = listed(100);
        assert_eq!(progress.live(scope(Some("a")), 120), ReadFreshness::Newer);
        progress.begin(50);
        progress.end(true);
        assert!(progress.event(&key("a"), 51));
    }
}
