//! The question that goes past every cache, asked before a denial that rests on what other objects say.

use std::error::Error;

use futures_util::future::BoxFuture;

use crate::rules::LiveRead;

/// Looks things up at their origin.
pub trait LiveCatalog: Send + Sync {
    /// Makes the published catalog at least as fresh, about these things, as the origin is when
    /// this is called. The server loads the catalog again when it returns.
    ///
    /// The caller drops the future when its own time is up.
    fn refresh<'a>(&'a self, lookups: &'a [LiveRead]) -> BoxFuture<'a, Result<(), LiveReadError>>;
}

/// Why the origin did not answer.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct LiveReadError(Box<dyn Error + Send + Sync>);

impl LiveReadError {
    /// An error for this reason: another error, or a sentence.
    pub fn new(reason: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(reason.into())
    }
}
