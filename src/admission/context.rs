//! What a decision rests on beside the review.

use crate::{
    allocation::{SharedIndex, Timestamp},
    catalog::Catalog,
    rules::{LiveRead, Policy},
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
    pub random: u128,
}

/// How fresh what is known is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness<'a> {
    /// It may lag behind its origin: what it says of other objects may be over.
    Cached,
    /// Some of it was looked up at the origin.
    VerifiedFor {
        /// What was looked up, and is in the catalog as it is at the origin.
        verified: &'a [LiveRead],
        /// What [`Decision::Refresh`](super::Decision::Refresh) asked for and the origin did not
        /// answer: a warning may rest on the cache, a denial may not.
        unanswered: &'a [LiveRead],
    },
    /// Nothing lags: whatever could be looked up is as its origin is.
    Authoritative,
}

impl<'a> Freshness<'a> {
    /// Returns the evidence of look-ups that all were answered.
    pub fn verified_for(verified: &'a [LiveRead]) -> Self {
        Self::VerifiedFor {
            verified,
            unanswered: &[],
        }
    }

    /// Whether what this look-up would say is known already.
    pub fn covers(self, live_read: &LiveRead) -> bool {
        match self {
            Self::Cached => false,
            Self::VerifiedFor { verified, .. } => verified.contains(live_read),
            Self::Authoritative => true,
        }
    }

    /// Returns whether this look-up was made, or was tried in vain.
    pub(super) fn was_requested(self, live_read: &LiveRead) -> bool {
        let in_vain = match self {
            Self::VerifiedFor { unanswered, .. } => unanswered.contains(live_read),
            Self::Cached | Self::Authoritative => false,
        };
        in_vain || self.covers(live_read)
    }

    /// Returns how many look-ups were made or tried.
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
    /// A situation at the beginning of time, confirmed, without chance: for a decision that needs
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

    /// The same with other evidence.
    #[must_use]
    pub fn with_freshness(self, freshness: Freshness<'a>) -> Self {
        Self { freshness, ..self }
    }
}
