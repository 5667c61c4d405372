//! Reviews of networks (`NetworkAttachmentDefinitions`).

use super::inline_pool;
use crate::{context::ReviewContext, object::ReviewObject, review::AdmissionRequest};
use nadmit_rules::{
    Finding, NetworkSubject, NetworkUseSubject,
    judge::{judge_network, judge_network_use},
    network_subject::RawNetwork,
    new_findings::subtract_baseline,
};

/// Returns the findings on a network's configuration; for an update only the new ones.
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
        let written = RawNetwork {
            namespace: request.namespace(),
            name: object.metadata.name.as_deref().unwrap_or_default(),
            config: object.spec.config.as_deref(),
            non_string_config: object.spec.non_string_config,
            resource_name: object.metadata.annotations.resource_name.as_deref(),
            address_pool: object.metadata.annotations.address_pool.as_deref(),
            ..RawNetwork::default()
        };
        let subject = NetworkSubject::new(written, context.policy, context.catalog);
        judge_network(&subject, max_level)
    };
    match request.old_object.as_deref() {
        None => findings(after),
        Some(before)
            if before.spec == after.spec
                && before.metadata.annotations.address_pool
                    == after.metadata.annotations.address_pool =>
        {
            Vec::new()
        }
        Some(before) => {
            let mut found = subtract_baseline(findings(after), &findings(before));
            found.extend(inline_pool::change_findings(
                request, before, after, context,
            ));
            let after = Some(after);
            found.extend(network_use(request, before, after, context));
            found
        }
    }
}

/// Returns the findings on a network's deletion. A deletion that is already in progress is not
/// checked.
pub(crate) fn delete_findings(
    request: &AdmissionRequest<'_>,
    context: &ReviewContext<'_>,
) -> Vec<Finding> {
    let old = request.old_object.as_deref();
    match old.filter(|old| !old.is_terminating()) {
        Some(old) => network_use(request, old, None, context),
        None => Vec::new(),
    }
}

/// Returns the findings on a change of a network that pods use, or without an `after` on its
/// deletion.
fn network_use(
    request: &AdmissionRequest<'_>,
    before: &ReviewObject<'_>,
    after: Option<&ReviewObject<'_>>,
    context: &ReviewContext<'_>,
) -> Vec<Finding> {
    let (namespace, catalog, policy) = (request.namespace(), context.catalog, context.policy);
    let known = catalog.namespace(namespace);
    let terminating = known.is_some_and(|namespace| namespace.labels.terminating);
    if terminating || policy.may_change_used_networks(&request.user_info.username) {
        return Vec::new();
    }
    let Some(max_level) = context.max_level(namespace) else {
        return Vec::new();
    };
    let name = before.metadata.name.as_deref().unwrap_or_default();
    let subject = NetworkUseSubject {
        namespace,
        name,
        field: if after.is_none() {
            "metadata.name"
        } else {
            "spec.config"
        }
        .to_owned(),
        before: before.spec.config.as_deref(),
        after: after.and_then(|after| after.spec.config.as_deref()),
        users: catalog.users(namespace, name, &policy.multus_namespace),
    };
    judge_network_use(&subject, after.is_none(), policy, max_level)
}
