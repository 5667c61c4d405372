//! `POST /validate` of Bindings: the annotations that a Binding brings are merged into the pod's.

use std::net::IpAddr;

use crate::{
    allocate::{AllocationRequest, Launch},
    annotations::{CurrentAnnotations, DesiredAnnotations, OriginalAnnotations},
    binding_target::{BindingTarget, node_name, resolve_target},
    context::ReviewContext,
    decision::Decision,
    migration_guard::LaunchAccess,
    object::{ReviewAnnotations, ReviewObject},
    pod::{requester_in_catalog, subject_in_catalog},
    response::AdmissionResponse,
    review::AdmissionRequest,
};
use nadmit_allocation::{
    Address, Index,
    index::{Assignment, AttachmentRequest, MacRequest, Requester},
};
use nadmit_catalog::{LiveRead, Pod};
use nadmit_rules::{
    BindingAnnotation, BindingSubject, PodSubject,
    allocation::{PoolRequest, attachment_requests},
    judge::judge_binding,
};

/// Decides about a Binding: its network annotations have to be exactly those that
/// nadmit holds for the pod.
pub(crate) fn decide(request: &AdmissionRequest<'_>, context: &ReviewContext<'_>) -> Decision {
    let allow = || Decision::Respond(AdmissionResponse::allow(request));
    let binding = request.object.as_deref();
    let Some(binding) = binding
        .filter(|binding| CurrentAnnotations::of_object(&binding.metadata.annotations).any())
    else {
        return allow();
    };
    let pod = match resolve_target(request, binding, context) {
        BindingTarget::Pod(pod) => Some(pod),
        // The pod is bound or gone: the API server rejects the Binding and merges nothing.
        BindingTarget::Nothing => return allow(),
        BindingTarget::NeedsRead(live_read) => return Decision::VerifyLive(vec![live_read]),
    };
    let node = node_name(binding);
    let proposed = &binding.metadata.annotations;
    let expected = match pod.map(|pod| held_annotations(pod, node, None, context)) {
        Some(Ok(held)) => held,
        Some(Err(HoldingsUnknown::NeedsRead(live_reads))) => {
            return Decision::VerifyLive(live_reads);
        }
        Some(Err(HoldingsUnknown::Pending)) => {
            let reason =
                "nadmit is recording the addresses of the pod; bind the pod again".to_owned();
            return Decision::Retry(AdmissionResponse::unavailable(request, reason));
        }
        None => DesiredAnnotations::default(),
    };
    let compared = compare_annotations(proposed, &expected);
    if compared.iter().all(BindingAnnotation::matches_record) {
        return allow();
    }
    // Two replicas may each have allocated an address: either may be proposed, the other one is
    // surplus.
    if let Some(Ok(named)) = pod.map(|pod| held_annotations(pod, node, Some(proposed), context))
        && compare_annotations(proposed, &named)
            .iter()
            .all(BindingAnnotation::matches_record)
    {
        return allow();
    }
    let live_reads = required_reads(request, binding, pod, context);
    if !live_reads.is_empty() {
        return Decision::VerifyLive(live_reads);
    }
    let findings = judge_binding(&BindingSubject {
        policy: context.policy,
        annotations: &compared,
    });
    Decision::from_findings(request, findings, context.freshness)
}

/// The reason why a pod's holdings are not known.
enum HoldingsUnknown {
    /// These have to be read live first.
    NeedsRead(Vec<LiveRead>),
    /// This replica has an uncommitted plan for one of the addresses.
    Pending,
}

/// Returns the annotations that result from the pod's holdings. If it holds several addresses of
/// one range, those in `proposed` are chosen.
fn held_annotations(
    pod: &Pod,
    node: Option<&str>,
    proposed: Option<&ReviewAnnotations<'_>>,
    context: &ReviewContext<'_>,
) -> Result<DesiredAnnotations, HoldingsUnknown> {
    let subject = subject_in_catalog(pod, context);
    let Ok(mut allocation) = AllocationRequest::eligible(&subject) else {
        return Ok(DesiredAnnotations::default());
    };
    if let Some(proposed) = proposed {
        let proposed = subject_when_bound(&pod.namespace, Some(pod), proposed, context);
        let proposed = attachment_requests(&proposed);
        allocation = allocation.with_ips(|requested| proposed_ips(&proposed, requested));
    }
    let requester = requester_in_catalog(pod, node);
    let launch = Launch::New(pod.migration.as_deref());
    match allocation.access(&requester, launch, context) {
        LaunchAccess::Granted => {}
        LaunchAccess::NeedsRead(live_reads) => return Err(HoldingsUnknown::NeedsRead(live_reads)),
        LaunchAccess::Denied(_) => return Ok(DesiredAnnotations::default()),
    }
    let requests = allocation.requests();
    let mut index = context.lock_synced();
    let assignments = index.preview_ignoring_readiness(&requester, requests, context.now);
    if let Err(rejections) = &assignments
        && rejections.iter().any(|one| one.error.is_busy())
    {
        return Err(HoldingsUnknown::Pending);
    }
    let assignments = assignments
        .ok()
        .filter(|assignments| is_recorded(&requester, requests, assignments, &index));
    Ok(
        assignments.map_or_else(DesiredAnnotations::default, |assignments| {
            allocation.desired(OriginalAnnotations::of_pod(pod), &assignments)
        }),
    )
}

/// Returns the rules' view of the pod with a Binding's annotations, which replace its own.
fn subject_when_bound<'s>(
    namespace: &'s str,
    pod: Option<&'s Pod>,
    proposed: &'s ReviewAnnotations<'_>,
    context: &'s ReviewContext<'_>,
) -> PodSubject<'s> {
    let networks = proposed.networks.as_deref();
    let default_network = proposed.default_network.as_deref();
    PodSubject::new(
        namespace,
        false,
        networks.or(pod.and_then(|pod| pod.networks.as_deref())),
        default_network.or(pod.and_then(|pod| pod.default_network.as_deref())),
        context.policy,
        context.catalog,
    )
}

/// Returns the addresses that a Binding's annotations name for an attachment.
fn proposed_ips(proposed: &[PoolRequest], requested: &AttachmentRequest) -> Option<Vec<IpAddr>> {
    let same = |other: &&PoolRequest| {
        other.request.network == requested.network && other.request.interface == requested.interface
    };
    let other = proposed.iter().find(same)?;
    Some(other.request.ips.clone())
}

/// Returns true if all of the assignment is recorded for the requester: addresses from a preview
/// may still be free.
fn is_recorded(
    requester: &Requester,
    requests: &[AttachmentRequest],
    assignments: &[Assignment],
    index: &Index,
) -> bool {
    requests
        .iter()
        .zip(assignments)
        .all(|(requested, assignment)| {
            let held = index.held_by(&requester.holder, &requested.network, &requested.interface);
            let holds = |address: Address| held.iter().any(|one| one.address == address);
            let ips = assignment.ips.iter().all(|(ip, _)| holds(Address::Ip(*ip)));
            let mac = assignment.mac.is_none_or(|mac| {
                holds(Address::Mac(mac)) || held.iter().any(|one| one.mac == Some(mac))
            });
            ips && mac
        })
}

/// Returns each annotation of the Binding, paired with the expected text.
fn compare_annotations<'s>(
    annotations: &'s ReviewAnnotations<'_>,
    held: &'s DesiredAnnotations,
) -> Vec<BindingAnnotation<'s>> {
    CurrentAnnotations::of_object(annotations)
        .compare(held)
        .map(|(key, text, recorded)| BindingAnnotation {
            key,
            text,
            recorded,
        })
        .collect()
}

/// Returns the live reads that a denial needs and that were not made yet: the pod, and the records
/// of the addresses and MACs that it would have, which another replica may just have written.
fn required_reads(
    request: &AdmissionRequest<'_>,
    binding: &ReviewObject<'_>,
    pod: Option<&Pod>,
    context: &ReviewContext<'_>,
) -> Vec<LiveRead> {
    let namespace = request.namespace();
    let subject = subject_when_bound(namespace, pod, &binding.metadata.annotations, context);
    let of_address = |one: &PoolRequest| {
        let pool: Box<str> = (&*one.request.pool).into();
        let mac = match one.request.mac {
            MacRequest::Exact(mac) => Some(Address::Mac(mac)),
            MacRequest::Auto | MacRequest::None => None,
        };
        let ips = one.request.ips.iter().map(|ip| Address::Ip(*ip));
        ips.chain(mac)
            .map(move |address| LiveRead::Allocations {
                pool: pool.clone(),
                address: Some(address),
            })
            .collect::<Vec<_>>()
    };
    let pod = pod.map(|pod| LiveRead::Pod {
        namespace: namespace.into(),
        name: pod.name.clone(),
    });
    let all = attachment_requests(&subject)
        .iter()
        .flat_map(of_address)
        .collect::<Vec<_>>();
    let all = pod.into_iter().chain(all);
    all.filter(|live_read| !context.freshness.covers(live_read))
        .collect()
}
