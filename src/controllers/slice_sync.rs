//! The index's slices as they are recorded.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt as _;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{
    allocation::{SharedIndex, Version},
    ledger::{ReadError, SliceEvent, SliceLedger},
};

/// How long to wait before slices that could not be read are read again.
const RELOAD_PAUSE: Duration = Duration::from_secs(1);
/// How long to wait after a watch that ended.
const REWATCH_PAUSE: Duration = Duration::from_millis(100);

/// Follows the slices of a cluster, and tells the index.
#[derive(Debug)]
pub struct SliceSync {
    slices: SliceLedger,
    index: Arc<SharedIndex>,
    revision: Version,
}

impl SliceSync {
    /// Reads the slices for the first time: afterwards the index has exactly these.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn open(slices: SliceLedger, index: Arc<SharedIndex>) -> Result<Self, ReadError> {
        let revision = load(&slices, &index).await?;
        Ok(Self {
            slices,
            index,
            revision,
        })
    }

    /// Keeps the index true until `cancel`.
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
                    Some(Ok(SliceEvent::Gone(name, version))) => {
                        self.revision = self.revision.max(version);
                        self.index.lock().apply_slice_delete(&name, version);
                    }
                    // Behind, or at an end: the list says the same as all that was missed.
                    Some(Err(_)) | None => break,
                }
            }
            // A server that ends every watch is not to be asked without a pause.
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

/// Makes the index's slices what they are now.
async fn load(slices: &SliceLedger, index: &SharedIndex) -> Result<Version, ReadError> {
    let (all, revision) = slices.list().await?;
    index.lock().replace_slices(all, revision);
    Ok(revision)
}
