//! Memory budget for the requests of all connections, in bytes.
//!
//! Memory for a body is reserved before it is read and held until the response has been sent. If
//! the budget is exhausted, the connection that holds the most while its bodies are still
//! incomplete is closed, so that clients that send many large bodies slowly do not block those that
//! send small ones.

use std::sync::Arc;

use tokio::time::timeout;

use super::{
    connections::{Connection, ConnectionId, Connections, EVICTION_GRACE},
    metrics::Metrics,
    quota::{MaxShare, Quota, QuotaGuard},
};

/// Share of one connection: an eighth of what is free, so at most a ninth of the total.
const MAX_SHARE: MaxShare = MaxShare(8);

/// The memory budget.
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

    /// Reserves memory without waiting; `None` if the budget does not allow it.
    pub(super) fn try_take(&self, id: ConnectionId, bytes: usize) -> Option<QuotaGuard> {
        self.bytes.try_take(id, bytes)
    }

    /// Reserves memory as soon as possible and evicts the connections that hold the most.
    pub(super) async fn take(&self, connection: &Connection, bytes: usize) -> QuotaGuard {
        loop {
            if let Some(taken) = self.bytes.try_take(connection.id, bytes) {
                return taken;
            }
            let least = self.bytes.held(connection.id).saturating_add(bytes);
            if self
                .connections
                .evict_largest(|id| self.bytes.held(id), least)
            {
                self.metrics.evicted_connections.inc();
            }
            if let Ok(taken) = timeout(EVICTION_GRACE, self.bytes.take(connection.id, bytes)).await
            {
                return taken;
            }
        }
    }
}
