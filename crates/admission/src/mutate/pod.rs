//! `POST /mutate` of a new pod.

use super::{AllocationRequest, reject, requester::ResolvedRequester};
use crate::{
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
use nadmit_rules::{
    Level,
    allocation::{attachment_requests, can_be_served},
    judge::judge_pod,
};

/// Decides about a new pod.
pub(crate) fn decide(request: &AdmissionRequest<'_>, context: &ReviewContext<'_>) -> Decision {
    let Some(pod) = request.reviewable_object() else {
        return Decision::Respond(AdmissionResponse::allow(request));
    };
    let current = &pod.metadata.annotations;
    let subject = subject_under_review(request, pod, context);
    let mut attachments = attachment_requests(&subject);
    attachments.retain(|one| is_due(request, pod, &one.request, context));
    let has_nothing = attachments.is_empty() || !can_be_served(&subject);
    if has_nothing {
        let response = AdmissionResponse::allow(request);
        return Decision::Respond(
            response.with_patch(DesiredAnnotations::default().to_json_patch(current)),
        );
    }
    // The rules that guard address pools apply even where all other rules are off.
    let denied = judge_pod(&subject, Level::Off);
    if !denied.is_empty() {
        return Decision::from_findings(request, denied, context.freshness);
    }
    let rejections = lacking_node(request, pod, &attachments, context);
    if !rejections.is_empty() {
        return reject(request, &subject, &attachments, rejections, context);
    }
    let requests: Vec<AttachmentRequest> =
        attachments.iter().map(|one| one.request.clone()).collect();
    let resolved = {
        let index = context.lock_synced();
        ResolvedRequester::resolve(request, pod, &requests, &index, context.random)
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
    let request_for_pod = AllocationRequest {
        subject: &subject,
        attachments: &attachments,
        requester: resolved.requester,
        migration: migration.as_ref(),
        already_admitted: false,
        original,
        token: resolved.token,
        current,
    };
    request_for_pod.decide(request, context)
}
