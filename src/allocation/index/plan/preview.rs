//! Previews: the result of a plan without making it.

use super::{AllocationPlan, Assignment, AttachmentRequest, Readiness, Rejection, Requester};
use crate::allocation::{Slice, Timestamp, Version, index::Index};

/// The version of a slice that is only assumed: older than every recorded one.
const SUPPOSED: Version = Version(0);

impl Index {
    /// Returns the assignments that a plan would make now. Slices that it would have to claim are
    /// assumed to be recorded.
    ///
    /// # Errors
    /// Returns the rejections that the plan would return.
    pub fn preview(
        &mut self,
        asker: &Requester,
        asks: &[AttachmentRequest],
        now: Timestamp,
    ) -> Result<Vec<Assignment>, Vec<Rejection>> {
        self.preview_by(asker, asks, now, Readiness::Required)
    }

    /// Returns the assignments that [`Self::preview`] would return if all pools were ready. A newly
    /// started replica reads from it which addresses a requester holds. Other addresses may be in use,
    /// so the result must not be used to allocate.
    ///
    /// # Errors
    /// Returns the rejections that the plan would return.
    pub fn preview_ignoring_readiness(
        &mut self,
        asker: &Requester,
        asks: &[AttachmentRequest],
        now: Timestamp,
    ) -> Result<Vec<Assignment>, Vec<Rejection>> {
        self.preview_by(asker, asks, now, Readiness::Ignored)
    }

    fn preview_by(
        &mut self,
        asker: &Requester,
        asks: &[AttachmentRequest],
        now: Timestamp,
        readiness: Readiness,
    ) -> Result<Vec<Assignment>, Vec<Rejection>> {
        let under_way = self.claims();
        let mut supposed = Vec::new();
        let planned = self.suppose(asker, asks, now, readiness, &mut supposed);
        if let Ok(planned) = &planned {
            self.abort(planned.id);
        }
        for slice in supposed {
            self.apply_slice_delete(&slice.record_name(), SUPPOSED);
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
    fn suppose(
        &mut self,
        asker: &Requester,
        asks: &[AttachmentRequest],
        now: Timestamp,
        readiness: Readiness,
        supposed: &mut Vec<Slice>,
    ) -> Result<AllocationPlan, Vec<Rejection>> {
        let ranges = |ask: &AttachmentRequest| {
            let pool = self.layout.pool(&ask.pool);
            pool.map_or(0, |pool| pool.ranges.len() + ask.ips.len())
        };
        for _ in 0..asks.iter().map(ranges).sum::<usize>() {
            let refused = match self.plan_by(asker, asks, now, readiness) {
                Ok(planned) => return Ok(planned),
                Err(refused) => refused,
            };
            let needed = refused.iter().filter_map(|one| one.error.required_slice());
            let needed: Vec<Slice> = needed.cloned().collect();
            if needed.is_empty() {
                return Err(refused);
            }
            for slice in needed {
                self.apply_slice(slice.clone(), SUPPOSED);
                supposed.push(slice);
            }
        }
        self.plan_by(asker, asks, now, readiness)
    }
}
