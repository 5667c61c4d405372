//! The index in step with a pool configuration, without which nothing can be planned.

use std::{
    ops::{Deref, DerefMut},
    sync::{Arc, MutexGuard},
};

use super::{
    AllocationPlan, Assignment, AttachmentRequest, Index, Rejection, Requester, SharedIndex,
};
use crate::{PoolConfig, Timestamp};

/// An index to which a pool configuration was applied. Plans are made through it only, so that none is
/// made for outdated pools.
#[derive(Debug)]
pub struct SyncedIndex<G>(G);

/// The lock of a [`SharedIndex`] with a pool configuration applied.
pub type IndexGuard<'a> = SyncedIndex<MutexGuard<'a, Index>>;

impl SharedIndex {
    /// Locks the index and applies a pool configuration, as [`Index::synced`] does.
    pub fn synced(&self, pool_config: &Arc<PoolConfig>) -> IndexGuard<'_> {
        let mut index = self.lock();
        index.sync(pool_config);
        SyncedIndex(index)
    }
}

impl Index {
    /// Applies a pool configuration; does nothing if it is the current one. A pool whose ranges changed
    /// or that serves an additional network is no longer ready: addresses in use may not be recorded yet.
    pub fn synced(&mut self, pool_config: &Arc<PoolConfig>) -> SyncedIndex<&mut Self> {
        self.sync(pool_config);
        SyncedIndex(self)
    }

    /// Creates an index of these pools without records.
    pub fn of(pool_config: &Arc<PoolConfig>) -> Self {
        let mut index = Self::default();
        index.sync(pool_config);
        index
    }
}

impl<G: Deref<Target = Index>> Deref for SyncedIndex<G> {
    type Target = Index;

    fn deref(&self) -> &Index {
        &self.0
    }
}

impl<G: DerefMut<Target = Index>> DerefMut for SyncedIndex<G> {
    fn deref_mut(&mut self) -> &mut Index {
        &mut self.0
    }
}

impl<G: DerefMut<Target = Index>> SyncedIndex<G> {
    /// Plans all attachments of a pod and marks the writes as pending.
    ///
    /// # Errors
    /// Returns the first `MAX_REJECTIONS` rejections; then nothing is pending.
    /// [`AllocationError::NeedsSlice`](crate::AllocationError::NeedsSlice) is never mixed with other
    /// errors: record the slices that it names, report the result with [`Index::apply_slice`] (or with
    /// [`Index::drop_claim`] on failure), and plan again.
    pub fn plan(
        &mut self,
        requester: &Requester,
        requests: &[AttachmentRequest],
        now: Timestamp,
    ) -> Result<AllocationPlan, Vec<Rejection>> {
        self.0.plan(requester, requests, now)
    }

    /// Returns the assignments that a plan would make now. Slices that it would have to claim are
    /// assumed to be recorded.
    ///
    /// # Errors
    /// Returns the rejections that the plan would return.
    pub fn preview(
        &mut self,
        requester: &Requester,
        requests: &[AttachmentRequest],
        now: Timestamp,
    ) -> Result<Vec<Assignment>, Vec<Rejection>> {
        self.0.preview(requester, requests, now)
    }

    /// Returns the assignments that [`Self::preview`] would return if all pools were ready. A newly
    /// started replica reads from it which addresses a requester holds. Other addresses may be in use,
    /// so the result must not be used to allocate.
    ///
    /// # Errors
    /// Returns the rejections that the plan would return.
    pub fn preview_ignoring_readiness(
        &mut self,
        requester: &Requester,
        requests: &[AttachmentRequest],
        now: Timestamp,
    ) -> Result<Vec<Assignment>, Vec<Rejection>> {
        self.0.preview_ignoring_readiness(requester, requests, now)
    }
}
