//! The allocation core as the server uses it: plans go to the ledger, and their outcome to the index.

use std::sync::Arc;

use tokio::{
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use super::live_reads::{self, SharedLists};
use crate::{
    allocation::{SharedIndex, Slice, Write, index::PlanId},
    clock::RandomSource,
    ledger::{CommitOutcome, Ledger, NotWritable, SliceLedger, claim, commit},
    rules::LiveRead,
};

/// Who holds which address, and where that is recorded.
#[derive(Debug, Clone)]
pub struct Allocations {
    /// The index, which is as the ledger is.
    pub index: Arc<SharedIndex>,
    ledger: Option<Arc<Ledger>>,
    /// Which node owns which slice, where nodes are known.
    slices: Option<SliceLedger>,
    lists: Arc<SharedLists>,
    /// The one source of randomness: each call another number that nobody can guess.
    random: RandomSource,
}

impl Allocations {
    /// Allocations that a ledger records.
    pub fn new(index: Arc<SharedIndex>, ledger: Arc<Ledger>, random: RandomSource) -> Self {
        Self {
            index,
            ledger: Some(ledger),
            slices: None,
            lists: Arc::default(),
            random,
        }
    }

    /// The same in a cluster: slices are recorded, too, so that pools that are cut give, and other
    /// replicas write to the same ledger.
    #[must_use]
    pub fn with_slices(mut self, slices: SliceLedger) -> Self {
        let mut index = self.index.lock();
        index.enable_slices();
        index.share_ledger();
        drop(index);
        self.slices = Some(slices);
        self
    }

    /// No ledger: whatever would have to be recorded is turned away.
    pub fn disabled() -> Self {
        Self {
            index: Arc::default(),
            ledger: None,
            slices: None,
            lists: Arc::default(),
            random: RandomSource::new(|| 0),
        }
    }

    /// Finds out whether allocations can be recorded, where any are.
    ///
    /// # Errors
    /// [`NotWritable`].
    pub(super) async fn writable(&self) -> Result<(), NotWritable> {
        match &self.ledger {
            Some(ledger) => ledger.writable().await,
            None => Ok(()),
        }
    }

    /// A number that nobody can guess.
    pub(super) fn random(&self) -> u128 {
        self.random.next()
    }

    /// Makes the index at least as fresh, about these things, as the ledger is when this is called.
    ///
    /// # Errors
    /// Why the ledger does not tell.
    pub(super) async fn refresh(&self, lookups: &[LiveRead]) -> Result<(), String> {
        let Some(ledger) = &self.ledger else {
            return Ok(());
        };
        let looked = live_reads::refresh_index(
            lookups,
            ledger,
            self.slices.as_ref(),
            &self.index,
            &self.lists,
        )
        .await;
        looked.map_err(|error| error.to_string())
    }

    /// Records that a node owns a slice, or learns which one does; then the index can be asked again.
    ///
    /// # Errors
    /// Why nothing was recorded in time.
    pub(super) async fn claim(&self, slice: Slice, deadline: Instant) -> Result<(), String> {
        let Some(slices) = self.slices.clone() else {
            self.index.lock().drop_claim(&slice);
            return Err("this server knows no nodes".to_owned());
        };
        let index = Arc::clone(&self.index);
        let task = tokio::spawn(async move { claim(&slices, &index, &slice).await });
        match timeout_at(deadline, task).await {
            Ok(Ok(claimed)) => claimed.map_err(|error| error.to_string()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("the node's slice was not recorded in time".to_owned()),
        }
    }

    /// Records a plan, all or none, and tells the index. Once begun it comes to its end, whoever
    /// waits for it; after `deadline` nobody does.
    pub(super) async fn record(
        &self,
        writes: Vec<Write>,
        ticket: PlanId,
        deadline: Instant,
    ) -> CommitOutcome {
        let Some(ledger) = self.ledger.clone() else {
            self.index.lock().abort(ticket);
            let reason = "this server keeps no allocations; start it with --data-dir";
            return CommitOutcome::Failed(reason.to_owned());
        };
        let index = Arc::clone(&self.index);
        let task: JoinHandle<CommitOutcome> = tokio::spawn(commit(ledger, index, writes, ticket));
        match timeout_at(deadline, task).await {
            Ok(Ok(recorded)) => recorded,
            Ok(Err(error)) => CommitOutcome::Failed(error.to_string()),
            Err(_) => CommitOutcome::Failed("it was not recorded in time".to_owned()),
        }
    }
}
