//! Time and chance, injected.
//!
//! What the time is and which number comes next are asked of these two, and of nothing else: so
//! a simulation can set the clocks of its replicas apart, and draw everything from one seed.

use std::{fmt, sync::Arc};

use crate::allocation::Timestamp;

/// What the time is.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> jiff::Timestamp + Send + Sync>);

/// Numbers that nobody can guess.
#[derive(Clone)]
pub struct RandomSource(Arc<dyn Fn() -> u128 + Send + Sync>);

impl Clock {
    /// A clock that asks `now`.
    pub fn new(now: impl Fn() -> jiff::Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// What the time is.
    pub fn now(&self) -> jiff::Timestamp {
        (self.0)()
    }

    /// The same in whole seconds, as records carry it.
    pub fn seconds(&self) -> Timestamp {
        Timestamp(self.now().as_second())
    }
}

impl RandomSource {
    /// Numbers that `next` draws.
    pub fn new(next: impl Fn() -> u128 + Send + Sync + 'static) -> Self {
        Self(Arc::new(next))
    }

    /// Another number.
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
