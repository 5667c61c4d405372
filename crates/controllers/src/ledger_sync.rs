//! Keeps the index in step with the ledger.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt as _;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use nadmit_allocation::SharedIndex;
use nadmit_ledger::{Cursor, Ledger, LedgerEvent, ReadError, Store as _};

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
        let _ = cancel.run_until_cancelled(self.sync()).await;
    }

    async fn sync(&mut self) {
        let mut events = self.ledger.follow(self.cursor);
        while let Some(next) = events.next().await {
            match next {
                Ok(event) => apply(&self.index, event),
                Err(error) => {
                    tracing::warn!(%error, "ledger watch failed; reloading");
                    self.cursor = self.reload().await;
                    events = self.ledger.follow(self.cursor);
                }
            }
        }
    }

    async fn reload(&self) -> Cursor {
        loop {
            match load(&self.ledger, &self.index).await {
                Ok(cursor) => return cursor,
                Err(error) => tracing::error!(%error, "loading the ledger failed"),
            }
            sleep(RELOAD_PAUSE).await;
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
