//! How a server ends.
//!
//! The API server goes on using open connections to a pod that is being terminated, and endpoints
//! take a moment to be withdrawn. So a server that is told to end becomes unready and then, for
//! a grace period, serves on while it asks every caller to connect elsewhere; only after that it
//! takes no more connections, and last it finishes what is in progress.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio_util::sync::CancellationToken;

/// Tells a server to end.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    drain: CancellationToken,
    abort: CancellationToken,
}

impl Shutdown {
    /// Nobody has asked yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the server to finish in good order: what the first signal means.
    pub fn drain(&self) {
        self.drain.cancel();
    }

    /// Ends the server at once: what the second signal means.
    pub fn abort(&self) {
        self.abort.cancel();
        self.drain.cancel();
    }

    pub(super) async fn draining(&self) {
        self.drain.cancelled().await;
    }

    pub(super) async fn aborted(&self) {
        self.abort.cancelled().await;
    }
}

/// Where a server is on its way to the end. Each step implies those before it.
#[derive(Debug, Clone, Default)]
pub(super) struct Lifecycle {
    asked: Arc<AtomicBool>,
    /// Callers are asked to connect elsewhere.
    pub(super) draining: CancellationToken,
    /// No more connections, no more requests.
    pub(super) closing: CancellationToken,
    /// Connections are dropped as they are.
    pub(super) ended: CancellationToken,
}

impl Lifecycle {
    pub(super) fn drain(&self) {
        self.asked.store(true, Ordering::Relaxed);
        self.draining.cancel();
    }

    pub(super) fn close(&self) {
        self.drain();
        self.closing.cancel();
    }

    pub(super) fn end(&self) {
        self.close();
        self.ended.cancel();
    }

    /// Whether callers are asked to connect elsewhere; without the token's lock, for every
    /// request asks.
    pub(super) fn is_draining(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}
