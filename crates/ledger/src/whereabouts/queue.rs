//! The queue of one `IPPool`: the entries that wait go in one patch.

use std::sync::Arc;

use futures_util::future::join_all;
use tokio::{
    sync::oneshot,
    time::{Duration, Instant, sleep},
};

use super::{Shared, WhereaboutsError, WhereaboutsWrite};
use nadmit_whereabouts::{EntryChange, IpPool, IpPoolRef};

/// The maximum number of entries of one patch. Small patches leave the plugins time for theirs.
const MAX_BATCH: usize = 64;
/// The time in which the entries of the first patch gather.
const GATHER_TIME: Duration = Duration::from_millis(5);
/// The number of attempts after which the pause no longer grows.
const MAX_BACK_OFF: u32 = 4;

/// The writes that wait for one pool.
#[derive(Debug, Default)]
pub(super) struct PoolQueue {
    waiting: Vec<Waiting>,
    /// True while a task drains the queue.
    drains: bool,
}

/// A write that waits.
#[derive(Debug)]
struct Waiting {
    write: WhereaboutsWrite,
    deadline: Instant,
    done: oneshot::Sender<Result<(), WhereaboutsError>>,
}

impl PoolQueue {
    /// Adds a write. Returns true if a task has to drain the queue from now on.
    pub(super) fn push(
        &mut self,
        write: WhereaboutsWrite,
        deadline: Instant,
        done: oneshot::Sender<Result<(), WhereaboutsError>>,
    ) -> bool {
        self.waiting.push(Waiting {
            write,
            deadline,
            done,
        });
        !std::mem::replace(&mut self.drains, true)
    }

    /// Takes the next batch; an empty one ends the drain.
    fn take(&mut self) -> Vec<Waiting> {
        let count = self.waiting.len().min(MAX_BATCH);
        let batch: Vec<Waiting> = self.waiting.drain(..count).collect();
        self.drains = !batch.is_empty();
        batch
    }
}

/// Writes batches until nothing waits.
pub(super) async fn drain(shared: Arc<Shared>, pool: IpPoolRef) {
    // Of entries that come together the first does not go alone.
    sleep(GATHER_TIME).await;
    loop {
        let batch = {
            let mut queues = shared.queues();
            let batch = queues.get_mut(&pool).map(PoolQueue::take);
            let batch = batch.unwrap_or_default();
            if batch.is_empty() {
                queues.remove(&pool);
            }
            batch
        };
        if batch.is_empty() {
            return;
        }
        write_batch(&shared, &pool, batch).await;
        sleep(shared.pacing.pause()).await;
    }
}

/// Writes the entries of a batch in one patch, and repeats it after a conflict.
async fn write_batch(shared: &Shared, pool: &IpPoolRef, mut batch: Vec<Waiting>) {
    let mut attempt = 0;
    loop {
        let now = Instant::now();
        batch = end(batch, |one| {
            (one.deadline <= now).then_some(Err(WhereaboutsError::TimedOut))
        });
        if batch.is_empty() {
            return;
        }
        let observed = match shared.api.pool(pool).await {
            Ok(Some(observed)) => observed,
            // It was created: it has a version after the next read.
            Ok(None) => continue,
            Err(error) => {
                end(batch, |_| Some(Err(error.clone())));
                return;
            }
        };
        batch = unchanged(shared, batch).await;
        match apply(shared, pool, observed, &mut batch).await {
            Applied::Done => {
                end(batch, |_| Some(Ok(())));
                return;
            }
            Applied::Conflict => {
                attempt += 1;
                sleep(shared.pacing.pause() * attempt.min(MAX_BACK_OFF)).await;
            }
            Applied::Failed(error) => {
                end(batch, |_| Some(Err(error.clone())));
                return;
            }
        }
    }
}

/// Ends the writes that rest on a record that has changed; returns the others.
async fn unchanged(shared: &Shared, batch: Vec<Waiting>) -> Vec<Waiting> {
    let checks = join_all(batch.iter().map(|one| shared.check(&one.write)));
    let mut checks = checks.await.into_iter();
    end(batch, |_| checks.next()?.err().map(Err))
}

/// The outcome of a patch.
enum Applied {
    Done,
    Conflict,
    Failed(WhereaboutsError),
}

/// Applies the changes of a batch to a pool as it was read. Ends the writes of addresses that another pod
/// has, and those that would take an entry of the plugin from a pod that is bound. Each write is planned on
/// the pool as the writes before it leave it: two of them may be for one address, in two address spaces.
async fn apply(
    shared: &Shared,
    pool: &IpPoolRef,
    mut observed: IpPool,
    batch: &mut Vec<Waiting>,
) -> Applied {
    let mut changes = Vec::new();
    let mut failures = Vec::with_capacity(batch.len());
    for one in batch.iter() {
        failures.push(match planned(shared, &observed, &one.write).await {
            Ok(more) => {
                observed.apply(&more);
                changes.extend(more);
                None
            }
            Err(error) => Some(Err(error)),
        });
    }
    let mut failures = failures.into_iter();
    *batch = end(std::mem::take(batch), |_| failures.next().flatten());
    if changes.is_empty() {
        return Applied::Done;
    }
    match shared.api.change_pool(pool, &observed, &changes).await {
        Ok(true) => Applied::Done,
        Ok(false) => Applied::Conflict,
        Err(error) => Applied::Failed(error),
    }
}

/// Returns the changes of a pool for one write.
async fn planned(
    shared: &Shared,
    pool: &IpPool,
    write: &WhereaboutsWrite,
) -> Result<Vec<EntryChange>, WhereaboutsError> {
    let found = pool.changes(&write.entry);
    let found = found.map_err(WhereaboutsError::Taken)?;
    for pod in found.unbound {
        if shared.api.is_bound(&pod).await? {
            return Err(WhereaboutsError::Bound(pod));
        }
    }
    let mut changes = found.changes;
    if changes.is_empty() && write.is_of_review() {
        // The hold of an earlier pod of this name may be on its way.
        changes.extend(pool.renewal(&write.entry));
    }
    Ok(changes)
}

/// Ends the writes for which there is a result; returns the others.
fn end(
    batch: Vec<Waiting>,
    mut result: impl FnMut(&Waiting) -> Option<Result<(), WhereaboutsError>>,
) -> Vec<Waiting> {
    let mut left = Vec::with_capacity(batch.len());
    for one in batch {
        match result(&one) {
            // The caller may have stopped waiting.
            Some(result) => drop(one.done.send(result)),
            None => left.push(one),
        }
    }
    left
}
