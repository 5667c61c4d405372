//! What a pod names on a wire of a pool, on a network that the pool does not serve: nothing records it
//! there, and so it must not be what somebody has.

use super::{
    context::ReviewContext,
    decide::Decision,
    object::ReviewObject,
    pod::{requester_under_review, subject_under_review},
    review::{AdmissionRequest, Operation},
};
use crate::{
    allocation::{Address, AllocationError, index::Requester},
    rules::{
        PodSubject,
        allocation::{AllocationSubject, UnrecordedMac, unrecorded_macs},
        judge::judge_allocation,
    },
};

/// What to do about MACs that others have: `None` where there are none. Of the addresses that a pool gives
/// a rule speaks (`address-of-pool`), whoever has them.
pub(super) fn decide(
    request: &AdmissionRequest<'_>,
    pod: &ReviewObject<'_>,
    after: &PodSubject<'_>,
    context: &ReviewContext<'_>,
) -> Option<Decision> {
    let carried = pod.metadata.annotations.holder_token.as_deref();
    let requester = requester_under_review(request, pod, carried)?;
    let mut taken = macs_of_others(after, &requester, context);
    let before = request.old_object.as_ref();
    if let Some(before) = before.filter(|_| request.operation == Operation::Update) {
        // What was in disorder before the update may stay so.
        let before = subject_under_review(request, before, context.policy, context.catalog);
        let known = macs_of_others(&before, &requester, context);
        taken.retain(|one| known.iter().all(|known| known.mac != one.mac));
    }
    if taken.is_empty() {
        return None;
    }
    let refused = taken.into_iter().map(|one| {
        let address = Address::Mac(one.mac);
        let holder = Box::new(one.holder);
        (one.attachment, AllocationError::InUse { address, holder })
    });
    let refused: Vec<_> = refused.collect();
    let findings = judge_allocation(&AllocationSubject {
        pod: after,
        errors: &refused,
    });
    Some(Decision::from_findings(
        request,
        findings,
        context.freshness,
    ))
}

fn macs_of_others(
    subject: &PodSubject<'_>,
    requester: &Requester,
    context: &ReviewContext<'_>,
) -> Vec<UnrecordedMac> {
    let index = context.allocations.lock();
    unrecorded_macs(subject, |pool, mac| {
        let record = index.holder_of_mac(&pool.space, mac)?;
        (record.holder != requester.holder).then(|| record.holder.clone())
    })
}
