//! The time of the API servers, which verify the certificates.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use nadmit_host::clock::Clock;
use nadmit_pki::saturating_add;

/// The clock skew from which on a warning is logged.
const MIN_REPORTED_SKEW: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

pub(super) struct ApiServerTime {
    clock: Clock,
    /// The earliest usable time: a backdated certificate cannot begin before 1970.
    first: Timestamp,
    /// The last logged magnitude of the clock skew.
    last_reported: &'static str,
}

impl ApiServerTime {
    /// Falls back to `clock`. `backdate` is the time by which certificates are backdated.
    pub(super) fn new(clock: Clock, backdate: SignedDuration) -> Self {
        Self {
            clock,
            first: saturating_add(Timestamp::UNIX_EPOCH, backdate),
            last_reported: "",
        }
    }

    /// Returns the API server's time, or that of this machine if a proxy drops the header.
    pub(super) fn of(&mut self, theirs: Option<Timestamp>) -> Timestamp {
        let ours = self.clock.now();
        let apart = theirs.map_or(SignedDuration::ZERO, |theirs| ours.duration_since(theirs));
        let magnitude = match apart.unsigned_abs() {
            skew if skew < MIN_REPORTED_SKEW => "",
            skew if skew < HOUR => "minutes",
            _ => "hours or more",
        };
        if !magnitude.is_empty() && self.last_reported != magnitude {
            tracing::warn!(
                seconds = apart.as_secs(),
                magnitude,
                "clock differs from the API server's, which certificates use; adjust it"
            );
        }
        self.last_reported = magnitude;
        theirs.unwrap_or(ours).max(self.first)
    }
}
