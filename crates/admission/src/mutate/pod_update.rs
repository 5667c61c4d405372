//! `POST /mutate` of a pod's update.

use crate::{
    allocate::{AllocationRequest, InjectedPod, Launch},
    annotations::{DesiredAnnotations, OriginalAnnotations},
    context::ReviewContext,
    decision::Decision,
    migration_guard,
    object::ReviewObject,
    pod::{requester_under_review, subject_under_review},
    response::AdmissionResponse,
    review::AdmissionRequest,
};
use nadmit_cni::{Annotation, selection::normalized::NormalizedAnnotation};
use nadmit_rules::{Injection, subject::AnnotationOrigin};

/// Decides about a pod's update. Injected addresses are restored when the pod's manifest is applied
/// again, and nadmit's own annotations stay as they are. Where attachments may change, a
/// hot-plugged network gets addresses, remaining networks keep theirs, and those of unplugged
/// networks are released later.
pub(crate) fn decide(request: &AdmissionRequest<'_>, context: &ReviewContext<'_>) -> Decision {
    let allow = || Decision::Respond(AdmissionResponse::allow(request));
    let (Some(pod), Some(before)) = (request.non_static_object(), request.old_object.as_deref())
    else {
        return allow();
    };
    let user = &*request.user_info.username;
    if context.policy.own_users.contains(user) {
        return allow();
    }
    let (old, new) = (&before.metadata.annotations, &pod.metadata.annotations);
    let namespace = request.namespace();
    let owned = |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().map(str::to_owned);
    let desired = DesiredAnnotations {
        networks: restore_injected(
            &AnnotationOrigin::networks(namespace),
            [&old.requested_networks, &old.networks, &new.networks].map(|t| t.as_deref()),
        ),
        default_network: restore_injected(
            &AnnotationOrigin::default_network(context.policy),
            [
                &old.requested_default_network,
                &old.default_network,
                &new.default_network,
            ]
            .map(|t| t.as_deref()),
        ),
        requested_networks: owned(&old.requested_networks),
        requested_default_network: owned(&old.requested_default_network),
        token: owned(&old.holder_token),
    };
    if desired.networks.is_none() && old.networks != new.networks {
        let hot_plugged = hot_plugged(request, [before, pod], context);
        if let Some(decision) = hot_plugged {
            return decision;
        }
    }
    Decision::Respond(AdmissionResponse::allow(request).with_patch(desired.to_json_patch(new)))
}

/// Allocates addresses for the networks of a running pod, as for those of a new pod. Returns `None`
/// if its networks may not change, or none has a pool.
fn hot_plugged(
    request: &AdmissionRequest<'_>,
    [before, pod]: [&ReviewObject<'_>; 2],
    context: &ReviewContext<'_>,
) -> Option<Decision> {
    let namespace = request.namespace();
    let policy = context.policy;
    let labels = context.catalog.namespace(namespace).map(|n| n.labels);
    let mutable = labels.unwrap_or_default().mutable_attachments || !policy.immutable_attachments;
    let launcher = before.metadata.labels.virt_launcher;
    let may = mutable || policy.may_change_attachments(&request.user_info.username, launcher);
    // An unbound pod gets its addresses at binding.
    let bound = pod.spec.node_name.is_some();
    if !may || !bound || policy.injection_in(namespace) == Injection::Off {
        return None;
    }
    let subject = subject_under_review(request, pod, context);
    let allocation = AllocationRequest::eligible(&subject).ok()?;
    let token = before.metadata.annotations.holder_token.as_deref();
    let requester = requester_under_review(request, pod, token)?;
    let migration = migration_guard::migration_of(before);
    let launch = match migration_guard::was_admitted(request, before, &requester, context) {
        true => Launch::Admitted,
        false => Launch::New(migration.as_ref()),
    };
    let injected = InjectedPod {
        requester,
        launch,
        original: OriginalAnnotations::default(),
        token: token.map(str::to_owned),
        current: &pod.metadata.annotations,
    };
    Some(allocation.inject(injected, request, context))
}

/// Returns the injected text, if the new one means the same as the text before injection.
fn restore_injected(
    origin: &AnnotationOrigin<'_>,
    [requested, injected, new]: [Option<&str>; 3],
) -> Option<String> {
    let (requested, injected, new) = (requested?, injected?, new?);
    if new == injected {
        return None;
    }
    let meaning = |text: &str| {
        let annotation = Annotation::parse(text);
        NormalizedAnnotation::of(&annotation, origin.default_namespace, |selection| {
            origin.interface(selection).into_owned()
        })
    };
    (meaning(requested) == meaning(new)).then(|| injected.to_owned())
}
