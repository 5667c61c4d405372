//! Commits a plan whose addresses Whereabouts's plugin gives: the records of the ledger, then those of
//! Whereabouts.

use std::sync::Arc;

use tokio::time::{Duration, Instant};

use super::{WhereaboutsError, WhereaboutsLedger, WhereaboutsWrite};
use crate::{
    CommitOutcome, Ledger, PlannedWrites, Store as _, commit::commit, outcome::apply_outcome,
};
use nadmit_allocation::{Allocation, ForeignPod, SharedIndex, Write};
use nadmit_whereabouts::Taken;

/// The time for writing Whereabouts's records.
const MAX_TIME: Duration = Duration::from_secs(5);

/// Commits a plan: its records, then the entries and reservations of Whereabouts. If another pod has one
/// of the addresses, by the plugin or by a record of another address space, the records that the plan
/// created are deleted, and the index knows the address as in use: plan again. After any other failure the records stay for the next attempt.
pub async fn commit_served(
    ledger: Arc<Ledger>,
    whereabouts: WhereaboutsLedger,
    index: Arc<SharedIndex>,
    writes: PlannedWrites,
    deadline: Instant,
) -> CommitOutcome {
    let PlannedWrites {
        records,
        served,
        plan_id,
    } = writes;
    let created: Vec<Allocation> = records
        .iter()
        .filter(|write| matches!(write, Write::Create(_)))
        .map(|write| write.allocation().clone())
        .collect();
    let outcome = commit(Arc::clone(&ledger), Arc::clone(&index), records, plan_id).await;
    if !matches!(outcome, CommitOutcome::Committed) {
        return outcome;
    }
    let entries = served.into_iter();
    let entries = entries.map(|entry| WhereaboutsWrite {
        entry,
        guards: Vec::new(),
    });
    let until = deadline.min(Instant::now() + MAX_TIME);
    match whereabouts.write(entries.collect(), until).await {
        Ok(()) => CommitOutcome::Committed,
        Err(WhereaboutsError::Taken(taken)) => {
            forget(&ledger, &index, created).await;
            learn(&index, &taken);
            CommitOutcome::Conflict
        }
        Err(error) => CommitOutcome::Failed(error.into()),
    }
}

/// Deletes the records that the plan created.
async fn forget(ledger: &Ledger, index: &SharedIndex, created: Vec<Allocation>) {
    let writes: Vec<Write> = {
        let index = index.lock();
        let deletes = created.into_iter().filter_map(|record| {
            let version = index.version_of(&record.space, record.address)?;
            Some(Write::Delete(record, version))
        });
        deletes.collect()
    };
    let outcome = ledger.write(writes.clone()).await;
    if let Err(error) = &outcome {
        tracing::warn!(component = "whereabouts", %error, "records of a refused plan stay until the next comparison");
    }
    apply_outcome(&mut index.lock(), &writes, &outcome);
}

/// Adds an address that another pod has to the index.
fn learn(index: &SharedIndex, taken: &Taken) {
    let pod = taken.pod.as_ref();
    let pod = pod.map(|pod| ForeignPod::new(&pod.namespace, &pod.name));
    let kept_for = taken.space.as_deref();
    index
        .lock()
        .add_taken(taken.address, pod.as_ref(), kept_for);
}
