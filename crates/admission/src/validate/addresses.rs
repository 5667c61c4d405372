//! `POST /validate` of a pod's addresses: they have to be exactly those recorded for the pod.

use super::unrecorded;
use crate::{
    allocate::{AllocationRequest, Launch},
    annotations::OriginalAnnotations,
    context::ReviewContext,
    decision::{Decision, PendingCommit},
    injection_time::{injects_at_binding, is_due},
    migration_guard,
    object::ReviewObject,
    pod::{requester_under_review, requests_under_review},
    rejection::too_long,
    response::AdmissionResponse,
    review::{AdmissionRequest, Operation},
};
use nadmit_allocation::{
    Address, AllocationError, Holder, Index, Pool, PoolOrigin,
    index::{AttachmentRequest, IndexGuard, MacRequest, Rejection, Requester},
};
use nadmit_rules::{Finding, Level, PodSubject};

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
    let allocation = AllocationRequest::eligible(subject).ok()?;
    let token = pod.metadata.annotations.holder_token.as_deref();
    let requester = requester_under_review(request, pod, token)?;
    let later = request.operation == Operation::Create && injects_at_binding(request, pod, context);
    let dry = request.dry_run == Some(true);
    let due = allocation.only(|one| !dry && (!later || is_due(request, pod, one, context)));
    if let Some(due) = due {
        let second_launcher = second_launcher(request, pod, &due, &requester, context);
        if second_launcher.is_some() {
            return second_launcher;
        }
        let decided = validate_recorded(request, &due, &requester, context);
        if decided.is_some() || !later {
            return decided;
        }
    }
    let rejections = match allocation.preview(&requester, context) {
        Ok(assignments) => {
            // The annotations injected at binding have to fit, too.
            let desired = allocation.desired(OriginalAnnotations::default(), &assignments);
            let rejection = too_long(&desired, &pod.metadata.annotations)?;
            return Some(allocation.reject(request, vec![rejection], context));
        }
        Err(rejections) => rejections,
    };
    match later {
        true => warn_at_bind(request, &allocation, rejections, context),
        false => Some(allocation.reject(request, rejections, context)),
    }
}

/// Decides about a virtual machine's second launcher pod, which may share the addresses of the
/// first only during a migration.
fn second_launcher(
    request: &AdmissionRequest<'_>,
    pod: &ReviewObject<'_>,
    due: &AllocationRequest<'_, '_>,
    requester: &Requester,
    context: &ReviewContext<'_>,
) -> Option<Decision> {
    let before = request.old_object.as_deref();
    let before = before.filter(|_| request.operation == Operation::Update);
    let migration = migration_guard::migration_of(before.unwrap_or(pod));
    let launch = match before {
        Some(before) if migration_guard::was_admitted(request, before, requester, context) => {
            Launch::Admitted
        }
        _ => Launch::New(migration.as_ref()),
    };
    due.without_access(request, requester, launch, context)
}

/// Decides about attachments whose addresses must be recorded already.
fn validate_recorded(
    request: &AdmissionRequest<'_>,
    due: &AllocationRequest<'_, '_>,
    requester: &Requester,
    context: &ReviewContext<'_>,
) -> Option<Decision> {
    let mut index = context.lock_synced();
    let requests = due.requests();
    let old = request
        .old_object
        .as_deref()
        .filter(|_| request.operation == Operation::Update);
    // Problems that existed before the update are not reported again.
    let preexisting = old.map_or_else(Vec::new, |old| {
        let requests = requests_under_review(request, old, context);
        unmet(&requests, requester, &index, false)
    });
    // An attachment added by an update gets nothing later.
    let later = request.operation == Operation::Create;
    let mut rejections = unmet(requests, requester, &index, later);
    rejections.retain(|one| preexisting.iter().all(|known| known.error != one.error));
    if !rejections.is_empty() {
        drop(index);
        return Some(due.reject(request, rejections, context));
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
    match claim_records(request, requester, requests, &mut index, context) {
        Ok(plan) => plan.map(Decision::Commit),
        Err(rejections) => {
            drop(index);
            Some(due.reject(request, rejections, context))
        }
    }
}

/// Reports what will be rejected at binding. Exhaustion is only a warning, because addresses may be
/// freed before the pod is bound. Conditions certain to clear until then are not reported.
fn warn_at_bind(
    request: &AdmissionRequest<'_>,
    allocation: &AllocationRequest<'_, '_>,
    rejections: Vec<Rejection>,
    context: &ReviewContext<'_>,
) -> Option<Decision> {
    let (exhausted, lasting): (Vec<_>, Vec<_>) = rejections
        .into_iter()
        .filter(|one| one.error.is_exhaustion() || !one.error.may_clear_before_binding())
        .partition(|one| one.error.may_clear_before_binding());
    if !lasting.is_empty() {
        return Some(allocation.reject(request, lasting, context));
    }
    let findings = allocation.to_findings(exhausted);
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
    index: &mut IndexGuard<'_>,
    context: &ReviewContext<'_>,
) -> Result<Option<PendingCommit>, Vec<Rejection>> {
    let planned = index.plan(requester, requests, context.now)?;
    if planned.writes.is_empty() {
        index.commit(planned.id, &[]);
        return Ok(None);
    }
    Ok(Some(PendingCommit {
        writes: planned.writes,
        served: Vec::new(),
        plan_id: planned.id,
        borrowed: planned.borrowed,
        response: AdmissionResponse::allow(request),
    }))
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
        let by_annotation = pool.origin != PoolOrigin::Whereabouts;
        if by_annotation && requested.needs_ips && !(later && requested.ips.is_empty()) {
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
