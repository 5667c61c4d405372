//! Graceful shutdown of a server.
//!
//! The API server keeps using open connections to a terminating pod, and endpoints are withdrawn
//! with a delay. A server that is asked to shut down therefore becomes unready and keeps serving
//! for a grace period, while it asks clients to reconnect elsewhere. After that it accepts no more
//! connections and finishes the requests in progress.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio_util::sync::CancellationToken;

/// Handle that shuts a server down.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    drain: CancellationToken,
    abort: CancellationToken,
}

impl Shutdown {
    /// Creates a handle that has not been triggered.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a graceful shutdown, as the first signal does.
    pub fn drain(&self) {
        self.drain.cancel();
    }

    /// Stops the server immediately, as the second signal does.
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

/// Shutdown phase of a server. Each phase implies those before it.
#[derive(Debug, Clone, Default)]
pub(super) struct Lifecycle {
    is_draining: Arc<AtomicBool>,
    /// Clients are asked to reconnect elsewhere.
    pub(super) draining: CancellationToken,
    /// No more connections and requests are accepted.
    pub(super) closing: CancellationToken,
    /// Open connections are dropped.
    pub(super) ended: CancellationToken,
}

impl Lifecycle {
    pub(super) fn drain(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
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

    /// Returns true if clients are asked to reconnect elsewhere. Reads an atomic instead of locking
    /// the token, because every request calls it.
    pub(super) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Relaxed)
    }
}
