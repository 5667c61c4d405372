//! `POST /mutate` of Bindings: a pod is being bound to a node. The request is a CREATE of `pods/binding`,
//! or of the older `bindings`.
//!
//! At this point the pod's name, UID and node are known, no allocation has to expire, and a denial
//! makes the scheduler back off: the pod stays Pending, with the reason in its events. The API
//! server merges a Binding's annotations into the pod's, replacing those with the same key; so the
//! annotations that a Binding brings are checked, too.
//!
//! | found | response |
//! |---|---|
//! | no such pod, another UID, already bound, being deleted | allowed: the API server rejects it, or there is nothing to do |
//! | host network, mirror pod, no network with a pool | allowed |
//! | live reads failed, or the pool is not ready | rejected with a retryable status |
//! | pool exhausted | read live, then denied with numbers |
//! | otherwise | recorded, and injected into the Binding |

use crate::{
    allocate::{AllocationRequest, InjectedPod, Launch},
    annotations::OriginalAnnotations,
    binding_target::{BindingTarget, node_name, resolve_target},
    context::ReviewContext,
    decision::Decision,
    pod::{requester_in_catalog, subject_in_catalog},
    response::AdmissionResponse,
    review::AdmissionRequest,
};
use nadmit_catalog::LiveRead;
use nadmit_rules::{Injection, PodSubject, subject::Resolution};

/// Decides about a Binding.
pub(crate) fn decide(request: &AdmissionRequest<'_>, context: &ReviewContext<'_>) -> Decision {
    let allow = || Decision::Respond(AdmissionResponse::allow(request));
    let Some(binding) = request.object.as_deref() else {
        return allow();
    };
    if context.policy.injection_in(request.namespace()) != Injection::Bind {
        return allow();
    }
    let pod = match resolve_target(request, binding, context) {
        BindingTarget::Pod(pod) => pod,
        BindingTarget::Nothing => return allow(),
        BindingTarget::NeedsRead(live_read) => return Decision::VerifyLive(vec![live_read]),
    };
    let subject = subject_in_catalog(pod, context);
    if let Some(live_read) = unresolved_network(&subject, context) {
        return Decision::VerifyLive(vec![live_read]);
    }
    let Ok(allocation) = AllocationRequest::eligible(&subject) else {
        return allow();
    };
    let denied = allocation.authority_findings();
    if !denied.is_empty() {
        return Decision::from_findings(request, denied, context.freshness);
    }
    let injected = InjectedPod {
        requester: requester_in_catalog(pod, node_name(binding)),
        launch: Launch::New(pod.migration.as_deref()),
        original: OriginalAnnotations::of_pod(pod),
        token: None,
        current: &binding.metadata.annotations,
    };
    allocation.inject(injected, request, context)
}

/// Returns the live read of a network that the pod names and the catalog lacks: it may be new, and
/// may have a pool.
fn unresolved_network(subject: &PodSubject<'_>, context: &ReviewContext<'_>) -> Option<LiveRead> {
    let mut live_reads = subject.attachments().filter_map(|attachment| {
        let missing = matches!(attachment.resolution, Resolution::Missing);
        let name = attachment.selection.network_name().filter(|_| missing)?;
        Some(LiveRead::Network {
            namespace: attachment.namespace().into(),
            name: name.into(),
        })
    });
    live_reads.find(|live_read| !context.freshness.covers(live_read))
}
