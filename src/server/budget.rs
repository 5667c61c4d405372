//! The memory for the requests of all connections, in bytes.
//!
//! Bodies are counted before they are read, and until their answer has left. Where there is no room, the
//! connection that has most of it while its bodies are still awaited is closed: whoever sends many large bodies
//! slowly holds up nobody who sends a small one.

use std::sync::Arc;

use tokio::time::timeout;

use super::{
    connections::{Connection, ConnectionId, Connections, GOODBYE},
    metrics::Metrics,
    share::{OneIn, Shared, Taken},
};

/// A connection may have a ninth of all that there is.
const PART: OneIn = OneIn(8);

/// The bytes that requests may take up.
pub(super) struct Budget {
    bytes: Arc<Shared>,
    connections: Arc<Connections>,
    metrics: Arc<Metrics>,
}

impl Budget {
    pub(super) fn new(bytes: usize, connections: Arc<Connections>, metrics: Arc<Metrics>) -> Self {
        Self {
            bytes: Shared::new(bytes, PART),
            connections,
            metrics,
        }
    }

    /// Takes room if there is some at once.
    pub(super) fn try_take(&self, of: ConnectionId, bytes: usize) -> Option<Taken> {
        self.bytes.try_take(of, bytes)
    }

    /// Takes room as soon as there is some, closing those that have most of it.
    pub(super) async fn take(&self, of: &Connection, bytes: usize) -> Taken {
        loop {
            if let Some(taken) = self.bytes.try_take(of.id, bytes) {
                return taken;
            }
            let least = self.bytes.held(of.id).saturating_add(bytes);
            if self
                .connections
                .close_greediest(|id| self.bytes.held(id), least)
            {
                self.metrics.evicted_connections.inc();
            }
            if let Ok(taken) = timeout(GOODBYE, self.bytes.take(of.id, bytes)).await {
                return taken;
            }
        }
    }
}
