//! `POST /mutate` of a new pod.

use super::requester::ResolvedRequester;
use crate::{
    allocate::{AllocationRequest, InjectedPod, Launch},
    annotations::{DesiredAnnotations, OriginalAnnotations},
    context::ReviewContext,
    decision::Decision,
    injection_time::{is_due, lacking_node},
    migration_guard,
    pod::subject_under_review,
    response::AdmissionResponse,
    review::AdmissionRequest,
};
use nadmit_allocation::index::AttachmentRequest;

/// Decides about a new pod.
pub(crate) fn decide(request: &AdmissionRequest<'_>, context: &ReviewContext<'_>) -> Decision {
    let Some(pod) = request.reviewable_object() else {
        return Decision::Respond(AdmissionResponse::allow(request));
    };
    let current = &pod.metadata.annotations;
    let subject = subject_under_review(request, pod, context);
    let is_due = |requested: &AttachmentRequest| is_due(request, pod, requested, context);
    let Ok(allocation) = AllocationRequest::eligible_where(&subject, is_due) else {
        let nothing = DesiredAnnotations::default().to_json_patch(current);
        return Decision::Respond(AdmissionResponse::allow(request).with_patch(nothing));
    };
    let denied = allocation.authority_findings();
    if !denied.is_empty() {
        return Decision::from_findings(request, denied, context.freshness);
    }
    let rejections = lacking_node(request, pod, allocation.requests(), context);
    if !rejections.is_empty() {
        return allocation.reject(request, rejections, context);
    }
    let resolved = {
        let index = context.lock_synced();
        let requests = allocation.requests();
        ResolvedRequester::resolve(request, pod, requests, &index, context.random)
    };
    let Some(resolved) = resolved else {
        return Decision::Respond(AdmissionResponse::allow(request));
    };
    let original = if resolved.is_known {
        OriginalAnnotations::of_object(current)
    } else {
        OriginalAnnotations::default()
    };
    let migration = migration_guard::migration_of(pod);
    let injected = InjectedPod {
        requester: resolved.requester,
        launch: Launch::New(migration.as_ref()),
        original,
        token: resolved.token,
        current,
    };
    allocation.inject(injected, request, context)
}
