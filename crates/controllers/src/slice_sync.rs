//! Keeps the slices of the index in step with their objects.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt as _;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use nadmit_allocation::{SharedIndex, Version};
use nadmit_ledger::{ReadError, SliceEvent, SliceLedger};

/// The pause before a failed load is retried.
const RELOAD_PAUSE: Duration = Duration::from_secs(1);
/// The pause after a watch has ended.
const REWATCH_PAUSE: Duration = Duration::from_millis(100);

/// Watches the slices of a cluster and applies the events to the index.
#[derive(Debug)]
pub struct SliceSync {
    slices: SliceLedger,
    index: Arc<SharedIndex>,
    revision: Version,
}

impl SliceSync {
    /// Loads the slices into the index.
    ///
    /// # Errors
    /// If they cannot be read.
    pub async fn open(slices: SliceLedger, index: Arc<SharedIndex>) -> Result<Self, ReadError> {
        let revision = load(&slices, &index).await?;
        Ok(Self {
            slices,
            index,
            revision,
        })
    }

    /// Keeps the slices of the index up to date until `cancel`.
    pub async fn run(mut self, cancel: CancellationToken) {
        loop {
            let mut events = self.slices.follow(self.revision);
            loop {
                let next = tokio::select! {
                    biased;
                    () = cancel.cancelled() => return,
                    next = events.next() => next,
                };
                match next {
                    Some(Ok(SliceEvent::Put(slice, version))) => {
                        self.revision = self.revision.max(version);
                        self.index.lock().apply_slice(slice, version);
                    }
                    Some(Ok(SliceEvent::Deleted(name, version))) => {
                        self.revision = self.revision.max(version);
                        self.index.lock().apply_slice_delete(&name, version);
                    }
                    // The watch expired or ended: the list covers everything that was missed.
                    Some(Err(_)) | None => break,
                }
            }
            // An API server that ends every watch must not be asked without a pause.
            tokio::select! {
                biased;
                () = cancel.cancelled() => return,
                () = sleep(REWATCH_PAUSE) => {}
            }
            if self.reload(&cancel).await.is_none() {
                return;
            }
        }
    }

    async fn reload(&mut self, cancel: &CancellationToken) -> Option<()> {
        loop {
            match load(&self.slices, &self.index).await {
                Ok(revision) => {
                    self.revision = revision;
                    return Some(());
                }
                Err(error) => tracing::error!(%error, "loading slices failed"),
            }
            tokio::select! {
                biased;
                () = cancel.cancelled() => return None,
                () = sleep(RELOAD_PAUSE) => {}
            }
        }
    }
}

/// Replaces the slices of the index with those of the ledger.
async fn load(slices: &SliceLedger, index: &SharedIndex) -> Result<Version, ReadError> {
    let (all, revision) = slices.list().await?;
    index.lock().replace_slices(all, revision);
    Ok(revision)
}
