//! The server's access to allocations: commits plans to the ledger and applies the outcome to the
//! index.

use std::sync::Arc;

use thiserror::Error;
use tokio::{
    task::{JoinError, JoinHandle},
    time::{Instant, timeout_at},
};

use super::live_reads::{self, SharedLists};
use nadmit_allocation::{SharedIndex, Slice};
use nadmit_catalog::LiveRead;
use nadmit_host::clock::RandomSource;
use nadmit_ledger::{
    CommitError, CommitOutcome, Ledger, NotWritable, PlannedWrites, ReadError, SliceLedger,
    WhereaboutsLedger, WriteError, claim, commit, commit_served,
};

/// The failure to claim a slice for a node.
#[derive(Debug, Error)]
pub(super) enum ClaimError {
    /// The server runs outside of a cluster.
    #[error("this server does not know the nodes, because it runs without a cluster")]
    NoNodes,
    /// The ledger did not record it.
    #[error(transparent)]
    Ledger(#[from] WriteError),
    /// The task of the write failed.
    #[error(transparent)]
    Ended(#[from] JoinError),
    /// The deadline passed before the slice was recorded.
    #[error("nadmit could not record the node's slice in time")]
    TimedOut,
}

/// The allocation index with the ledger that records it.
#[derive(Debug, Clone)]
pub struct Allocations {
    /// The in-memory view of the ledger.
    pub index: Arc<SharedIndex>,
    ledger: Option<Arc<Ledger>>,
    /// The ledger of node slices; `None` outside of a cluster.
    slices: Option<SliceLedger>,
    /// The writer of Whereabouts's records; `None` outside of a cluster.
    whereabouts: Option<WhereaboutsLedger>,
    lists: Arc<SharedLists>,
    /// Source of unpredictable numbers.
    random: RandomSource,
}

impl Allocations {
    /// Creates allocations recorded by `ledger`.
    pub fn new(index: Arc<SharedIndex>, ledger: Arc<Ledger>, random: RandomSource) -> Self {
        Self {
            index,
            ledger: Some(ledger),
            slices: None,
            whereabouts: None,
            lists: Arc::default(),
            random,
        }
    }

    /// Adds the writer of Whereabouts's records.
    #[must_use]
    pub fn with_whereabouts(self, whereabouts: WhereaboutsLedger) -> Self {
        Self {
            whereabouts: Some(whereabouts),
            ..self
        }
    }

    /// Adds slice support for a cluster: sliced pools can allocate, and other replicas may write to
    /// the same ledger.
    #[must_use]
    pub fn with_slices(mut self, slices: SliceLedger) -> Self {
        let mut index = self.index.lock();
        index.enable_slices();
        index.share_ledger();
        drop(index);
        self.slices = Some(slices);
        self
    }

    /// Creates allocations without a ledger: every plan is rejected.
    pub fn disabled() -> Self {
        Self {
            index: Arc::default(),
            ledger: None,
            slices: None,
            whereabouts: None,
            lists: Arc::default(),
            random: RandomSource::new(|| 0),
        }
    }

    /// Checks that the ledger, if there is one, can be written.
    ///
    /// # Errors
    /// Returns [`NotWritable`] if it cannot.
    pub(super) async fn writable(&self) -> Result<(), NotWritable> {
        match &self.ledger {
            Some(ledger) => ledger.writable().await,
            None => Ok(()),
        }
    }

    /// Returns an unpredictable number.
    pub(super) fn random(&self) -> u128 {
        self.random.next()
    }

    /// Refreshes the index for these live reads: afterwards it is at least as fresh as the ledger
    /// was at the call.
    ///
    /// # Errors
    /// Fails if the ledger cannot be read.
    pub(super) async fn refresh(&self, reads: &[LiveRead]) -> Result<(), ReadError> {
        let Some(ledger) = &self.ledger else {
            return Ok(());
        };
        live_reads::refresh_index(
            reads,
            ledger,
            self.slices.as_ref(),
            &self.index,
            &self.lists,
        )
        .await
    }

    /// Claims a slice for a node, or learns which node owns it. The plan can then be made again.
    ///
    /// # Errors
    /// Fails if nothing was recorded before `deadline`.
    pub(super) async fn claim(&self, slice: Slice, deadline: Instant) -> Result<(), ClaimError> {
        let Some(slices) = self.slices.clone() else {
            self.index.lock().drop_claim(&slice);
            return Err(ClaimError::NoNodes);
        };
        let index = Arc::clone(&self.index);
        let task = tokio::spawn(async move { claim(&slices, &index, &slice).await });
        match timeout_at(deadline, task).await {
            Ok(claimed) => Ok(claimed??),
            Err(_) => Err(ClaimError::TimedOut),
        }
    }

    /// Commits a plan atomically and applies the outcome to the index. Once begun, the commit runs
    /// to its end even if the caller stops waiting, which it does at `deadline`.
    pub(super) async fn commit(&self, writes: PlannedWrites, deadline: Instant) -> CommitOutcome {
        let Some(ledger) = self.ledger.clone() else {
            self.index.lock().abort(writes.plan_id);
            return CommitOutcome::Failed(CommitError::NoLedger);
        };
        let index = Arc::clone(&self.index);
        let task: JoinHandle<CommitOutcome> = match &self.whereabouts {
            Some(whereabouts) if !writes.served.is_empty() => {
                let whereabouts = whereabouts.clone();
                tokio::spawn(commit_served(ledger, whereabouts, index, writes, deadline))
            }
            _ => tokio::spawn(commit(ledger, index, writes.records, writes.plan_id)),
        };
        match timeout_at(deadline, task).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => CommitOutcome::Failed(error.into()),
            Err(_) => CommitOutcome::Failed(CommitError::TimedOut),
        }
    }
}
