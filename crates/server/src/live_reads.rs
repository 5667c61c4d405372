//! Live reads of allocations: the index may lag behind other replicas.

use std::sync::Arc;

use tokio::sync::Mutex;

use nadmit_allocation::{Address, Holder, SharedIndex};
use nadmit_catalog::LiveRead;
use nadmit_ledger::{ClusterLedger, Ledger, ReadError, SliceLedger, Store as _};

/// Full lists of the ledger, shared by concurrent callers: many reviews may need one when a pool
/// runs out.
#[derive(Debug, Default)]
pub(super) struct SharedLists {
    /// Number of lists started.
    begun: std::sync::atomic::AtomicU64,
    /// Start number of the last list that finished.
    finished: Mutex<u64>,
}

/// Refreshes the index for these live reads: afterwards it is at least as fresh as the ledger was
/// at the call. The index of an embedded ledger always is, because nothing else writes there.
///
/// # Errors
/// Fails if the ledger cannot be read.
pub(super) async fn refresh_index(
    reads: &[LiveRead],
    ledger: &Ledger,
    slices: Option<&SliceLedger>,
    index: &Arc<SharedIndex>,
    lists: &SharedLists,
) -> Result<(), ReadError> {
    let Ledger::Cluster(cluster) = ledger else {
        return Ok(());
    };
    for read in reads {
        match read {
            LiveRead::Allocations {
                pool,
                address: Some(address),
            } => refresh_address(pool, *address, cluster, index).await?,
            LiveRead::Allocations { address: None, .. } => {
                lists.list(ledger, slices, index).await?;
            }
            LiveRead::Holdings { holder, .. } => refresh_holder(holder, cluster, index).await?,
            _ => {}
        }
    }
    Ok(())
}

/// Refreshes the record of one address.
async fn refresh_address(
    pool: &str,
    address: Address,
    cluster: &ClusterLedger,
    index: &SharedIndex,
) -> Result<(), ReadError> {
    let (space, known) = {
        let index = index.lock();
        let Some(pool) = index.pool_config().pool(pool) else {
            return Ok(());
        };
        (pool.space.clone(), index.version_of(&pool.space, address))
    };
    match (cluster.get(&space.record_name(address)).await?, known) {
        (Some(stored), _) => index.lock().apply_response(stored),
        // A record that arrived since then has another version and is kept.
        (None, Some(known)) => index.lock().apply_delete(&space, address, known),
        (None, None) => {}
    }
    Ok(())
}

/// Refreshes all records of a holder.
async fn refresh_holder(
    holder: &Holder,
    cluster: &ClusterLedger,
    index: &SharedIndex,
) -> Result<(), ReadError> {
    let held = cluster.list_held(holder).await?;
    let mut index = index.lock();
    for stored in held {
        index.apply_response(stored);
    }
    Ok(())
}

impl SharedLists {
    /// Refreshes all records, or waits for a concurrent list that started after this call.
    async fn list(
        &self,
        ledger: &Ledger,
        slices: Option<&SliceLedger>,
        index: &SharedIndex,
    ) -> Result<(), ReadError> {
        use std::sync::atomic::Ordering;
        let called = self.begun.load(Ordering::SeqCst);
        let mut finished = self.finished.lock().await;
        // A list that started after the call has finished.
        if *finished > called {
            return Ok(());
        }
        let this = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let (all, cursor) = ledger.list().await?;
        index.lock().apply_list_response(all, cursor.version());
        if let Some(slices) = slices {
            let (all, version) = slices.list().await?;
            index.lock().replace_slices(all, version);
        }
        *finished = this;
        Ok(())
    }
}
