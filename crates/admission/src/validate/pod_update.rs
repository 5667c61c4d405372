//! `POST /validate` of a pod's update: its annotations are judged for what changes.

use super::addresses;
use crate::{
    context::ReviewContext,
    decision::Decision,
    object::ReviewObject,
    pod::{max_level_of_pod, subject_under_review},
    review::AdmissionRequest,
};
use nadmit_rules::{
    Finding, UpdateSubject,
    judge::{judge_pod, judge_update},
    new_findings::subtract_baseline,
    subject::{AnnotationChange, AnnotationOrigin},
};

/// Decides about a pod's update, also through its status.
pub(crate) fn decide(request: &AdmissionRequest<'_>, context: &ReviewContext<'_>) -> Decision {
    let findings = findings(request, context);
    let decision = Decision::from_findings(request, findings, context.freshness);
    decision.unless_denied(|| changed_addresses(request, context))
}

/// Checks the holders of addresses when a pod's annotations change.
fn changed_addresses(
    request: &AdmissionRequest<'_>,
    context: &ReviewContext<'_>,
) -> Option<Decision> {
    let pod = request.non_static_object()?;
    let before = request.old_object.as_deref();
    let before = before.map(|old| &old.metadata.annotations);
    if !context.has_pools() || before == Some(&pod.metadata.annotations) {
        return None;
    }
    let subject = subject_under_review(request, pod, context);
    addresses::decide(request, pod, &subject, context)
}

/// Returns the findings on the change of a pod's annotations. Problems that existed before the update
/// are not reported again.
fn findings(request: &AdmissionRequest<'_>, context: &ReviewContext<'_>) -> Vec<Finding> {
    let (Some(after), Some(before)) = (request.non_static_object(), request.old_object.as_deref())
    else {
        return Vec::new();
    };
    if after.metadata.annotations == before.metadata.annotations {
        return Vec::new();
    }
    let (namespace, policy) = (request.namespace(), context.policy);
    let annotations = [&before.metadata.annotations, &after.metadata.annotations];
    let change = |origin, [before, after]: [Option<_>; 2]| AnnotationChange {
        origin,
        before,
        after,
    };
    let labels = context
        .catalog
        .namespace(namespace)
        .map(|namespace| namespace.labels);
    let launcher = before.metadata.labels.virt_launcher;
    let subject = UpdateSubject {
        namespace,
        policy,
        may_change: labels.unwrap_or_default().mutable_attachments
            || policy.may_change_attachments(&request.user_info.username, launcher),
        changes: vec![
            change(
                AnnotationOrigin::default_network(policy),
                annotations.map(|a| a.default_network.as_deref()),
            ),
            change(
                AnnotationOrigin::networks(namespace),
                annotations.map(|a| a.networks.as_deref()),
            ),
        ],
    };
    let max_level = context
        .max_level(namespace)
        .filter(|_| !after.is_terminating());
    let mut findings =
        max_level.map_or_else(Vec::new, |max_level| judge_update(&subject, max_level));
    let known = annotation_findings(request, before, context);
    findings.extend(subtract_baseline(
        annotation_findings(request, after, context),
        &known,
    ));
    findings
}

/// Returns the findings on a pod's annotations, before or after the update.
fn annotation_findings(
    request: &AdmissionRequest<'_>,
    pod: &ReviewObject<'_>,
    context: &ReviewContext<'_>,
) -> Vec<Finding> {
    let annotations = &pod.metadata.annotations;
    if !annotations.request_networks() && annotations.near_misses.is_empty() {
        return Vec::new();
    }
    let subject = subject_under_review(request, pod, context);
    judge_pod(&subject, max_level_of_pod(request, context))
}
