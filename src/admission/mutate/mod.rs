//! Putting addresses in: what `POST /mutate` does.
//!
//! # Expected flow
//! A pod is created, or bound to a node: which of the two moments counts, the setting `injection`
//! says. For each attachment to a network that a pool serves, the index plans what it is given; the
//! records are written, and the answer carries a patch: the annotation in the JSON format with `ips`
//! and `mac`, and the text as it was written beside it. At binding the patch is the Binding's, whose
//! annotations the API server merges into the pod.
//!
//! # Guarantees
//! - All attachments of a pod are served, or none.
//! - The same pod asked about again is given the same, and nothing is written for it again.
//! - A dry run records nothing, and shows what would be given now.
//! - nadmit's own annotations on a new pod stay only if the ledger knows them: copied or forged ones
//!   are taken off.

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
use crate::{
    allocation::{
        Address, AllocationError,
        index::{AttachmentRequest, MacRequest, Rejection},
    },
    rules::{
        Finding, Injection, Level, PodSubject,
        allocation::{AllocationSubject, PoolRequest, attachment_requests, can_be_served},
        judge::{judge_allocation, judge_pod},
    },
};

/// The most retained addresses that a refusal names.
const MAX_RETAINED_NAMED: usize = 5;

/// Decides what to put into an object.
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

/// Whether a new pod is given its addresses when it is bound to a node, not now.
pub(super) fn injects_at_binding(
    request: &AdmissionRequest<'_>,
    pod: &ReviewObject<'_>,
    context: &ReviewContext<'_>,
) -> bool {
    injection(request, context) == Injection::Bind && pod.spec.node_name.is_none()
}

/// When addresses are put into the pod under review.
fn injection(request: &AdmissionRequest<'_>, context: &ReviewContext<'_>) -> Injection {
    let namespace = request.namespace.as_deref().unwrap_or_default();
    context.policy.injection_in(namespace)
}

/// A pod that is created.
fn pod_create(
    request: &AdmissionRequest<'_>,
    pod: &ReviewObject<'_>,
    context: &ReviewContext<'_>,
) -> Decision {
    let current = &pod.metadata.annotations;
    let subject = subject_under_review(request, pod, context.policy, context.catalog);
    let mut attachments = attachment_requests(&subject);
    attachments.retain(|one| is_due(request, pod, &one.request, context));
    let nothing = attachments.is_empty() || !can_be_served(&subject);
    if nothing {
        let response = AdmissionResponse::allow(request);
        return Decision::Respond(
            response.with_patch(patch(current, &DesiredAnnotations::default())),
        );
    }
    // Where all other rules are silent, authority is not.
    let denied = judge_pod(&subject, Level::Off);
    if !denied.is_empty() {
        return Decision::from_findings(request, denied, context.freshness);
    }
    let nowhere = lacking_node(request, pod, &attachments, context);
    if !nowhere.is_empty() {
        return reject(request, &subject, &attachments, nowhere, context);
    }
    let asks: Vec<AttachmentRequest> = attachments.iter().map(|one| one.request.clone()).collect();
    let resolved = {
        let mut index = context.allocations.lock();
        index.sync(context.catalog.pool_config());
        ResolvedRequester::resolve(request, pod, &asks, &index, context.random)
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

/// Whether an attachment of a new pod is given its addresses now.
///
/// Those that name something are, whatever the setting says: it is taken, or the pod is refused. Were
/// that left to the moment of binding, a pod that is bound while no webhook is there would start with
/// what it names, whoever has it. The webhook for bindings lets such a pod pass; that for new pods
/// does not.
pub(super) fn is_due(
    request: &AdmissionRequest<'_>,
    pod: &ReviewObject<'_>,
    ask: &AttachmentRequest,
    context: &ReviewContext<'_>,
) -> bool {
    match injection(request, context) {
        // What people write is recorded; nothing is added to what they leave out.
        Injection::Off => names_address(ask),
        Injection::Bind if pod.spec.node_name.is_none() => {
            names_address(ask) && !needs_node(ask, context)
        }
        Injection::Bind | Injection::Create => true,
    }
}

/// Whether only a pod's node tells from where something is given that an attachment does not name.
fn needs_node(ask: &AttachmentRequest, context: &ReviewContext<'_>) -> bool {
    let pool = context.catalog.pool_config().pool(&ask.pool);
    pool.is_some_and(|pool| pool.slicing.is_some() && ask.needs_ips && !ask.names_every_range(pool))
}

/// The attachments to pools of slices of a pod that has no node, and will not be asked for again when it
/// has one.
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
    let refused = attachments.filter_map(|(place, one)| {
        let pool = pools.get(&one.request.pool)?;
        let cut = pool.slicing.is_some() && one.request.needs_ips;
        cut.then(|| Rejection {
            request: place,
            error: AllocationError::NodeUnknown(pool.name.clone()),
        })
    });
    refused.collect()
}

/// Whether an attachment brings an address or a MAC of its own.
fn names_address(ask: &AttachmentRequest) -> bool {
    !ask.ips.is_empty() || matches!(ask.mac, MacRequest::Exact(_))
}

/// Says why nothing is given; what rests on others is looked up first.
pub(super) fn reject(
    request: &AdmissionRequest<'_>,
    subject: &PodSubject<'_>,
    attachments: &[PoolRequest],
    refused: Vec<Rejection>,
    context: &ReviewContext<'_>,
) -> Decision {
    if let Some(slice) = refused.iter().find_map(|one| one.error.required_slice()) {
        return Decision::ClaimSlice(slice.clone());
    }
    let busy = refused.iter().any(|one| one.error.is_busy());
    let findings = to_findings(
        subject,
        attachments,
        with_retained_addresses(refused, context),
    );
    if busy {
        return Decision::Retry(AdmissionResponse::new(request, findings));
    }
    Decision::from_findings(request, findings, context.freshness)
}

/// Names what workloads keep without a pod where a namespace has reached its limit.
fn with_retained_addresses(
    mut refused: Vec<Rejection>,
    context: &ReviewContext<'_>,
) -> Vec<Rejection> {
    // Of each pool once, for all records are looked at.
    let mut of_pools: HashMap<Arc<str>, Vec<Address>> = HashMap::new();
    for one in &mut refused {
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
    refused
}

/// The first addresses of a pool that workloads of a namespace keep without a pod.
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

/// What is refused, as findings.
pub(super) fn to_findings(
    subject: &PodSubject<'_>,
    attachments: &[PoolRequest],
    refused: Vec<Rejection>,
) -> Vec<Finding> {
    let refused: Vec<_> = refused
        .into_iter()
        .filter_map(|one| Some((attachments.get(one.request)?.attachment, one.error)))
        .collect();
    judge_allocation(&AllocationSubject {
        pod: subject,
        errors: &refused,
    })
}
