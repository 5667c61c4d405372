//! The moment at which an attachment gets its addresses: at the pod's creation or at its binding.

use crate::{context::ReviewContext, object::ReviewObject, review::AdmissionRequest};
use nadmit_allocation::{
    AllocationError,
    index::{AttachmentRequest, MacRequest, Rejection},
};
use nadmit_rules::Injection;

/// Returns true if a new pod gets its addresses at binding instead of at creation.
pub(crate) fn injects_at_binding(
    request: &AdmissionRequest<'_>,
    pod: &ReviewObject<'_>,
    context: &ReviewContext<'_>,
) -> bool {
    injection(request, context) == Injection::Bind && pod.spec.node_name.is_none()
}

/// Returns the injection setting that applies to the pod under review.
fn injection(request: &AdmissionRequest<'_>, context: &ReviewContext<'_>) -> Injection {
    context.policy.injection_in(request.namespace())
}

/// Returns true if an attachment of a new pod gets its addresses at creation.
///
/// Attachments that name an address do, whatever the setting says: the address is allocated, or the
/// pod is denied. Left to the binding, a pod that is bound while the webhook is away would start
/// with the address that it names, even if another pod holds it: the webhook for Bindings fails open,
/// that for pods does not.
pub(crate) fn is_due(
    request: &AdmissionRequest<'_>,
    pod: &ReviewObject<'_>,
    requested: &AttachmentRequest,
    context: &ReviewContext<'_>,
) -> bool {
    match injection(request, context) {
        // Addresses that users write are recorded; nothing is added.
        Injection::Off => names_address(requested),
        Injection::Bind if pod.spec.node_name.is_none() => {
            names_address(requested) && !needs_node(requested, context)
        }
        Injection::Bind | Injection::Create => true,
    }
}

/// Returns true if an attachment needs an address that depends on the pod's node.
fn needs_node(requested: &AttachmentRequest, context: &ReviewContext<'_>) -> bool {
    let pool = context.catalog.pool_config().pool(&requested.pool);
    pool.is_some_and(|pool| {
        pool.assigns_by_node() && requested.needs_ips && !requested.names_every_range(pool)
    })
}

/// Returns rejections for attachments to sliced pools of a pod that has no node yet, and whose
/// binding will not be reviewed.
pub(crate) fn lacking_node(
    request: &AdmissionRequest<'_>,
    pod: &ReviewObject<'_>,
    requests: &[AttachmentRequest],
    context: &ReviewContext<'_>,
) -> Vec<Rejection> {
    if injection(request, context) != Injection::Create || pod.spec.node_name.is_some() {
        return Vec::new();
    }
    let pools = &context.catalog.pool_config().pools;
    let requests = requests.iter().enumerate();
    let rejections = requests.filter_map(|(position, requested)| {
        let pool = pools.get(&requested.pool)?;
        let is_sliced = pool.assigns_by_node() && requested.needs_ips;
        is_sliced.then(|| Rejection {
            request: position,
            error: AllocationError::NodeUnknown(pool.name.clone()),
        })
    });
    rejections.collect()
}

/// Returns true if an attachment names an address or a MAC.
fn names_address(requested: &AttachmentRequest) -> bool {
    !requested.ips.is_empty() || matches!(requested.mac, MacRequest::Exact(_))
}
