//! The memory for the requests of all connections, in bytes.
//!
//! Bodies are counted before they are read, and until their answer has left. Where there is no room, the
//! connection that has most of it while its bodies are still awaited is closed: whoever sends many large bodies
//! slowly holds up nobody who sends a small one.

use std::sync::Arc;

use tokio::time::timeout;

use super::{
    connections::{Connection, ConnectionId, Connections, EVICTION_GRACE},
    metrics::Metrics,
    quota::{MaxShare, Quota, QuotaGuard},
};

/// A connection may have a ninth of all that there is.
const MAX_SHARE: MaxShare = MaxShare(8);

/// The bytes that requests may take up.
pub(super) struct Budget {
    bytes: Arc<Quota>,
    connections: Arc<Connections>,
    metrics: Arc<Metrics>,
}

impl Budget {
    pub(super) fn new(bytes: usize, connections: Arc<Connections>, metrics: Arc<Metrics>) -> Self {
        Self {
            bytes: Quota::new(bytes, MAX_SHARE),
            connections,
            metrics,
        }
    }

    /// Takes room if there is some at once.
    pub(super) fn try_take(&self, of: ConnectionId, bytes: usize) -> Option<QuotaGuard> {
        self.bytes.try_take(of, bytes)
    }

    /// Takes room as soon as there is some, closing those that have most of it.
    pub(super) async fn take(&self, of: &Connection, bytes: usize) -> QuotaGuard {
        loop {
            if let Some(taken) = self.bytes.try_take(of.id, bytes) {
                return taken;
            }
            let least = self.bytes.held(of.id).saturating_add(bytes);
            if self
                .connections
                .evict_largest(|id| self.bytes.held(id), least)
            {
                self.metrics.evicted_connections.inc();
            }
            if let Ok(taken) = timeout(EVICTION_GRACE, self.bytes.take(of.id, bytes)).await {
                return taken;
            }
        }
    }
}
