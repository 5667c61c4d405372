//! Previews: the result of a plan without making it.

use super::{AllocationPlan, Assignment, AttachmentRequest, Readiness, Rejection, Requester};
use crate::{Slice, Timestamp, Version, index::Index};

/// The version of a slice that is only assumed: older than every recorded one.
const ASSUMED_VERSION: Version = Version(0);

impl Index {
    /// Previews for [`SyncedIndex::preview`](crate::index::SyncedIndex::preview).
    pub(in crate::index) fn preview(
        &mut self,
        requester: &Requester,
        requests: &[AttachmentRequest],
        now: Timestamp,
    ) -> Result<Vec<Assignment>, Vec<Rejection>> {
        self.preview_with(requester, requests, now, Readiness::Required)
    }

    /// Previews for
    /// [`SyncedIndex::preview_ignoring_readiness`](crate::index::SyncedIndex::preview_ignoring_readiness).
    pub(in crate::index) fn preview_ignoring_readiness(
        &mut self,
        requester: &Requester,
        requests: &[AttachmentRequest],
        now: Timestamp,
    ) -> Result<Vec<Assignment>, Vec<Rejection>> {
        self.preview_with(requester, requests, now, Readiness::Ignored)
    }

    fn preview_with(
        &mut self,
        requester: &Requester,
        requests: &[AttachmentRequest],
        now: Timestamp,
        readiness: Readiness,
    ) -> Result<Vec<Assignment>, Vec<Rejection>> {
        let under_way = self.claims();
        let mut assumed = Vec::new();
        let planned = self.plan_assuming_slices(requester, requests, now, readiness, &mut assumed);
        if let Ok(planned) = &planned {
            self.abort(planned.id);
        }
        for slice in assumed {
            self.apply_slice_delete(&slice.record_name(), ASSUMED_VERSION);
        }
        for (claim, _) in self.claims() {
            self.drop_claim(&claim);
        }
        for (claim, since) in under_way {
            self.claim(&claim, since);
        }
        planned.map(|planned| planned.assignments)
    }

    /// Plans repeatedly, assuming the required slices. Each iteration satisfies at least one more of
    /// the requested addresses.
    fn plan_assuming_slices(
        &mut self,
        requester: &Requester,
        requests: &[AttachmentRequest],
        now: Timestamp,
        readiness: Readiness,
        assumed: &mut Vec<Slice>,
    ) -> Result<AllocationPlan, Vec<Rejection>> {
        let ranges = |request: &AttachmentRequest| {
            let pool = self.pool_config.pool(&request.pool);
            pool.map_or(0, |pool| pool.ranges.len() + request.ips.len())
        };
        for _ in 0..requests.iter().map(ranges).sum::<usize>() {
            let rejected = match self.plan_with(requester, requests, now, readiness) {
                Ok(planned) => return Ok(planned),
                Err(rejected) => rejected,
            };
            let needed = rejected.iter().filter_map(|one| one.error.required_slice());
            let needed: Vec<Slice> = needed.cloned().collect();
            if needed.is_empty() {
                return Err(rejected);
            }
            for slice in needed {
                self.apply_slice(slice.clone(), ASSUMED_VERSION);
                assumed.push(slice);
            }
        }
        self.plan_with(requester, requests, now, readiness)
    }
}
