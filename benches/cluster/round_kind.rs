//! The participants of a round.

/// The participants of a round.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum RoundKind {
    /// Neither nadmit nor a record.
    Without,
    /// The client itself writes an allocation for each pod: the cost of recording without nadmit.
    Recorded,
    /// nadmit's webhooks.
    With,
}

impl RoundKind {
    /// Returns the namespace of its pods: in `plain` the leader does not backfill, either.
    pub(crate) fn namespace(self) -> &'static str {
        if self == Self::With { "bench" } else { "plain" }
    }
}
