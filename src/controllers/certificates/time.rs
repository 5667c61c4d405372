//! What time it is for those who judge a certificate.

use jiff::{SignedDuration, Timestamp};

use crate::{clock::Clock, pki::later};

/// How many seconds the clocks may be apart before it is told.
const NOTEWORTHY: u64 = 60;

/// The time of the API servers.
pub(super) struct JudgesTime {
    clock: Clock,
    /// The first moment at which a certificate can be made: it cannot begin before 1970.
    first: Timestamp,
    /// What was said last of how far they are apart.
    said: &'static str,
}

impl JudgesTime {
    /// Beside this machine's clock; certificates begin so long before they are made.
    pub(super) fn new(clock: Clock, backdated: SignedDuration) -> Self {
        Self {
            clock,
            first: later(Timestamp::UNIX_EPOCH, backdated),
            said: "",
        }
    }

    /// What the API server said. Only where it does not, because a proxy drops it, this machine's clock
    /// counts.
    pub(super) fn of(&mut self, theirs: Option<Timestamp>) -> Timestamp {
        let ours = self.clock.now();
        let apart = theirs.map_or(0, |theirs| ours.duration_since(theirs).as_secs());
        let words = match apart.unsigned_abs() {
            0..NOTEWORTHY => "",
            NOTEWORTHY..3_600 => "minutes",
            _ => "hours or more",
        };
        if !words.is_empty() && self.said != words {
            tracing::warn!(
                seconds = apart,
                "this machine's clock is {words} away from the API server's, which counts for \
                 certificates; set it right"
            );
        }
        self.said = words;
        theirs.unwrap_or(ours).max(self.first)
    }
}
