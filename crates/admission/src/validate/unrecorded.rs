//! MACs that a pod names on a pool's link, on a network that the pool does not serve. Nothing
//! records them there, so they must not be another holder's.

use crate::{
    context::ReviewContext,
    decision::Decision,
    object::ReviewObject,
    pod::{requester_under_review, subject_under_review},
    review::{AdmissionRequest, Operation},
};
use nadmit_allocation::{Address, AllocationError, index::Requester};
use nadmit_rules::{
    PodSubject,
    allocation::{AllocationSubject, UnrecordedMac, unrecorded_macs},
    judge::judge_allocation,
};

/// Denies MACs that other holders have; returns `None` if there are none. A rule
/// (`address-of-pool`) covers the addresses that a pool allocates.
pub(super) fn decide(
    request: &AdmissionRequest<'_>,
    pod: &ReviewObject<'_>,
    after: &PodSubject<'_>,
    context: &ReviewContext<'_>,
) -> Option<Decision> {
    let carried = pod.metadata.annotations.holder_token.as_deref();
    let requester = requester_under_review(request, pod, carried)?;
    let mut taken = macs_of_others(after, &requester, context);
    let before = request.old_object.as_deref();
    if let Some(before) = before.filter(|_| request.operation == Operation::Update) {
        // Problems that already existed before the update are not reported again.
        let before = subject_under_review(request, before, context);
        let known = macs_of_others(&before, &requester, context);
        taken.retain(|one| known.iter().all(|known| known.mac != one.mac));
    }
    if taken.is_empty() {
        return None;
    }
    let rejections = taken.into_iter().map(|one| {
        let address = Address::Mac(one.mac);
        let holder = Box::new(one.holder);
        (one.attachment, AllocationError::InUse { address, holder })
    });
    let rejections: Vec<_> = rejections.collect();
    let findings = judge_allocation(&AllocationSubject {
        pod: after,
        errors: &rejections,
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
