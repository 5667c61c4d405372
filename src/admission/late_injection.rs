//! Late injection: a pod that was bound while no webhook was there to put its addresses in.
//!
//! Multus reads the pod again each time its sandbox is tried, so that addresses written afterwards
//! still count, until network-status says that the networks are made. What is put in is what would
//! have been put in at binding.

use super::{
    binding::{original_annotations, requester_in_catalog, subject_in_catalog},
    context::ReviewContext,
    migration_guard::{LaunchAccess, check_access, holds_any},
    mutate::{DesiredAnnotations, to_findings},
};
use crate::{
    allocation::{
        Slice, Write,
        index::{AttachmentRequest, PlanId},
    },
    catalog::Pod,
    network::annotations,
    rules::{
        Finding, Injection, Level,
        allocation::{attachment_requests, can_be_served},
        judge::judge_pod,
    },
};

/// What a bound pod lacks.
#[derive(Debug, Clone, PartialEq)]
pub enum LateInjection {
    /// Nothing.
    NotNeeded,
    /// These annotations, once the records are written.
    Commit {
        /// What to write, all or none.
        writes: Vec<Write>,
        /// By which the index knows the plan: it is to be confirmed, or rolled back.
        plan_id: PlanId,
        /// The annotations to add, by key; each takes the place of what is there.
        annotations: Vec<(&'static str, String)>,
    },
    /// It lacks something, and is given nothing.
    Rejected(Vec<Finding>),
    /// The pod's node has to own this slice first.
    ClaimSlice(Slice),
    /// What it needs is being recorded for another at this moment.
    Busy,
}

/// What a bound pod lacks, and puts it in flight.
pub fn inject_late(pod: &Pod, context: &ReviewContext<'_>) -> LateInjection {
    let injection = context.policy.injection_in(&pod.namespace);
    if !may_need_injection(pod) || injection == Injection::Off {
        return LateInjection::NotNeeded;
    }
    let subject = subject_in_catalog(pod, context);
    let attachments = attachment_requests(&subject);
    if attachments.is_empty() || !can_be_served(&subject) {
        return LateInjection::NotNeeded;
    }
    let denied = judge_pod(&subject, Level::Off);
    if !denied.is_empty() {
        return LateInjection::Rejected(denied);
    }
    let asks: Vec<AttachmentRequest> = attachments.iter().map(|one| one.request.clone()).collect();
    let requester = requester_in_catalog(pod, pod.node.as_deref());
    let already_admitted = holds_any(&asks, &requester.holder, &context.allocations.lock());
    if !already_admitted {
        match check_access(&requester, pod.migration.as_deref(), &asks, context) {
            LaunchAccess::Granted => {}
            LaunchAccess::NeedsRead(_) => return LateInjection::Busy,
            LaunchAccess::Denied(refused) => {
                return LateInjection::Rejected(to_findings(&subject, &attachments, vec![refused]));
            }
        }
    }
    let mut index = context.allocations.lock();
    index.sync(context.catalog.pool_config());
    let planned = match index.plan(&requester, &asks, context.now) {
        Ok(planned) => planned,
        Err(refused) if refused.iter().any(|one| one.error.is_busy()) => {
            return LateInjection::Busy;
        }
        Err(refused) => {
            if let Some(slice) = refused.iter().find_map(|one| one.error.required_slice()) {
                return LateInjection::ClaimSlice(slice.clone());
            }
            drop(index);
            return LateInjection::Rejected(to_findings(&subject, &attachments, refused));
        }
    };
    let desired = DesiredAnnotations::new(
        &subject,
        original_annotations(pod),
        &attachments,
        &planned.assignments,
    );
    let annotations = annotation_changes(pod, desired);
    // What a bound pod carries was recorded whole before, by whichever replica.
    let recorded = planned.writes.iter().all(|one| index.only_refreshes(one));
    if annotations.is_empty() && recorded {
        index.abort(planned.plan_id);
        return LateInjection::NotNeeded;
    }
    LateInjection::Commit {
        writes: planned.writes,
        plan_id: planned.plan_id,
        annotations,
    }
}

/// Whether the pod runs somewhere, or will, and its networks are not made yet.
fn may_need_injection(pod: &Pod) -> bool {
    pod.node.is_some()
        && !pod.terminating
        && !pod.mirror
        && !pod.host_network
        && pod.network_status.as_deref().is_none_or(str::is_empty)
}

/// The annotations that are to be other than they are.
fn annotation_changes(pod: &Pod, desired: DesiredAnnotations) -> Vec<(&'static str, String)> {
    let all = [
        (annotations::NETWORKS, &pod.networks, desired.networks),
        (
            annotations::DEFAULT_NETWORK,
            &pod.default_network,
            desired.default_network,
        ),
        (
            annotations::REQUESTED_NETWORKS,
            &pod.requested.networks,
            desired.requested_networks,
        ),
        (
            annotations::REQUESTED_DEFAULT_NETWORK,
            &pod.requested.default_network,
            desired.requested_default_network,
        ),
    ];
    all.into_iter()
        .filter_map(|(key, before, now)| {
            let now = now?;
            (before.as_deref() != Some(&*now)).then_some((key, now))
        })
        .collect()
}
