//! Counts of API requests, for metrics.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

/// Number of requests that a ledger has made since it was opened, by verb. Retries count as requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LedgerRequestCounts {
    /// Create requests.
    pub creates: u64,
    /// Update requests.
    pub updates: u64,
    /// Delete requests.
    pub deletes: u64,
    /// Get requests.
    pub gets: u64,
    /// Pages of list requests.
    pub lists: u64,
    /// Watch requests.
    pub watches: u64,
    /// Writes that met another writer's: an existing name, or an outdated version.
    pub conflicts: u64,
    /// Requests that were retries.
    pub retries: u64,
    /// Number of times an object was read that is not a valid record.
    pub unreadable: u64,
}

/// Counters of a ledger. Clones share the counts.
#[derive(Debug, Clone)]
pub(super) struct RequestCounters {
    requests: Family<VerbLabels, Counter>,
    /// Counters of the family, in the order of [`RequestVerb::ALL`].
    verbs: [Counter; 6],
    conflicts: Counter,
    retries: Counter,
    unreadable: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VerbLabels {
    verb: &'static str,
}

/// Verb of a request, as in RBAC rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestVerb {
    Create,
    Update,
    Delete,
    Get,
    List,
    Watch,
}

impl RequestVerb {
    const ALL: [Self; 6] = [
        Self::Create,
        Self::Update,
        Self::Delete,
        Self::Get,
        Self::List,
        Self::Watch,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
        }
    }
}

impl Default for RequestCounters {
    /// Returns counters of which each verb has its own from the beginning.
    fn default() -> Self {
        let requests = Family::<VerbLabels, Counter>::default();
        let verbs = RequestVerb::ALL.map(|verb| {
            let verb = verb.name();
            requests.get_or_create_owned(&VerbLabels { verb })
        });
        Self {
            requests,
            verbs,
            conflicts: Counter::default(),
            retries: Counter::default(),
            unreadable: Counter::default(),
        }
    }
}

impl RequestCounters {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "ledger_requests",
            "Requests to the API server about allocations, by verb",
            self.requests.clone(),
        );
        registry.register(
            "ledger_conflicts",
            "Writes of allocations that met a record or version of another writer",
            self.conflicts.clone(),
        );
        registry.register(
            "ledger_retries",
            "Retried requests about allocations",
            self.retries.clone(),
        );
        registry.register(
            "ledger_unreadable_objects",
            "Reads of AddressAllocations that are not valid records",
            self.unreadable.clone(),
        );
    }

    pub(super) fn count_request(&self, verb: RequestVerb) {
        let [create, update, delete, get, list, watch] = &self.verbs;
        let counter = match verb {
            RequestVerb::Create => create,
            RequestVerb::Update => update,
            RequestVerb::Delete => delete,
            RequestVerb::Get => get,
            RequestVerb::List => list,
            RequestVerb::Watch => watch,
        };
        counter.inc();
    }

    pub(super) fn count_conflict(&self) {
        self.conflicts.inc();
    }

    pub(super) fn count_retries(&self, times: u64) {
        self.retries.inc_by(times);
    }

    pub(super) fn count_unreadable(&self) {
        self.unreadable.inc();
    }

    pub(super) fn snapshot(&self) -> LedgerRequestCounts {
        let [creates, updates, deletes, gets, lists, watches] =
            self.verbs.each_ref().map(Counter::get);
        LedgerRequestCounts {
            creates,
            updates,
            deletes,
            gets,
            lists,
            watches,
            conflicts: self.conflicts.get(),
            retries: self.retries.get(),
            unreadable: self.unreadable.get(),
        }
    }
}
