//! Readings of a monotonic clock, as values.

use core::time::Duration;

/// A reading of the process's monotonic clock: the time since an origin that the caller chooses once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MonotonicTime(Duration);

impl MonotonicTime {
    /// Returns the reading at this time after the origin.
    pub fn after_origin(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    /// Returns the time after the origin.
    pub fn since_origin(self) -> Duration {
        self.0
    }

    /// Returns the time from an earlier reading to this one; zero if it is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// Returns the reading this much later.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}
