//! Values that tests share, from the first test that needs one to the last.

use std::sync::{Arc, Mutex, PoisonError};

use libtest_mimic::Failed;

/// A value in a static, created once and dropped before the process exits: processes and network
/// namespaces would outlive it otherwise.
pub(crate) struct SharedValue<T>(Mutex<Option<Result<Arc<T>, String>>>);

impl<T> SharedValue<T> {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Returns the value; the first caller creates it.
    ///
    /// # Errors If it could not be created, for every caller.
    pub(crate) fn get(&self, make: impl FnOnce() -> Result<T, Failed>) -> Result<Arc<T>, Failed> {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let made = shared.get_or_insert_with(|| {
            let made = make().map(Arc::new);
            made.map_err(|error| error.message().unwrap_or_default().to_owned())
        });
        Ok(made.clone()?)
    }

    /// Drops it, after the last test.
    pub(crate) fn end(&self) {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        drop(shared.take());
    }
}
