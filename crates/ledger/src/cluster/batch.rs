//! Writes the records of a batch concurrently, all or none.

use std::{collections::HashSet, sync::Arc};

use futures_util::{StreamExt as _, stream};

use super::{
    ClusterLedgerInner,
    write::{CreatedObject, Undeleted, WrittenRecord},
};
use crate::WriteError;
use nadmit_allocation::{Version, Write};

/// Number of records of a batch that are written concurrently.
const CONCURRENCY: usize = 32;

/// Writes a batch: first creates, concurrently, then updates and deletes.
///
/// - After a permanent refusal (`Exists`, `Changed`, `Unavailable`), the objects that the batch has created
///   are deleted, except those that another batch has taken over or that may not be deleted. Updates and
///   deletes are not reverted: they begin after every create has succeeded, and affect only records of the
///   caller's own holders.
/// - After an uncertain outcome nothing is deleted: the batch is to be repeated, and finds its own records.
pub(super) async fn run(
    inner: Arc<ClusterLedgerInner>,
    batch: Vec<Write>,
) -> Result<Vec<Version>, WriteError> {
    check_unique(&batch)?;
    let marked = inner.batch_ids.begin(&inner.options.writer, &batch);
    let outcome = write_records(&marked.id, &inner, batch).await;
    inner.batch_ids.end(marked, outcome)
}

async fn write_records(
    batch_id: &str,
    inner: &ClusterLedgerInner,
    batch: Vec<Write>,
) -> Result<Vec<Version>, WriteError> {
    let mut versions = vec![Version::default(); batch.len()];
    let mut created = Vec::new();
    let creates = |(_, write): &(usize, Write)| matches!(write, Write::Create(_));
    let (first, then): (Vec<_>, Vec<_>) = batch.into_iter().enumerate().partition(creates);
    for part in [first, then] {
        let outcomes: Vec<(usize, Result<WrittenRecord, WriteError>)> = stream::iter(part)
            .map(|(at, write)| async move { (at, inner.write_record(&write, batch_id).await) })
            .buffered(CONCURRENCY)
            .collect()
            .await;
        let mut errors = Vec::new();
        for (at, outcome) in outcomes {
            match outcome {
                Ok(done) => {
                    versions[at] = done.version;
                    created.extend(done.created);
                }
                Err(error) => errors.push(error),
            }
        }
        if let Some(error) = most_severe(errors) {
            return Err(undo_creates(inner, created, error).await);
        }
    }
    Ok(versions)
}

/// Checks that each name occurs once, because the records of a batch are written concurrently.
fn check_unique(batch: &[Write]) -> Result<(), WriteError> {
    let mut names = HashSet::new();
    for write in batch {
        let name = write.allocation().record_name();
        if let Some(name) = names.replace(name) {
            let reason = format!(
                "a batch names record {name} twice, and its records are written concurrently; write \
                 them one after the other"
            );
            return Err(WriteError::Unavailable { reason });
        }
    }
    Ok(())
}

/// Returns the error to report: uncertain outcomes before conflicts before unavailability, each in the
/// order of the batch.
fn most_severe(errors: Vec<WriteError>) -> Option<WriteError> {
    errors.into_iter().min_by_key(|error| match error {
        WriteError::Uncertain { .. } => 0,
        WriteError::Exists(_) | WriteError::Changed { .. } => 1,
        WriteError::Unavailable { .. } => 2,
    })
}

/// Deletes the objects that a failed batch has created, and returns the error of the batch.
async fn undo_creates(
    inner: &ClusterLedgerInner,
    created: Vec<CreatedObject>,
    error: WriteError,
) -> WriteError {
    if matches!(error, WriteError::Uncertain { .. }) {
        return error;
    }
    let taken_back = stream::iter(created).map(|created| inner.delete_created(created));
    let outcomes = taken_back.buffered(CONCURRENCY).collect::<Vec<_>>().await;
    let left: Vec<Undeleted> = outcomes.into_iter().filter_map(Result::err).collect();
    let (stays, unknown): (Vec<_>, Vec<_>) = left.into_iter().partition(|left| left.is_permanent);
    // Repeating the batch would not delete them either.
    for Undeleted { reason, .. } in stays {
        tracing::error!(component = "ledger", %reason, "left a record to the next full comparison");
    }
    let reasons: Vec<String> = unknown.into_iter().map(|left| left.reason).collect();
    match reasons.is_empty() {
        true => error,
        false => WriteError::Uncertain {
            reason: format!("{error}; but {}", reasons.join("; ")),
        },
    }
}
