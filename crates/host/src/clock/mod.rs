//! Injected sources of time and randomness.
//!
//! All code takes the time and random numbers from these two and from nothing else, so that a
//! simulation can set the clocks of its replicas apart and derive everything from one seed.

use std::{fmt, sync::Arc};

use nadmit_allocation::Timestamp;

/// A source of wall-clock time.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> jiff::Timestamp + Send + Sync>);

/// A source of unpredictable numbers.
#[derive(Clone)]
pub struct RandomSource(Arc<dyn Fn() -> u128 + Send + Sync>);

impl Clock {
    /// Creates a clock that calls `now`.
    pub fn new(now: impl Fn() -> jiff::Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// Returns the current time.
    pub fn now(&self) -> jiff::Timestamp {
        (self.0)()
    }

    /// Returns the current time in whole seconds, as stored in records.
    pub fn seconds(&self) -> Timestamp {
        Timestamp(self.now().as_second())
    }
}

impl RandomSource {
    /// Creates a source that calls `next`.
    pub fn new(next: impl Fn() -> u128 + Send + Sync + 'static) -> Self {
        Self(Arc::new(next))
    }

    /// Returns the next number.
    pub fn next(&self) -> u128 {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

impl fmt::Debug for RandomSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Chance")
    }
}
