//! Carrying what an index has planned into a ledger, and the outcome back.

use std::sync::Arc;

use tokio::time::{Duration, Instant, sleep};

use super::{SliceLedger, Store, WriteError, outcome};
use crate::allocation::{SharedIndex, Slice, Version, Write, index::PlanId};

/// How long to wait before a write is repeated of which nothing is known.
const RETRY_DELAY: Duration = Duration::from_millis(500);
/// How long it is repeated. An API server itself ends each request after a minute, so that nothing of
/// an earlier one is still to come.
const RETRY_TIMEOUT: Duration = Duration::from_secs(120);

/// What became of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitOutcome {
    /// It is durable.
    Committed,
    /// Another was faster; the index knows it now: decide again.
    Conflict,
    /// Nothing was promised.
    Failed(String),
}

/// Records a plan, all or none, and tells the index what became of it. What may have been written
/// stays in flight until that is known, so that nobody else is given it.
pub async fn commit<L: Store + Send + Sync + 'static>(
    ledger: Arc<L>,
    index: Arc<SharedIndex>,
    writes: Vec<Write>,
    ticket: PlanId,
) -> CommitOutcome {
    let outcome = ledger.write(writes.clone()).await;
    if let Err(error @ WriteError::Uncertain { .. }) = outcome {
        tokio::spawn(retry_uncertain(ledger, index, writes, ticket));
        return CommitOutcome::Failed(error.to_string());
    }
    resolve(&index, &writes, ticket, outcome)
}

/// Records that a node owns a slice, or learns which one does, and tells the index, which can be
/// asked again then.
///
/// # Errors
/// [`WriteError`], if the slice may not be recorded: it can be claimed anew.
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

/// Repeats a write of which it is not known whether it was done. Its records are then there, for the
/// same pod to find when it is created again.
///
/// Not for ever: where writing is forbidden nothing comes of it. What is there then is known by following
/// the ledger, and if nobody uses it the next full comparison releases it; a name that is taken stays a
/// lock, whatever the index believes.
async fn retry_uncertain<L: Store>(
    ledger: Arc<L>,
    index: Arc<SharedIndex>,
    writes: Vec<Write>,
    ticket: PlanId,
) {
    let deadline = Instant::now() + RETRY_TIMEOUT;
    loop {
        sleep(RETRY_DELAY).await;
        match ledger.write(writes.clone()).await {
            Err(WriteError::Uncertain { .. } | WriteError::Unavailable { .. })
                if Instant::now() < deadline => {}
            Err(error @ (WriteError::Uncertain { .. } | WriteError::Unavailable { .. })) => {
                tracing::error!("{error}; given up, and left to the next full comparison");
                index.lock().abort(ticket);
                return;
            }
            known => {
                resolve(&index, &writes, ticket, known);
                return;
            }
        }
    }
}

/// Tells the index what became of a plan.
fn resolve(
    index: &SharedIndex,
    writes: &[Write],
    ticket: PlanId,
    outcome: Result<Vec<Version>, WriteError>,
) -> CommitOutcome {
    let mut index = index.lock();
    if let Ok(versions) = &outcome {
        index.commit(ticket, versions);
        return CommitOutcome::Committed;
    }
    tell(&mut index, writes, &outcome);
    index.abort(ticket);
    match outcome {
        Err(error @ (WriteError::Uncertain { .. } | WriteError::Unavailable { .. })) => {
            CommitOutcome::Failed(error.to_string())
        }
        Ok(_) | Err(WriteError::Exists(_) | WriteError::Changed { .. }) => CommitOutcome::Conflict,
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, sync::Mutex};

    use super::*;
    use crate::{
        allocation::{
            Holder, NetworkRef, Pool, PoolConfig, Stored, Timestamp,
            index::{AllocationPlan, AttachmentRequest, MacRequest, Requester},
        },
        ledger::{Cursor, LedgerEvents, ReadError},
    };

    /// A ledger that answers what it is told to, and then, if it is, the last for ever.
    struct ScriptedLedger(Mutex<VecDeque<Result<Vec<Version>, WriteError>>>, bool);

    impl Store for ScriptedLedger {
        async fn write(&self, _: Vec<Write>) -> Result<Vec<Version>, WriteError> {
            let mut answers = self.0.lock().unwrap_or_else(|e| panic!("{e}"));
            if let (true, [last]) = (self.1, answers.make_contiguous()) {
                return last.clone();
            }
            answers.pop_front().unwrap_or_else(|| panic!("asked again"))
        }

        async fn get(&self, _: &str) -> Result<Option<Stored>, ReadError> {
            Ok(None)
        }

        async fn list(&self) -> Result<(Vec<Stored>, Cursor), ReadError> {
            panic!("nobody lists")
        }

        fn follow(&self, _: Cursor) -> LedgerEvents {
            panic!("nobody follows")
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
        index.lock().plan(&asker, &[ask], Timestamp(0)).ok()
    }

    /// An index with a pool of two addresses.
    fn index() -> Arc<SharedIndex> {
        let spec = serde_json::from_str(r#"{"ranges":[{"range":"192.0.2.0/30"}]}"#);
        let spec = spec.unwrap_or_else(|e| panic!("{e}"));
        let pool = Pool::new("storage", &spec).unwrap_or_else(|e| panic!("{e:?}"));
        let index = SharedIndex::default();
        let layout = PoolConfig::new([Arc::new(pool)], [], |_| None);
        index.lock().sync(&Arc::new(layout));
        index.lock().set_ready("storage");
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
        let first = planned.given.clone();
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
            planned.ticket,
        )
        .await;
        assert!(matches!(recorded, CommitOutcome::Failed(_)));
        // Meanwhile it is nobody's, not even its own pod's.
        assert!(plan(&index, "a").is_none());
        let other = plan(&index, "b").unwrap_or_else(|| panic!("nothing planned"));
        assert_ne!(other.given, first);
        for _ in 0..100 {
            sleep(RETRY_DELAY / 4).await;
            if let Some(again) = plan(&index, "a") {
                assert_eq!((again.given, again.writes), (first, vec![]));
                return;
            }
        }
        panic!("it is in flight for ever");
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_stays_uncertain_is_abandoned() {
        let forbidden = WriteError::Uncertain {
            reason: "192.0.2.1 was created and may not be deleted".to_owned(),
        };
        let index = index();
        let planned = plan(&index, "a").unwrap_or_else(|| panic!("nothing planned"));
        let first = planned.given.clone();
        let answers = VecDeque::from([Err(forbidden)]);
        let ledger = Arc::new(ScriptedLedger(Mutex::new(answers), true));
        commit(ledger, Arc::clone(&index), planned.writes, planned.ticket).await;
        sleep(RETRY_TIMEOUT - RETRY_DELAY).await;
        assert!(plan(&index, "a").is_none());
        sleep(RETRY_DELAY * 2).await;
        let again = plan(&index, "a").unwrap_or_else(|| panic!("in flight for ever"));
        assert_eq!(again.given, first);
    }
}
