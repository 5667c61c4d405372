//! What time it is for those who judge a certificate.

use jiff::{SignedDuration, Timestamp};

use crate::{clock::Clock, pki::later};

/// How many seconds the clocks may be apart before it is told.
const MIN_REPORTED_SKEW_SECS: u64 = 60;

/// The time of the API servers.
pub(super) struct ApiServerTime {
    clock: Clock,
    /// The first moment at which a certificate can be made: it cannot begin before 1970.
    first: Timestamp,
    /// What was said last of how far they are apart.
    last_reported: &'static str,
}

impl ApiServerTime {
    /// Beside this machine's clock; certificates begin so long before they are made.
    pub(super) fn new(clock: Clock, backdate: SignedDuration) -> Self {
        Self {
            clock,
            first: later(Timestamp::UNIX_EPOCH, backdate),
            last_reported: "",
        }
    }

    /// What the API server said. Only where it does not, because a proxy drops it, this machine's clock
    /// counts.
    pub(super) fn of(&mut self, theirs: Option<Timestamp>) -> Timestamp {
        let ours = self.clock.now();
        let apart = theirs.map_or(0, |theirs| ours.duration_since(theirs).as_secs());
        let magnitude = match apart.unsigned_abs() {
            0..MIN_REPORTED_SKEW_SECS => "",
            MIN_REPORTED_SKEW_SECS..3_600 => "minutes",
            _ => "hours or more",
        };
        if !magnitude.is_empty() && self.last_reported != magnitude {
            tracing::warn!(
                seconds = apart,
                "this machine's clock is {magnitude} away from the API server's, which counts for \
                 certificates; set it right"
            );
        }
        self.last_reported = magnitude;
        theirs.unwrap_or(ours).max(self.first)
    }
}
