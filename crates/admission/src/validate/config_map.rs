//! Reviews of `ConfigMaps`: the one that configures the network operator of OpenShift.

use serde_json::value::RawValue;

use crate::{context::ReviewContext, object::ReviewObject, review::AdmissionRequest};
use nadmit_rules::{
    Finding, judge::judge_config_map, new_findings::subtract_baseline, operator::ConfigMapSubject,
};

/// Returns the findings on a `ConfigMap`; for an update only the new ones.
pub(crate) fn findings(
    request: &AdmissionRequest<'_>,
    context: &ReviewContext<'_>,
) -> Vec<Finding> {
    let (Some(after), Some(max_level)) = (
        request.reviewable_object(),
        context.max_level(request.namespace()),
    ) else {
        return Vec::new();
    };
    let findings = |object: &ReviewObject<'_>| {
        let subject = ConfigMapSubject {
            name: object.metadata.name.as_deref().unwrap_or_default(),
            data: object.data.map_or("", RawValue::get),
        };
        judge_config_map(&subject, context.policy, max_level)
    };
    match request.old_object.as_deref() {
        None => findings(after),
        Some(before) => subtract_baseline(findings(after), &findings(before)),
    }
}
