//! Counts of API requests, for metrics.

use std::{
    fmt::Error as FmtError,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::counter::ConstCounter,
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
#[derive(Debug, Clone, Default)]
pub(super) struct RequestCounters(Arc<CounterCells>);

#[derive(Debug, Default)]
struct CounterCells {
    verbs: [AtomicU64; 6],
    conflicts: AtomicU64,
    retries: AtomicU64,
    unreadable: AtomicU64,
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

impl RequestCounters {
    /// Counts a request.
    pub(super) fn count_request(&self, verb: RequestVerb) {
        let [create, update, delete, get, list, watch] = &self.0.verbs;
        let counter = match verb {
            RequestVerb::Create => create,
            RequestVerb::Update => update,
            RequestVerb::Delete => delete,
            RequestVerb::Get => get,
            RequestVerb::List => list,
            RequestVerb::Watch => watch,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_conflict(&self) {
        self.0.conflicts.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_retries(&self, times: u64) {
        self.0.retries.fetch_add(times, Ordering::Relaxed);
    }

    pub(super) fn count_unreadable(&self) {
        self.0.unreadable.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn snapshot(&self) -> LedgerRequestCounts {
        let now = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let [creates, updates, deletes, gets, lists, watches] = self.0.verbs.each_ref().map(now);
        LedgerRequestCounts {
            creates,
            updates,
            deletes,
            gets,
            lists,
            watches,
            conflicts: now(&self.0.conflicts),
            retries: now(&self.0.retries),
            unreadable: now(&self.0.unreadable),
        }
    }
}

impl Collector for RequestCounters {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), FmtError> {
        let mut metric = encoder.encode_descriptor(
            "ledger_requests",
            "Requests to the API server about allocations, by verb",
            None,
            ConstCounter::new(0u64).metric_type(),
        )?;
        for (verb, counter) in RequestVerb::ALL.into_iter().zip(&self.0.verbs) {
            let labels = [("verb", verb.name())];
            let count = ConstCounter::new(counter.load(Ordering::Relaxed));
            count.encode(metric.encode_family(&labels)?)?;
        }
        let requests = self.snapshot();
        for (name, help, count) in [
            (
                "ledger_conflicts",
                "Writes of allocations that met a record or version of another writer",
                requests.conflicts,
            ),
            (
                "ledger_retries",
                "Retried requests about allocations",
                requests.retries,
            ),
            (
                "ledger_unreadable_objects",
                "Reads of AddressAllocations that are not valid records",
                requests.unreadable,
            ),
        ] {
            let count = ConstCounter::new(count);
            let metric = encoder.encode_descriptor(name, help, None, count.metric_type())?;
            count.encode(metric)?;
        }
        Ok(())
    }
}
