//! What trials share, from the first that wants it to the last of all.

use std::sync::{Arc, Mutex, PoisonError};

use libtest_mimic::Failed;

/// A value in a static, made once and dropped before the process exits: processes and network namespaces
/// would outlive it otherwise.
pub(crate) struct SharedValue<T>(Mutex<Option<Result<Arc<T>, String>>>);

impl<T> SharedValue<T> {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Returns the value; the first caller makes it.
    ///
    /// # Errors
    /// When it could not be made, for every caller.
    pub(crate) fn get(&self, make: impl FnOnce() -> Result<T, Failed>) -> Result<Arc<T>, Failed> {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let made = shared.get_or_insert_with(|| {
            let made = make().map(Arc::new);
            made.map_err(|error| error.message().unwrap_or_default().to_owned())
        });
        Ok(made.clone()?)
    }

    /// Drops it, behind the last trial.
    pub(crate) fn end(&self) {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        drop(shared.take());
    }
}
