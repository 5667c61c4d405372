//! Late injection (backfill): a pod was bound while no webhook was available to inject its
//! addresses.
//!
//! Multus reads the pod again on each attempt to create its sandbox, so annotations written later
//! still take effect until network-status reports the attachments. The result is the one that
//! injection at binding would have given.

use crate::{
    allocate::{AllocationRequest, Launch},
    annotations::{CurrentAnnotations, OriginalAnnotations},
    context::ReviewContext,
    migration_guard::{LaunchAccess, holds_any},
    pod::{requester_in_catalog, subject_in_catalog},
};
use nadmit_allocation::{
    Slice, Write,
    index::{AttachmentRequest, PlanId, Rejection},
};
use nadmit_catalog::Pod;
use nadmit_rules::{Finding, Injection};

/// The outcome of [`inject_late`] for a bound pod.
#[derive(Debug, Clone, PartialEq)]
pub enum LateInjection {
    /// The pod lacks nothing.
    NotNeeded,
    /// The annotations to add, once the records are written.
    Commit {
        /// The writes: all or none of them.
        writes: Vec<Write>,
        /// The index's id of the plan, which has to be committed or aborted.
        plan_id: PlanId,
        /// The annotations to set, by key; existing values are replaced.
        annotations: Vec<(&'static str, String)>,
    },
    /// The pod lacks addresses, and cannot get them for these reasons.
    Rejected(Vec<Finding>),
    /// The pod's node has to own this slice first.
    ClaimSlice(Slice),
    /// Another request is recording something that this pod needs.
    Busy,
}

/// Plans the addresses that a bound pod lacks, and marks them as pending in the index.
pub fn inject_late(pod: &Pod, context: &ReviewContext<'_>) -> LateInjection {
    let injection = context.policy.injection_in(&pod.namespace);
    if !may_need_injection(pod) || injection == Injection::Off {
        return LateInjection::NotNeeded;
    }
    let subject = subject_in_catalog(pod, context);
    // The plugin gives an address by itself where nadmit missed the binding, and that is adopted.
    let by_annotation = |one: &AttachmentRequest| !context.catalog.is_served(&one.network);
    let Ok(allocation) = AllocationRequest::eligible_where(&subject, by_annotation) else {
        return LateInjection::NotNeeded;
    };
    let denied = allocation.authority_findings();
    if !denied.is_empty() {
        return LateInjection::Rejected(denied);
    }
    let requester = requester_in_catalog(pod, pod.node.as_deref());
    let held = holds_any(
        allocation.requests(),
        &requester.holder,
        &context.allocations.lock(),
    );
    let launch = match held {
        true => Launch::Admitted,
        false => Launch::New(pod.migration.as_deref()),
    };
    match allocation.access(&requester, launch, context) {
        LaunchAccess::Granted => {}
        LaunchAccess::NeedsRead(_) => return LateInjection::Busy,
        LaunchAccess::Denied(rejection) => {
            return LateInjection::Rejected(allocation.to_findings(vec![rejection]));
        }
    }
    let mut index = context.lock_synced();
    let planned = match index.plan(&requester, allocation.requests(), context.now) {
        Ok(planned) => planned,
        Err(rejections) => return rejected(&allocation, rejections),
    };
    let desired = allocation.desired(OriginalAnnotations::of_pod(pod), &planned.assignments);
    let annotations = desired.changes(CurrentAnnotations::of_pod(pod));
    // What a bound pod carries was recorded completely before, by one of the replicas.
    let recorded = planned.writes.iter().all(|one| index.only_refreshes(one));
    if annotations.is_empty() && recorded {
        index.abort(planned.id);
        return LateInjection::NotNeeded;
    }
    LateInjection::Commit {
        writes: planned.writes,
        plan_id: planned.id,
        annotations,
    }
}

/// Returns the outcome of a rejected plan.
fn rejected(allocation: &AllocationRequest<'_, '_>, rejections: Vec<Rejection>) -> LateInjection {
    if rejections.iter().any(|one| one.error.is_busy()) {
        return LateInjection::Busy;
    }
    match rejections.iter().find_map(|one| one.error.required_slice()) {
        Some(slice) => LateInjection::ClaimSlice(slice.clone()),
        None => LateInjection::Rejected(allocation.to_findings(rejections)),
    }
}

/// Returns true if the pod is bound and its networks are not attached yet.
fn may_need_injection(pod: &Pod) -> bool {
    pod.node.is_some()
        && !pod.terminating
        && !pod.mirror
        && !pod.host_network
        && pod.network_status.as_deref().is_none_or(str::is_empty)
}
