//! The time of the API servers, which verify the certificates.

use jiff::{SignedDuration, Timestamp};

use nadmit_host::clock::Clock;
use nadmit_pki::saturating_add;

/// The clock skew from which on a warning is logged, in seconds.
const MIN_REPORTED_SKEW_SECS: u64 = 60;

/// The time of the API servers.
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
        let apart = theirs.map_or(0, |theirs| ours.duration_since(theirs).as_secs());
        let magnitude = match apart.unsigned_abs() {
            0..MIN_REPORTED_SKEW_SECS => "",
            MIN_REPORTED_SKEW_SECS..3_600 => "minutes",
            _ => "hours or more",
        };
        if !magnitude.is_empty() && self.last_reported != magnitude {
            tracing::warn!(
                seconds = apart,
                magnitude,
                "clock differs from the API server's, which certificates use; adjust it"
            );
        }
        self.last_reported = magnitude;
        theirs.unwrap_or(ours).max(self.first)
    }
}
