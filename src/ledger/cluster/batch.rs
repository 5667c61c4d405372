//! A batch: its records side by side, and all of them or none.

use std::{collections::HashSet, sync::Arc};

use futures_util::{StreamExt as _, stream};

use super::{
    Inner,
    write::{CreatedObject, Undeleted, WrittenRecord},
};
use crate::{
    allocation::{Version, Write},
    ledger::WriteError,
};

/// How many records of a batch are written side by side.
const CONCURRENCY: usize = 32;

/// Writes a batch: creates side by side, then what changes records that are there.
///
/// - A refusal for good (`Exists`, `Changed`, `Unavailable`) takes back what the batch has created;
///   what somebody else has taken over meanwhile stays, and so does what may not be deleted. Updates and deletes are not taken back: they
///   begin after every create has succeeded, and concern records whose holders the caller speaks for.
/// - What is uncertain takes nothing back: the batch is to be repeated, and finds its own records.
pub(super) async fn run(inner: Arc<Inner>, batch: Vec<Write>) -> Result<Vec<Version>, WriteError> {
    check_unique(&batch)?;
    let marked = inner.marks.begin(&inner.options.writer, &batch);
    let outcome = write_records(&marked.mark, &inner, batch).await;
    inner.marks.end(marked, outcome)
}

async fn write_records(
    batch_id: &str,
    inner: &Inner,
    batch: Vec<Write>,
) -> Result<Vec<Version>, WriteError> {
    let mut versions = vec![Version::default(); batch.len()];
    let mut created = Vec::new();
    let creates = |(_, write): &(usize, Write)| matches!(write, Write::Create(_));
    let (first, then): (Vec<_>, Vec<_>) = batch.into_iter().enumerate().partition(creates);
    for part in [first, then] {
        let outcomes: Vec<(usize, Result<WrittenRecord, WriteError>)> = stream::iter(part)
            .map(|(at, write)| async move { (at, inner.one(&write, mark).await) })
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

/// A batch's records are written side by side, so each name may be there once.
fn check_unique(batch: &[Write]) -> Result<(), WriteError> {
    let mut names = HashSet::new();
    for write in batch {
        let name = write.allocation().record_name();
        if let Some(name) = names.replace(name) {
            let reason = format!(
                "a batch names record {name} twice, and its records are written side by side; write \
                 them one after the other"
            );
            return Err(WriteError::Unavailable { reason });
        }
    }
    Ok(())
}

/// The error to answer: what is not known outweighs all, then what is to be judged anew, in the order
/// of the batch.
fn most_severe(errors: Vec<WriteError>) -> Option<WriteError> {
    errors.into_iter().min_by_key(|error| match error {
        WriteError::Uncertain { .. } => 0,
        WriteError::Exists(_) | WriteError::Changed { .. } => 1,
        WriteError::Unavailable { .. } => 2,
    })
}

/// Takes back what was created, and says what became of the batch.
async fn undo_creates(inner: &Inner, created: Vec<CreatedObject>, error: WriteError) -> WriteError {
    if matches!(error, WriteError::Uncertain { .. }) {
        return error;
    }
    let taken_back = stream::iter(created).map(|created| inner.delete_created(created));
    let outcomes = taken_back.buffered(CONCURRENCY).collect::<Vec<_>>().await;
    let left: Vec<Undeleted> = outcomes.into_iter().filter_map(Result::err).collect();
    let (stays, unknown): (Vec<_>, Vec<_>) = left.into_iter().partition(|left| left.is_permanent);
    // Repeating the batch would not delete them either.
    for Undeleted { reason, .. } in stays {
        tracing::error!("{reason}; it is left to the next full comparison");
    }
    let reasons: Vec<String> = unknown.into_iter().map(|left| left.reason).collect();
    match reasons.is_empty() {
        true => error,
        false => WriteError::Uncertain {
            reason: format!("{error}; but {}", reasons.join("; ")),
        },
    }
}
