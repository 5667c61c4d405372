//! `POST /mutate`: injects addresses into pods and Bindings.
//!
//! # Expected flow
//! Addresses are injected when a pod is created or when it is bound to a node, as the setting
//! `injection` says. For each attachment to a network with a pool, the index plans an assignment;
//! the records are written, and the response carries a patch: the annotation in the JSON format
//! with `ips` and `mac`, and the original text in an annotation of its own. At binding the Binding
//! is patched; the API server merges its annotations into the pod's.
//!
//! # Guarantees
//! - All attachments of a pod are served, or none.
//! - A repeated request of a pod gets the same addresses, and writes nothing again.
//! - A dry run records nothing, and shows what would be allocated now.
//! - nadmit's own annotations on a new pod stay only if the ledger knows them: copied or forged
//!   ones are removed.

mod allocate;
mod desired;
mod patch;
mod pod_update;
mod requester;

use std::{collections::HashMap, sync::Arc};

pub(super) use self::{
    allocate::{AllocationRequest, annotations_too_long},
    desired::{DesiredAnnotations, OriginalAnnotations},
    patch::{annotation_bytes, patch},
};
use self::{pod_update::pod_update, requester::ResolvedRequester};
use super::{
    binding,
    context::ReviewContext,
    decide::{Decision, non_static_object, reviewable},
    migration_guard,
    object::ReviewObject,
    pod::subject_under_review,
    response::AdmissionResponse,
    review::{AdmissionRequest, Operation},
};
use nadmit_allocation::{
    Address, AllocationError,
    index::{AttachmentRequest, MacRequest, Rejection},
};
use nadmit_rules::{
    Finding, Injection, Level, PodSubject,
    allocation::{AllocationSubject, PoolRequest, attachment_requests, can_be_served},
    judge::{judge_allocation, judge_pod},
};

/// The maximum number of retained addresses named in a denial.
const MAX_RETAINED_NAMED: usize = 5;

/// Decides which addresses to inject into the object under review.
pub(super) fn decide(request: &AdmissionRequest<'_>, context: &ReviewContext<'_>) -> Decision {
    if binding::is_binding(request) {
        return binding::mutate(request, context);
    }
    let pod = (&*request.resource.group, &*request.resource.resource) == ("", "pods");
    let whole = request
        .subresource
        .as_deref()
        .unwrap_or_default()
        .is_empty();
    let decided = match request.operation {
        _ if !pod || !whole => None,
        Operation::Create => reviewable(request).map(|pod| pod_create(request, pod, context)),
        Operation::Update => {
            non_static_object(request).map(|pod| pod_update(request, pod, context))
        }
        Operation::Delete | Operation::Connect => None,
    };
    decided.unwrap_or_else(|| Decision::Respond(AdmissionResponse::allow(request)))
}

/// Returns true if a new pod gets its addresses at binding instead of at creation.
pub(super) fn injects_at_binding(
    request: &AdmissionRequest<'_>,
    pod: &ReviewObject<'_>,
    context: &ReviewContext<'_>,
) -> bool {
    injection(request, context) == Injection::Bind && pod.spec.node_name.is_none()
}

/// Returns the injection setting that applies to the pod under review.
fn injection(request: &AdmissionRequest<'_>, context: &ReviewContext<'_>) -> Injection {
    let namespace = request.namespace.as_deref().unwrap_or_default();
    context.policy.injection_in(namespace)
}

/// Decides about a new pod.
fn pod_create(
    request: &AdmissionRequest<'_>,
    pod: &ReviewObject<'_>,
    context: &ReviewContext<'_>,
) -> Decision {
    let current = &pod.metadata.annotations;
    let subject = subject_under_review(request, pod, context.policy, context.catalog);
    let mut attachments = attachment_requests(&subject);
    attachments.retain(|one| is_due(request, pod, &one.request, context));
    let has_nothing = attachments.is_empty() || !can_be_served(&subject);
    if has_nothing {
        let response = AdmissionResponse::allow(request);
        return Decision::Respond(
            response.with_patch(patch(current, &DesiredAnnotations::default())),
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
        let mut index = context.allocations.lock();
        index.sync(context.catalog.pool_config());
        ResolvedRequester::resolve(request, pod, &requests, &index, context.random)
    };
    let Some(resolved) = resolved else {
        return Decision::Respond(AdmissionResponse::allow(request));
    };
    let original = if resolved.is_known {
        OriginalAnnotations {
            networks: current.requested_networks.as_deref(),
            default_network: current.requested_default_network.as_deref(),
        }
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

/// Returns true if an attachment of a new pod gets its addresses at creation.
///
/// Attachments that name an address do, whatever the setting says: the address is allocated, or the
/// pod is denied. Left to the binding, a pod that is bound while the webhook is away would start
/// with the address that it names, even if another pod holds it: the webhook for Bindings fails open,
/// that for pods does not.
pub(super) fn is_due(
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
        pool.slicing.is_some() && requested.needs_ips && !requested.names_every_range(pool)
    })
}

/// Returns rejections for attachments to sliced pools of a pod that has no node yet, and whose
/// binding will not be reviewed.
fn lacking_node(
    request: &AdmissionRequest<'_>,
    pod: &ReviewObject<'_>,
    attachments: &[PoolRequest],
    context: &ReviewContext<'_>,
) -> Vec<Rejection> {
    if injection(request, context) != Injection::Create || pod.spec.node_name.is_some() {
        return Vec::new();
    }
    let pools = &context.catalog.pool_config().pools;
    let attachments = attachments.iter().enumerate();
    let rejections = attachments.filter_map(|(position, one)| {
        let pool = pools.get(&one.request.pool)?;
        let is_sliced = pool.slicing.is_some() && one.request.needs_ips;
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

/// Turns rejections into a decision. Those that depend on other objects lead to live reads first.
pub(super) fn reject(
    request: &AdmissionRequest<'_>,
    subject: &PodSubject<'_>,
    attachments: &[PoolRequest],
    rejections: Vec<Rejection>,
    context: &ReviewContext<'_>,
) -> Decision {
    if let Some(slice) = rejections.iter().find_map(|one| one.error.required_slice()) {
        return Decision::ClaimSlice(slice.clone());
    }
    let busy = rejections.iter().any(|one| one.error.is_busy());
    let findings = to_findings(
        subject,
        attachments,
        with_retained_addresses(rejections, context),
    );
    if busy {
        return Decision::Retry(AdmissionResponse::new(request, findings));
    }
    Decision::from_findings(request, findings, context.freshness)
}

/// Adds the addresses that workloads retain without a pod to rejections for a namespace's limit.
fn with_retained_addresses(
    mut rejections: Vec<Rejection>,
    context: &ReviewContext<'_>,
) -> Vec<Rejection> {
    // Once for each pool, because it scans all records.
    let mut of_pools: HashMap<Arc<str>, Vec<Address>> = HashMap::new();
    for one in &mut rejections {
        if let AllocationError::NamespaceLimit {
            namespace,
            pool,
            retained,
            ..
        } = &mut one.error
        {
            let addresses = of_pools.entry(Arc::clone(pool));
            let addresses =
                addresses.or_insert_with(|| retained_addresses(namespace, pool, context));
            retained.clone_from(addresses);
        }
    }
    rejections
}

/// Returns the lowest addresses of a pool that a namespace's workloads retain without a pod.
fn retained_addresses(
    namespace: &Arc<str>,
    pool: &str,
    context: &ReviewContext<'_>,
) -> Vec<Address> {
    let index = context.allocations.lock();
    let records = index.recorded().map(|(record, _)| record);
    let retained = records.filter(|record| {
        *record.pool == *pool
            && record.holder.namespace() == namespace
            && context.catalog.is_retained(record)
    });
    let mut addresses: Vec<Address> = retained.map(|record| record.address).collect();
    addresses.sort_unstable();
    addresses.truncate(MAX_RETAINED_NAMED);
    addresses
}

/// Returns findings for rejected attachments.
pub(super) fn to_findings(
    subject: &PodSubject<'_>,
    attachments: &[PoolRequest],
    rejections: Vec<Rejection>,
) -> Vec<Finding> {
    let rejections: Vec<_> = rejections
        .into_iter()
        .filter_map(|one| Some((attachments.get(one.request)?.attachment, one.error)))
        .collect();
    judge_allocation(&AllocationSubject {
        pod: subject,
        errors: &rejections,
    })
}
