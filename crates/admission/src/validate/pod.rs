//! `POST /validate` of a new pod: first its annotations, then the holders of its addresses.

use super::addresses;
use crate::{
    context::ReviewContext,
    decision::Decision,
    pod::{max_level_of_pod, subject_under_review},
    response::AdmissionResponse,
    review::AdmissionRequest,
};
use nadmit_rules::judge::judge_pod;

/// Decides about a new pod.
pub(crate) fn decide(request: &AdmissionRequest<'_>, context: &ReviewContext<'_>) -> Decision {
    let pod = request.reviewable_object().filter(|pod| {
        let annotations = &pod.metadata.annotations;
        annotations.request_networks() || !annotations.near_misses.is_empty()
    });
    let Some(pod) = pod else {
        return Decision::Respond(AdmissionResponse::allow(request));
    };
    let subject = subject_under_review(request, pod, context);
    let findings = judge_pod(&subject, max_level_of_pod(request, context));
    let decision = Decision::from_findings(request, findings, context.freshness);
    decision.unless_denied(|| {
        let pooled = pod.metadata.annotations.request_networks() && context.has_pools();
        pooled.then(|| addresses::decide(request, pod, &subject, context))?
    })
}
