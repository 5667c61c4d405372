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
        let _ = cancel.run_until_cancelled(self.sync()).await;
    }

    async fn sync(&mut self) {
        loop {
            let mut events = self.slices.follow(self.revision);
            while let Some(Ok(event)) = events.next().await {
                apply(&self.index, event);
            }
            // An API server that ends every watch must not be asked without a pause. The list covers
            // everything that was missed.
            sleep(REWATCH_PAUSE).await;
            self.revision = self.reload().await;
        }
    }

    async fn reload(&self) -> Version {
        loop {
            match load(&self.slices, &self.index).await {
                Ok(revision) => return revision,
                Err(error) => tracing::error!(%error, "loading slices failed"),
            }
            sleep(RELOAD_PAUSE).await;
        }
    }
}

/// Replaces the slices of the index with those of the ledger.
async fn load(slices: &SliceLedger, index: &SharedIndex) -> Result<Version, ReadError> {
    let (all, revision) = slices.list().await?;
    index.lock().replace_slices(all, revision);
    Ok(revision)
}

fn apply(index: &SharedIndex, event: SliceEvent) {
    let mut index = index.lock();
    match event {
        SliceEvent::Put(slice, version) => index.apply_slice(slice, version),
        SliceEvent::Deleted(name, version) => index.apply_slice_delete(&name, version),
    }
}
