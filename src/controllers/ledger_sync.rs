//! The index as the ledger is.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt as _;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{
    allocation::SharedIndex,
    ledger::{Cursor, Event, Events, Ledger, ReadError, Store as _},
};

/// How long to wait before a ledger that could not be read is read again.
const RELOAD_PAUSE: Duration = Duration::from_secs(1);

/// Follows a ledger, and tells the index.
#[derive(Debug)]
pub struct LedgerSync {
    ledger: Arc<Ledger>,
    index: Arc<SharedIndex>,
    cursor: Cursor,
}

impl LedgerSync {
    /// Reads the ledger for the first time: afterwards the index is as it is.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn open(ledger: Arc<Ledger>, index: Arc<SharedIndex>) -> Result<Self, ReadError> {
        let cursor = load(&ledger, &index).await?;
        Ok(Self {
            ledger,
            index,
            cursor,
        })
    }

    /// Keeps the index true until `cancel`, or until the ledger is closed.
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
                    tracing::warn!("{error}");
                    match self.reload(&cancel).await {
                        Some(reloaded) => events = reloaded,
                        None => return,
                    }
                }
                None => return,
            }
        }
    }

    async fn reload(&mut self, cancel: &CancellationToken) -> Option<Events> {
        loop {
            match load(&self.ledger, &self.index).await {
                Ok(cursor) => {
                    self.cursor = cursor;
                    return Some(self.ledger.follow(cursor));
                }
                Err(error) => tracing::error!("{error}"),
            }
            tokio::select! {
                biased;
                () = cancel.cancelled() => return None,
                () = sleep(RELOAD_PAUSE) => {}
            }
        }
    }
}

/// Makes the index what the ledger is now.
async fn load(ledger: &Ledger, index: &SharedIndex) -> Result<Cursor, ReadError> {
    let (stored, cursor) = ledger.list().await?;
    index.lock().replace(stored, cursor.version());
    Ok(cursor)
}

fn apply(index: &SharedIndex, event: Event) {
    let mut index = index.lock();
    let version = event.version();
    match event {
        Event::Put(stored) => index.apply(stored),
        Event::Gone {
            allocation,
            version,
        } => index.apply_delete(&allocation.space, allocation.address, version),
    }
    index.told(version);
}
