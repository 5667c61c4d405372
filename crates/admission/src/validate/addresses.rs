//! `POST /validate` of a pod's addresses: they have to be exactly those recorded for the pod.

use std::collections::HashSet;

use super::unrecorded;
use crate::{
    annotations::{DesiredAnnotations, OriginalAnnotations},
    context::ReviewContext,
    decision::{Decision, PendingCommit},
    injection_time::{injects_at_binding, is_due},
    migration_guard::{self, LaunchAccess, check_access},
    mutate::{annotations_too_long, reject, to_findings},
    object::ReviewObject,
    pod::{requester_under_review, subject_under_review},
    response::AdmissionResponse,
    review::{AdmissionRequest, Operation},
};
use nadmit_allocation::{
    Address, AllocationError, Holder, Index, Pool,
    index::{AttachmentRequest, MacRequest, Rejection, Requester},
};
use nadmit_cni::selection::MAX_ANNOTATIONS_BYTES;
use nadmit_rules::{
    Finding, Level, PodSubject,
    allocation::{PoolRequest, attachment_requests, can_be_served},
};

/// Decides about the addresses and MACs that a pod names, on networks with and without a pool, after
/// its other findings. Returns `None` if they are in order.
pub(super) fn decide(
    request: &AdmissionRequest<'_>,
    pod: &ReviewObject<'_>,
    subject: &PodSubject<'_>,
    context: &ReviewContext<'_>,
) -> Option<Decision> {
    let unrecorded = unrecorded::decide(request, pod, subject, context);
    unrecorded.or_else(|| pooled_addresses(request, pod, subject, context))
}

/// Decides about a pod's addresses on networks with a pool.
fn pooled_addresses(
    request: &AdmissionRequest<'_>,
    pod: &ReviewObject<'_>,
    subject: &PodSubject<'_>,
    context: &ReviewContext<'_>,
) -> Option<Decision> {
    let attachments = attachment_requests(subject);
    if attachments.is_empty() || !can_be_served(subject) {
        return None;
    }
    let token = pod.metadata.annotations.holder_token.as_deref();
    let requester = requester_under_review(request, pod, token)?;
    let later = request.operation == Operation::Create && injects_at_binding(request, pod, context);
    let dry = request.dry_run == Some(true);
    let due = |one: &PoolRequest| !dry && (!later || is_due(request, pod, &one.request, context));
    let due: Vec<PoolRequest> = attachments.iter().filter(|one| due(one)).cloned().collect();
    if !due.is_empty() {
        let second_launcher = second_launcher(request, pod, subject, &due, &requester, context);
        if second_launcher.is_some() {
            return second_launcher;
        }
        let decided = validate_recorded(request, subject, &due, &requester, context);
        if decided.is_some() || !later {
            return decided;
        }
    }
    let requests: Vec<AttachmentRequest> =
        attachments.iter().map(|one| one.request.clone()).collect();
    let preview = {
        let mut index = context.lock_synced();
        index.preview(&requester, &requests, context.now)
    };
    let rejections = match preview {
        Ok(assignments) => {
            // The annotations injected at binding have to fit, too.
            let desired = DesiredAnnotations::new(
                subject,
                OriginalAnnotations::default(),
                &attachments,
                &assignments,
            );
            let bytes = desired.bytes_after(&pod.metadata.annotations);
            let rejections =
                vec![(bytes > MAX_ANNOTATIONS_BYTES).then(|| annotations_too_long(bytes))?];
            return Some(reject(request, subject, &attachments, rejections, context));
        }
        Err(rejections) => rejections,
    };
    match later {
        true => warn_at_bind(request, subject, &attachments, rejections, context),
        false => Some(reject(request, subject, &attachments, rejections, context)),
    }
}

/// Decides about a virtual machine's second launcher pod, which may share the addresses of the
/// first only during a migration.
fn second_launcher(
    request: &AdmissionRequest<'_>,
    pod: &ReviewObject<'_>,
    subject: &PodSubject<'_>,
    due: &[PoolRequest],
    requester: &Requester,
    context: &ReviewContext<'_>,
) -> Option<Decision> {
    let before = request.old_object.as_ref();
    let before = before.filter(|_| request.operation == Operation::Update);
    if before
        .is_some_and(|before| migration_guard::was_admitted(request, before, requester, context))
    {
        return None;
    }
    let migration = migration_guard::migration_of(before.unwrap_or(pod));
    let requests: Vec<AttachmentRequest> = due.iter().map(|one| one.request.clone()).collect();
    match check_access(requester, migration.as_ref(), &requests, context) {
        LaunchAccess::Granted => None,
        LaunchAccess::NeedsRead(live_reads) => Some(Decision::VerifyLive(live_reads)),
        LaunchAccess::Denied(rejection) => {
            Some(reject(request, subject, due, vec![rejection], context))
        }
    }
}

/// Decides about attachments whose addresses must be recorded already.
fn validate_recorded(
    request: &AdmissionRequest<'_>,
    subject: &PodSubject<'_>,
    attachments: &[PoolRequest],
    requester: &Requester,
    context: &ReviewContext<'_>,
) -> Option<Decision> {
    let mut index = context.lock_synced();
    let requests: Vec<AttachmentRequest> =
        attachments.iter().map(|one| one.request.clone()).collect();
    let old = request
        .old_object
        .as_ref()
        .filter(|_| request.operation == Operation::Update);
    let known = old.map(|old| preexisting(request, old, requester, &index, context));
    // An attachment added by an update gets nothing later.
    let later = request.operation == Operation::Create;
    let mut rejections = unmet(&requests, requester, &index, later);
    rejections.retain(|one| {
        let known = known.as_ref();
        known.is_none_or(|known| !known.contains(&one.error.to_string()))
    });
    if !rejections.is_empty() {
        drop(index);
        return Some(reject(request, subject, attachments, rejections, context));
    }
    // Without injected addresses there is nothing to claim.
    let has_address = |requested: &AttachmentRequest| {
        !requested.ips.is_empty() || matches!(requested.mac, MacRequest::Exact(_))
    };
    // A machine's record names the pod that uses it, so that no other pod can take it over.
    let claims = matches!(
        requester.holder,
        Holder::Unnamed { .. } | Holder::VirtualMachine { .. }
    );
    if !claims || request.operation != Operation::Create || !requests.iter().all(has_address) {
        return None;
    }
    match claim_records(request, requester, &requests, &mut index, context) {
        Ok(plan) => plan.map(Decision::Commit),
        Err(rejections) => {
            drop(index);
            Some(reject(request, subject, attachments, rejections, context))
        }
    }
}

/// Reports what will be rejected at binding. Exhaustion is only a warning, because addresses may be
/// freed before the pod is bound. Conditions certain to clear until then are not reported.
fn warn_at_bind(
    request: &AdmissionRequest<'_>,
    subject: &PodSubject<'_>,
    attachments: &[PoolRequest],
    rejections: Vec<Rejection>,
    context: &ReviewContext<'_>,
) -> Option<Decision> {
    let (exhausted, lasting): (Vec<_>, Vec<_>) = rejections
        .into_iter()
        .filter(|one| one.error.is_exhaustion() || !one.error.may_clear_before_binding())
        .partition(|one| one.error.may_clear_before_binding());
    if !lasting.is_empty() {
        return Some(reject(request, subject, attachments, lasting, context));
    }
    let findings = to_findings(subject, attachments, exhausted);
    let warnings: Vec<Finding> = findings
        .into_iter()
        .map(|finding| Finding {
            level: Level::Warn,
            ..finding
        })
        .collect();
    (!warnings.is_empty()).then(|| Decision::from_findings(request, warnings, context.freshness))
}

/// Claims a token's or a machine's records for this pod, so that no other can use them. Returns
/// `None` if they are claimed already.
fn claim_records(
    request: &AdmissionRequest<'_>,
    requester: &Requester,
    requests: &[AttachmentRequest],
    index: &mut Index,
    context: &ReviewContext<'_>,
) -> Result<Option<PendingCommit>, Vec<Rejection>> {
    let planned = index.plan(requester, requests, context.now)?;
    if planned.writes.is_empty() {
        index.commit(planned.id, &[]);
        return Ok(None);
    }
    Ok(Some(PendingCommit {
        writes: planned.writes,
        plan_id: planned.id,
        borrowed: planned.borrowed,
        response: AdmissionResponse::allow(request),
    }))
}

/// Returns the problems that existed before the update; they are not reported again.
fn preexisting(
    request: &AdmissionRequest<'_>,
    old: &ReviewObject<'_>,
    requester: &Requester,
    index: &Index,
    context: &ReviewContext<'_>,
) -> HashSet<String> {
    let subject = subject_under_review(request, old, context);
    let requests: Vec<AttachmentRequest> = attachment_requests(&subject)
        .into_iter()
        .map(|one| one.request)
        .collect();
    let unmet = unmet(&requests, requester, index, false);
    unmet.into_iter().map(|one| one.error.to_string()).collect()
}

/// Returns the addresses that attachments name without a record, and those that they lack. With
/// `later`, attachments without any address are skipped: they may still get all of them at binding.
fn unmet(
    requests: &[AttachmentRequest],
    requester: &Requester,
    index: &Index,
    later: bool,
) -> Vec<Rejection> {
    let mut rejections = Vec::new();
    for (position, requested) in requests.iter().enumerate() {
        let Some(pool) = index.pool_config().pool(&requested.pool) else {
            // A separate rule reports unknown pools.
            continue;
        };
        let held = index.held_by(&requester.holder, &requested.network, &requested.interface);
        let mut add = |error| {
            rejections.push(Rejection {
                request: position,
                error,
            });
        };
        let claimed_by_other = held.iter().find(|a| {
            let claimed = a.pod.as_ref().and_then(|pod| pod.uid.as_ref());
            let uid = requester.pod.as_ref().and_then(|pod| pod.uid.as_ref());
            matches!(a.holder, Holder::Unnamed { .. }) && claimed.is_some() && claimed != uid
        });
        if let Some(other_pod_record) = claimed_by_other {
            add(AllocationError::InUse {
                address: other_pod_record.address,
                holder: Box::new(other_pod_record.holder.clone()),
            });
            continue;
        }
        let holds = |address: Address| held.iter().any(|a| a.address == address);
        for ip in &requested.ips {
            if !holds(Address::Ip(*ip)) {
                add(not_held_error(Address::Ip(*ip), pool, index));
            }
        }
        // Without any, the pool allocates all of them, now or at binding. Having some ranges'
        // addresses but not others' never results from an allocation.
        if requested.needs_ips && !(later && requested.ips.is_empty()) {
            let named = |range: usize| {
                requested
                    .ips
                    .iter()
                    .any(|ip| pool.range_of(*ip) == Some(range))
            };
            for (number, range) in pool.ranges.iter().enumerate() {
                if !named(number) {
                    add(AllocationError::NotInjected {
                        pool: pool.name.clone(),
                        range: range.subnet,
                    });
                }
            }
        }
        if let MacRequest::Exact(mac) = requested.mac
            && !holds(Address::Mac(mac))
            && !held.iter().any(|a| a.mac == Some(mac))
        {
            add(not_held_error(Address::Mac(mac), pool, index));
        }
    }
    rejections
}

/// Returns the reason why an address is not the requester's: another holder has it, the pool does
/// not allocate it, or it was never allocated.
fn not_held_error(address: Address, pool: &Pool, index: &Index) -> AllocationError {
    let holder = match address {
        Address::Ip(_) => index.holder_of(&pool.space, address),
        Address::Mac(mac) => index.holder_of_mac(&pool.space, mac),
    };
    if let Some(other) = holder {
        return AllocationError::InUse {
            address,
            holder: Box::new(other.holder.clone()),
        };
    }
    if let Some(ip) = address.ip() {
        let Some(range) = pool.range_of(ip).and_then(|at| pool.ranges.get(at)) else {
            return AllocationError::OutsidePool {
                address: ip,
                pool: pool.name.clone(),
                ranges: pool.ranges.iter().map(|range| range.subnet).collect(),
            };
        };
        if let Some(reason) = range.exclusion(ip) {
            return AllocationError::Excluded {
                address: ip,
                pool: pool.name.clone(),
                reason,
            };
        }
    }
    AllocationError::NotAllocated {
        address,
        pool: pool.name.clone(),
    }
}
