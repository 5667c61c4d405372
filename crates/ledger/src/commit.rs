//! Commits an index's plan to a ledger and reports the outcome to the index.

use std::sync::Arc;

use thiserror::Error;
use tokio::{
    task::JoinError,
    time::{Duration, Instant, sleep},
};

use super::{SliceLedger, Store, WriteError, apply_outcome, whereabouts::WhereaboutsError};
use nadmit_allocation::{SharedIndex, Slice, Version, Write, index::PlanId};

/// Delay before a write with an unknown outcome is repeated.
const RETRY_DELAY: Duration = Duration::from_millis(500);
/// Time after which repeating is abandoned. An API server ends each request after a minute, so no effect of
/// an earlier attempt can follow.
const RETRY_TIMEOUT: Duration = Duration::from_secs(120);

/// Outcome of committing a plan.
#[derive(Debug)]
pub enum CommitOutcome {
    /// The plan is durable.
    Committed,
    /// Another writer was faster. The index has the other record; plan again.
    Conflict,
    /// Nothing may be promised to the caller.
    Failed(CommitError),
}

/// The reason why a plan is not known to be durable.
#[derive(Debug, Error)]
pub enum CommitError {
    /// The ledger did not record it, or may not have.
    #[error(transparent)]
    Ledger(#[from] WriteError),
    /// The task of the write failed.
    #[error(transparent)]
    Task(#[from] JoinError),
    /// The records of Whereabouts were not written.
    #[error(transparent)]
    Whereabouts(#[from] WhereaboutsError),
    /// The deadline passed before the plan was recorded.
    #[error("the write did not finish in time")]
    TimedOut,
    /// The server runs without a ledger.
    #[error("this server keeps no allocations; start it with --data-dir")]
    NoLedger,
}

/// Commits a plan, all or none, and commits or aborts it in the index. If the outcome is uncertain, the
/// plan stays pending until it is known, so that its addresses are not allocated to another holder.
pub async fn commit<L: Store + Send + Sync + 'static>(
    ledger: Arc<L>,
    index: Arc<SharedIndex>,
    writes: Vec<Write>,
    plan_id: PlanId,
) -> CommitOutcome {
    let outcome = ledger.write(writes.clone()).await;
    if let Err(error @ WriteError::Uncertain { .. }) = outcome {
        tokio::spawn(retry_uncertain(ledger, index, writes, plan_id));
        return CommitOutcome::Failed(error.into());
    }
    resolve(&index, &writes, plan_id, outcome)
}

/// Records that a node owns a slice, or reads its current owner, and updates the index.
///
/// # Errors
/// [`WriteError`] if the slice may not have been recorded. The claim is dropped and can be made again.
pub async fn claim(
    slices: &SliceLedger,
    index: &SharedIndex,
    slice: &Slice,
) -> Result<(), WriteError> {
    let claimed = slices.claim(slice).await;
    let mut index = index.lock();
    index.drop_claim(slice);
    let (recorded, version) = claimed?;
    index.apply_slice(recorded, version);
    Ok(())
}

/// Repeats a write until its outcome is known. Its records then exist, and are found when the pod is
/// created again.
///
/// Gives up after [`RETRY_TIMEOUT`], for example where writing is forbidden. Records that were written
/// nevertheless are observed by following the ledger, and released by the next full resync if unused; an
/// existing name stays a lock whatever the index holds.
async fn retry_uncertain<L: Store>(
    ledger: Arc<L>,
    index: Arc<SharedIndex>,
    writes: Vec<Write>,
    plan_id: PlanId,
) {
    let deadline = Instant::now() + RETRY_TIMEOUT;
    loop {
        sleep(RETRY_DELAY).await;
        match ledger.write(writes.clone()).await {
            Err(WriteError::Uncertain { .. } | WriteError::Unavailable { .. })
                if Instant::now() < deadline => {}
            Err(error @ (WriteError::Uncertain { .. } | WriteError::Unavailable { .. })) => {
                tracing::error!(component = "ledger", %error, "gave up an uncertain write; the next full comparison resolves it");
                index.lock().abort(plan_id);
                return;
            }
            known => {
                resolve(&index, &writes, plan_id, known);
                return;
            }
        }
    }
}

/// Commits or aborts a plan in the index according to the outcome.
fn resolve(
    index: &SharedIndex,
    writes: &[Write],
    plan_id: PlanId,
    outcome: Result<Vec<Version>, WriteError>,
) -> CommitOutcome {
    let mut index = index.lock();
    if let Ok(versions) = &outcome {
        index.commit(plan_id, versions);
        return CommitOutcome::Committed;
    }
    apply_outcome(&mut index, writes, &outcome);
    index.abort(plan_id);
    match outcome {
        Err(error @ (WriteError::Uncertain { .. } | WriteError::Unavailable { .. })) => {
            CommitOutcome::Failed(error.into())
        }
        Ok(_) | Err(WriteError::Exists(_) | WriteError::Changed { .. }) => CommitOutcome::Conflict,
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, sync::Mutex};

    use super::*;
    use crate::{Cursor, LedgerEvents, ReadError};
    use nadmit_allocation::{
        Holder, NetworkRef, Pool, PoolConfig, Stored, Timestamp,
        index::{AllocationPlan, AttachmentRequest, MacRequest, Requester},
    };

    /// A ledger that returns scripted results; if the flag is set, the last one repeats forever.
    struct ScriptedLedger(Mutex<VecDeque<Result<Vec<Version>, WriteError>>>, bool);

    impl Store for ScriptedLedger {
        async fn write(&self, _: Vec<Write>) -> Result<Vec<Version>, WriteError> {
            let mut answers = self.0.lock().unwrap_or_else(|e| panic!("{e}"));
            if let (true, [last]) = (self.1, answers.make_contiguous()) {
                return last.clone();
            }
            answers
                .pop_front()
                .unwrap_or_else(|| panic!("no scripted result is left"))
        }

        async fn get(&self, _: &str) -> Result<Option<Stored>, ReadError> {
            Ok(None)
        }

        async fn list(&self) -> Result<(Vec<Stored>, Cursor), ReadError> {
            panic!("not used")
        }

        fn follow(&self, _: Cursor) -> LedgerEvents {
            panic!("not used")
        }
    }

    fn plan(index: &SharedIndex, pod: &str) -> Option<AllocationPlan> {
        let network = NetworkRef {
            namespace: "db".into(),
            name: "storage-net".into(),
        };
        let asker = Requester {
            holder: Holder::Pod {
                namespace: "db".into(),
                name: pod.into(),
            },
            pod: None,
            node: None,
        };
        let ask = AttachmentRequest {
            pool: "storage".into(),
            network,
            interface: "net1".into(),
            needs_ips: true,
            ips: Vec::new(),
            mac: MacRequest::None,
        };
        let pool_config = Arc::clone(index.lock().pool_config());
        let planned = index
            .synced(&pool_config)
            .plan(&asker, &[ask], Timestamp(0));
        planned.ok()
    }

    /// Returns an index with a pool of two addresses.
    fn index() -> Arc<SharedIndex> {
        let spec = serde_json::from_str(r#"{"ranges":[{"range":"192.0.2.0/30"}]}"#);
        let spec = spec.unwrap_or_else(|e| panic!("{e}"));
        let pool = Pool::new("storage", &spec).unwrap_or_else(|e| panic!("{e:?}"));
        let index = SharedIndex::default();
        let pool_config = PoolConfig::new([Arc::new(pool)], [], |_| None);
        index.synced(&Arc::new(pool_config)).set_ready("storage");
        Arc::new(index)
    }

    #[tokio::test]
    async fn an_uncertain_write_is_pending_until_its_outcome_is_known() {
        let uncertain = || WriteError::Uncertain {
            reason: "the disk is full".to_owned(),
        };
        let unavailable = WriteError::Unavailable {
            reason: "the disk is full".to_owned(),
        };
        let index = index();
        let planned = plan(&index, "a").unwrap_or_else(|| panic!("nothing planned"));
        let first = planned.assignments.clone();
        let answers = [
            Err(uncertain()),
            Err(unavailable),
            Err(uncertain()),
            Ok(vec![Version(1)]),
        ];
        let ledger = Arc::new(ScriptedLedger(Mutex::new(answers.into()), false));
        let recorded = commit(
            Arc::clone(&ledger),
            Arc::clone(&index),
            planned.writes,
            planned.id,
        )
        .await;
        assert!(matches!(recorded, CommitOutcome::Failed(_)));
        // While the write is pending, the address is allocated to no pod, not even to its own.
        assert!(plan(&index, "a").is_none());
        let other = plan(&index, "b").unwrap_or_else(|| panic!("nothing planned"));
        assert_ne!(other.assignments, first);
        for _ in 0..100 {
            sleep(RETRY_DELAY / 4).await;
            if let Some(again) = plan(&index, "a") {
                assert_eq!((again.assignments, again.writes), (first, vec![]));
                return;
            }
        }
        panic!("the plan is pending forever");
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_stays_uncertain_is_abandoned() {
        let forbidden = WriteError::Uncertain {
            reason: "192.0.2.1 was created and may not be deleted".to_owned(),
        };
        let index = index();
        let planned = plan(&index, "a").unwrap_or_else(|| panic!("nothing planned"));
        let first = planned.assignments.clone();
        let answers = VecDeque::from([Err(forbidden)]);
        let ledger = Arc::new(ScriptedLedger(Mutex::new(answers), true));
        commit(ledger, Arc::clone(&index), planned.writes, planned.id).await;
        sleep(RETRY_TIMEOUT - RETRY_DELAY).await;
        assert!(plan(&index, "a").is_none());
        sleep(RETRY_DELAY * 2).await;
        let again = plan(&index, "a").unwrap_or_else(|| panic!("the plan is pending forever"));
        assert_eq!(again.assignments, first);
    }
}
