//! Look-ups about allocations, past the index, which another replica of nadmit may be ahead of.

use std::sync::Arc;

use tokio::sync::Mutex;

use crate::{
    allocation::{Address, Holder, SharedIndex},
    ledger::{ClusterLedger, Ledger, ReadError, SliceLedger, Store as _},
    rules::LiveRead,
};

/// Whole lists of the ledger, shared by all who ask for one at the same time: a pool that runs out
/// makes many ask.
#[derive(Debug, Default)]
pub(super) struct SharedLists {
    /// How many lists were begun.
    begun: std::sync::atomic::AtomicU64,
    /// The last one that was finished, by the count of its beginning.
    finished: Mutex<u64>,
}

/// Whether a look-up is about allocations.
pub(super) fn is_ledger_read(lookup: &LiveRead) -> bool {
    matches!(
        lookup,
        LiveRead::Allocations { .. } | LiveRead::Holdings { .. }
    )
}

/// Makes the index at least as fresh, about these things, as the ledger is when this is called. Of an
/// embedded ledger it is: nobody else writes there.
///
/// # Errors
/// When the ledger does not tell.
pub(super) async fn refresh_index(
    lookups: &[LiveRead],
    ledger: &Ledger,
    slices: Option<&SliceLedger>,
    index: &Arc<SharedIndex>,
    lists: &SharedLists,
) -> Result<(), ReadError> {
    let Ledger::Cluster(cluster) = ledger else {
        return Ok(());
    };
    for lookup in lookups {
        match lookup {
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

/// The record of one address.
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
        // What came since is another.
        (None, Some(known)) => index.lock().apply_delete(&space, address, known),
        (None, None) => {}
    }
    Ok(())
}

/// Everything that a holder has.
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
    /// Everything; or what another has listed since this was called.
    async fn list(
        &self,
        ledger: &Ledger,
        slices: Option<&SliceLedger>,
        index: &SharedIndex,
    ) -> Result<(), ReadError> {
        use std::sync::atomic::Ordering;
        let called = self.begun.load(Ordering::SeqCst);
        let mut finished = self.finished.lock().await;
        // One that began after the call, and is finished.
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
