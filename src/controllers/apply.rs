//! Carrying out what a comparison asks for.

use futures_util::{StreamExt as _, stream};

use super::metrics::ReconcileMetrics;
use crate::{
    allocation::{SharedIndex, reconcile::Action},
    ledger::{Ledger, Store as _, WriteError, tell},
};

/// How many writes are under way at once: a file commits them together, an API server takes them side
/// by side.
const CONCURRENCY: usize = 64;

/// Writes the actions' records and tells the index, side by side. With each comes whether there is
/// nothing left to do about it: a record that has changed meanwhile will be judged anew.
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
    tell(&mut index.lock(), &writes, &outcome);
    match outcome {
        Ok(_) => true,
        Err(WriteError::Exists(_) | WriteError::Changed { .. }) => false,
        Err(error @ (WriteError::Uncertain { .. } | WriteError::Unavailable { .. })) => {
            tracing::error!("{error}");
            false
        }
    }
}

/// Logs and counts what was written.
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
