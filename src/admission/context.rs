//! What a decision rests on beside the review.

use crate::{
    allocation::{SharedIndex, Timestamp},
    catalog::Catalog,
    rules::{Lookup, Policy},
};

/// What is known when a review is decided: the world as a value. Clock and randomness come in here,
/// and nowhere else.
#[derive(Debug, Clone, Copy)]
pub struct ReviewContext<'a> {
    /// The networks, namespaces, pods and pools.
    pub catalog: &'a Catalog,
    /// The settings.
    pub policy: &'a Policy,
    /// Who holds which address.
    pub allocations: &'a SharedIndex,
    /// How fresh all that is.
    pub freshness: Freshness<'a>,
    /// What the time is.
    pub now: Timestamp,
    /// A number that nobody can guess, another one for each review.
    pub chance: u128,
}

/// How fresh what is known is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness<'a> {
    /// It may lag behind its origin: what it says of other objects may be over.
    Cached,
    /// Some of it was looked up at the origin.
    VerifiedFor {
        /// What was looked up, and is in the catalog as it is at the origin.
        done: &'a [Lookup],
        /// What [`Decision::Refresh`](super::Decision::Refresh) asked for and the origin did not
        /// answer: a warning may rest on the cache, a denial may not.
        tried: &'a [Lookup],
    },
    /// Nothing lags: whatever could be looked up is as its origin is.
    Confirmed,
}

impl<'a> Freshness<'a> {
    /// Returns the evidence of look-ups that all were answered.
    pub fn looked_up(done: &'a [Lookup]) -> Self {
        Self::VerifiedFor { done, tried: &[] }
    }

    /// Whether what this look-up would say is known already.
    pub fn covers(self, lookup: &Lookup) -> bool {
        match self {
            Self::Cached => false,
            Self::VerifiedFor { done, .. } => done.contains(lookup),
            Self::Confirmed => true,
        }
    }

    /// Returns whether this look-up was made, or was tried in vain.
    pub(super) fn has_asked(self, lookup: &Lookup) -> bool {
        let in_vain = match self {
            Self::VerifiedFor { tried, .. } => tried.contains(lookup),
            Self::Cached | Self::Confirmed => false,
        };
        in_vain || self.covers(lookup)
    }

    /// Returns how many look-ups were made or tried.
    pub(super) fn asked(self) -> usize {
        match self {
            Self::VerifiedFor { done, tried } => done.len() + tried.len(),
            Self::Cached | Self::Confirmed => 0,
        }
    }
}

impl<'a> ReviewContext<'a> {
    /// A situation at the beginning of time, confirmed, without chance: for a decision that needs
    /// neither.
    pub fn confirmed(
        catalog: &'a Catalog,
        policy: &'a Policy,
        allocations: &'a SharedIndex,
    ) -> Self {
        Self {
            catalog,
            policy,
            allocations,
            freshness: Freshness::Confirmed,
            now: Timestamp::default(),
            chance: 0,
        }
    }

    /// The same with other evidence.
    #[must_use]
    pub fn with(self, evidence: Freshness<'a>) -> Self {
        Self {
            freshness: evidence,
            ..self
        }
    }
}
