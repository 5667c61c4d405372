//! Applies the actions of a reconcile pass to the ledger and the index.

use futures_util::{StreamExt as _, stream};

use super::metrics::ReconcileMetrics;
use nadmit_allocation::{SharedIndex, reconcile::Action};
use nadmit_ledger::{Ledger, Store as _, WriteError, apply_outcome};

/// Concurrent writes. An embedded ledger commits them together; an API server handles them in parallel.
const CONCURRENCY: usize = 64;

/// Writes the records of `actions` concurrently and updates the index. Returns each action with whether
/// it is complete; an action whose record has changed meanwhile is not, and the next pass decides
/// again.
pub(super) async fn apply(
    ledger: &Ledger,
    index: &SharedIndex,
    actions: Vec<Action>,
) -> Vec<(Action, bool)> {
    stream::iter(actions)
        .map(|action| async move {
            let done = write(ledger, index, &action).await;
            (action, done)
        })
        .buffered(CONCURRENCY)
        .collect()
        .await
}

async fn write(ledger: &Ledger, index: &SharedIndex, action: &Action) -> bool {
    let Some(write) = action.write.clone() else {
        return true;
    };
    let writes = [write];
    let outcome = ledger.write(writes.to_vec()).await;
    apply_outcome(&mut index.lock(), &writes, &outcome);
    match outcome {
        Ok(_) => true,
        Err(WriteError::Exists(_) | WriteError::Changed { .. }) => false,
        Err(error @ (WriteError::Uncertain { .. } | WriteError::Unavailable { .. })) => {
            tracing::error!(%error, "writing a record failed");
            false
        }
    }
}

/// Logs a write and counts it by its reason.
pub(super) fn log_and_count(action: &Action, metrics: &ReconcileMetrics) {
    let Some(write) = &action.write else { return };
    let record = write.allocation();
    tracing::info!(
        address = %record.address,
        pool = &*record.pool,
        holder = %record.holder,
        reason = action.reason.name(),
        "reconciled"
    );
    metrics.add(action.reason.name());
}
