//! Keeps the index in step with the ledger.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt as _;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use nadmit_allocation::SharedIndex;
use nadmit_ledger::{Cursor, Ledger, LedgerEvent, LedgerEvents, ReadError, Store as _};

/// The pause before a failed load is retried.
const RELOAD_PAUSE: Duration = Duration::from_secs(1);

/// Watches a ledger and applies its events to the index.
#[derive(Debug)]
pub struct LedgerSync {
    ledger: Arc<Ledger>,
    index: Arc<SharedIndex>,
    cursor: Cursor,
}

impl LedgerSync {
    /// Loads the ledger into the index.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn open(ledger: Arc<Ledger>, index: Arc<SharedIndex>) -> Result<Self, ReadError> {
        let cursor = load(&ledger, &index).await?;
        Ok(Self {
            ledger,
            index,
            cursor,
        })
    }

    /// Keeps the index up to date until `cancel`, or until the ledger is closed.
    pub async fn run(mut self, cancel: CancellationToken) {
        let mut events = self.ledger.follow(self.cursor);
        loop {
            let next = tokio::select! {
                biased;
                () = cancel.cancelled() => return,
                next = events.next() => next,
            };
            match next {
                Some(Ok(event)) => {
                    self.cursor = event.cursor();
                    apply(&self.index, event);
                }
                Some(Err(error)) => {
                    tracing::warn!(%error, "ledger watch failed; reloading");
                    match self.reload(&cancel).await {
                        Some(reloaded) => events = reloaded,
                        None => return,
                    }
                }
                None => return,
            }
        }
    }

    async fn reload(&mut self, cancel: &CancellationToken) -> Option<LedgerEvents> {
        loop {
            match load(&self.ledger, &self.index).await {
                Ok(cursor) => {
                    self.cursor = cursor;
                    return Some(self.ledger.follow(cursor));
                }
                Err(error) => tracing::error!(%error, "loading the ledger failed"),
            }
            tokio::select! {
                biased;
                () = cancel.cancelled() => return None,
                () = sleep(RELOAD_PAUSE) => {}
            }
        }
    }
}

/// Replaces the content of the index with that of the ledger.
async fn load(ledger: &Ledger, index: &SharedIndex) -> Result<Cursor, ReadError> {
    let (stored, cursor) = ledger.list().await?;
    index.lock().replace(stored, cursor.version());
    Ok(cursor)
}

fn apply(index: &SharedIndex, event: LedgerEvent) {
    let mut index = index.lock();
    let version = event.version();
    match event {
        LedgerEvent::Put(stored) => index.apply(stored),
        LedgerEvent::Deleted {
            allocation,
            version,
        } => index.apply_delete(&allocation.space, allocation.address, version),
    }
    index.observe_revision(version);
}
