//! Reviews of the object that configures OpenShift's network operator.

use crate::{context::ReviewContext, object::ReviewObject, review::AdmissionRequest};
use nadmit_cni::operator;
use nadmit_rules::{
    Finding,
    judge::{judge_additional_use, judge_operator},
    new_findings::subtract_baseline,
};

/// Returns the findings on the networks that OpenShift's operator will create; for an update only
/// the new ones, and those on networks that it takes away from pods.
pub(crate) fn findings(
    request: &AdmissionRequest<'_>,
    context: &ReviewContext<'_>,
) -> Vec<Finding> {
    let (catalog, policy) = (context.catalog, context.policy);
    let Some(after) = request.reviewable_object() else {
        return Vec::new();
    };
    let entries = |object: &ReviewObject<'_>| {
        operator::read(object.spec.additional_networks.unwrap_or_default())
    };
    let findings = |entries: &[_]| judge_operator(entries, catalog, policy);
    let new = entries(after);
    let Some(old) = request.old_object.as_deref().map(entries) else {
        return findings(&new);
    };
    let mut found = subtract_baseline(findings(&new), &findings(&old));
    if !policy.may_change_used_networks(&request.user_info.username) {
        found.extend(judge_additional_use(&old, &new, catalog, policy));
    }
    found
}
