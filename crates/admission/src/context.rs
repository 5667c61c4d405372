//! The inputs of a decision, apart from the review.

use nadmit_allocation::{SharedIndex, Timestamp, index::IndexGuard};
use nadmit_catalog::{Catalog, LiveRead};
use nadmit_rules::{Level, Policy, judge};

/// The state that a review is decided against. Time and randomness enter here, and nowhere else.
#[derive(Debug, Clone, Copy)]
pub struct ReviewContext<'a> {
    /// The networks, namespaces, pods and pools.
    pub catalog: &'a Catalog,
    /// The configured rules, levels and limits.
    pub policy: &'a Policy,
    /// The holders of all addresses.
    pub allocations: &'a SharedIndex,
    /// The freshness of the catalog and the allocations.
    pub freshness: Freshness<'a>,
    /// The current time.
    pub now: Timestamp,
    /// An unguessable random number, different for each review.
    pub random: u128,
}

/// The freshness of catalog and allocations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness<'a> {
    /// They may lag behind the API server: what they say of other objects may be outdated.
    Cached,
    /// Some of it was read live.
    VerifiedFor {
        /// The live reads that succeeded; the catalog contains their results.
        verified: &'a [LiveRead],
        /// The live reads that [`Decision::Refresh`](super::Decision::Refresh) asked for and that
        /// failed. A warning may rest on the cache, a denial may not.
        unanswered: &'a [LiveRead],
    },
    /// Nothing lags: the catalog and the allocations are themselves the source of truth.
    Authoritative,
}

impl<'a> Freshness<'a> {
    /// Returns the freshness after these live reads, all of which succeeded.
    pub fn verified_for(verified: &'a [LiveRead]) -> Self {
        Self::VerifiedFor {
            verified,
            unanswered: &[],
        }
    }

    /// Returns true if the result of this live read is known already.
    pub fn covers(self, live_read: &LiveRead) -> bool {
        match self {
            Self::Cached => false,
            Self::VerifiedFor { verified, .. } => verified.contains(live_read),
            Self::Authoritative => true,
        }
    }

    /// Returns true if this live read was made, successfully or not.
    pub(super) fn was_requested(self, live_read: &LiveRead) -> bool {
        let in_vain = match self {
            Self::VerifiedFor { unanswered, .. } => unanswered.contains(live_read),
            Self::Cached | Self::Authoritative => false,
        };
        in_vain || self.covers(live_read)
    }

    /// Returns the number of live reads made, successfully or not.
    pub(super) fn request_count(self) -> usize {
        match self {
            Self::VerifiedFor {
                verified,
                unanswered,
            } => verified.len() + unanswered.len(),
            Self::Cached | Self::Authoritative => 0,
        }
    }
}

impl<'a> ReviewContext<'a> {
    /// Returns an authoritative context at time zero, without randomness: for decisions that need
    /// neither.
    pub fn authoritative(
        catalog: &'a Catalog,
        policy: &'a Policy,
        allocations: &'a SharedIndex,
    ) -> Self {
        Self {
            catalog,
            policy,
            allocations,
            freshness: Freshness::Authoritative,
            now: Timestamp::default(),
            random: 0,
        }
    }

    /// Returns the maximum level of findings in a namespace; `None` if the rules are off there.
    pub(crate) fn max_level(&self, namespace: &str) -> Option<Level> {
        judge::max_level(namespace, self.catalog, self.policy)
    }

    /// Returns true if there are pools; their rules apply in every namespace.
    pub(crate) fn has_pools(&self) -> bool {
        !self.catalog.pool_config().pools.is_empty()
    }

    /// Locks the index, with the catalog's pools.
    pub(crate) fn lock_synced(&self) -> IndexGuard<'a> {
        self.allocations.synced(self.catalog.pool_config())
    }

    /// Returns this context with another freshness.
    #[must_use]
    pub fn with_freshness(self, freshness: Freshness<'a>) -> Self {
        Self { freshness, ..self }
    }
}
