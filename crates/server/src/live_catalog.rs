//! Live reads of cluster objects, made before a denial that depends on them.

use std::error::Error;

use futures_util::future::BoxFuture;

use nadmit_rules::LiveRead;

/// A catalog source that can bypass its caches.
pub trait LiveCatalog: Send + Sync {
    /// Refreshes the published catalog for these live reads: afterwards it is at least as fresh as
    /// the origin was at the call. The server loads the catalog again when the future completes.
    ///
    /// The caller drops the future when its deadline has passed.
    fn refresh<'a>(&'a self, lookups: &'a [LiveRead]) -> BoxFuture<'a, Result<(), LiveReadError>>;
}

/// Error returned when a live read fails.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct LiveReadError(Box<dyn Error + Send + Sync>);

impl LiveReadError {
    /// Creates an error from another error or a sentence.
    pub fn new(reason: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(reason.into())
    }
}
