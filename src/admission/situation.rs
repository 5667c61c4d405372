//! What a decision rests on beside the review.

use crate::{
    allocation::{SharedIndex, Timestamp},
    catalog::Catalog,
    rules::Policy,
};

/// What is known when a review is decided: the world as a value. Clock and randomness come in here,
/// and nowhere else.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// The networks, namespaces, pods and pools.
    pub catalog: &'a Catalog,
    /// The settings.
    pub policy: &'a Policy,
    /// Who holds which address.
    pub allocations: &'a SharedIndex,
    /// How fresh all that is.
    pub evidence: Evidence,
    /// What the time is.
    pub now: Timestamp,
    /// A number that nobody can guess, another one for each review.
    pub chance: u128,
}

/// How fresh what is known is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// It may lag behind its origin: what it says of other objects may be over.
    Cached,
    /// What [`Decision::Confirm`](super::Decision::Confirm) asked for was looked up at the origin and
    /// is in it.
    Confirmed,
}

impl<'a> Situation<'a> {
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
            evidence: Evidence::Confirmed,
            now: Timestamp::default(),
            chance: 0,
        }
    }

    /// The same with other evidence.
    #[must_use]
    pub fn with(self, evidence: Evidence) -> Self {
        Self { evidence, ..self }
    }
}
