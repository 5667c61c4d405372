//! The pod and the node that a Binding names.
//!
//! A Binding without a UID is for whichever pod has the name now, which is read live.

use crate::{context::ReviewContext, object::ReviewObject, review::AdmissionRequest};
use nadmit_catalog::{LiveRead, Pod};

/// The pod that a Binding is for.
pub(crate) enum BindingTarget<'c> {
    /// A pod that may be bound.
    Pod(&'c Pod),
    /// No pod, or one that needs nothing.
    Nothing,
    /// The pod has to be read live first.
    NeedsRead(LiveRead),
}

/// Returns the pod that a Binding is for.
pub(crate) fn resolve_target<'c>(
    request: &AdmissionRequest<'_>,
    binding: &ReviewObject<'_>,
    context: &ReviewContext<'c>,
) -> BindingTarget<'c> {
    let (namespace, name) = (request.namespace(), request.pod_name());
    let uid = binding
        .metadata
        .uid
        .as_deref()
        .filter(|uid| !uid.is_empty());
    let live_read = match uid {
        Some(uid) => LiveRead::PodOfUid {
            namespace: namespace.into(),
            name: name.into(),
            uid: uid.into(),
        },
        None => LiveRead::pod(namespace, name),
    };
    let is_verified = context.freshness.covers(&live_read);
    let pod = context.catalog.pod(namespace, name);
    let pod = pod.filter(|pod| uid.is_none_or(|uid| pod.uid.as_deref() == Some(uid)));
    match pod {
        Some(pod) if pod.host_network || pod.mirror => BindingTarget::Nothing,
        // UIDs are never reused, and the annotations of an unbound pod do not change.
        Some(pod) if (is_verified || uid.is_some()) && is_unbound(pod) => BindingTarget::Pod(pod),
        _ if is_verified => BindingTarget::Nothing,
        _ => BindingTarget::NeedsRead(live_read),
    }
}

fn is_unbound(pod: &Pod) -> bool {
    pod.node.is_none() && !pod.terminating
}

/// Returns the name of the node that a Binding targets.
pub(crate) fn node_name<'s>(binding: &'s ReviewObject<'_>) -> Option<&'s str> {
    let target = binding.target.as_ref()?;
    Some(&*target.name).filter(|name| !name.is_empty())
}
