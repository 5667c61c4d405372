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

mod fill;
mod patch;
mod updated;
mod wanted;
mod who;

pub(super) use self::{
    fill::Filling,
    patch::patch,
    wanted::{Kept, Wanted},
};
use self::{updated::updated, who::Who};
use super::{
    answer::Answer,
    binding,
    decide::{Decision, judged},
    object::Object,
    pod::subject,
    review::{Operation, Request},
    situation::Situation,
};
use crate::{
    allocation::index::{Ask, MacWish, Refused},
    rules::{
        Finding, Injection, Level, PodSubject,
        allocation::{AllocationSubject, PoolAttachment, asks, can_be_served},
        judge::{judge_allocation, judge_pod},
    },
};

/// Decides what to put into an object.
pub(super) fn mutate(request: &Request<'_>, situation: &Situation<'_>) -> Decision {
    if binding::is_binding(request) {
        return binding::mutate(request, situation);
    }
    let pod = (&*request.resource.group, &*request.resource.resource) == ("", "pods");
    let whole = request
        .subresource
        .as_deref()
        .unwrap_or_default()
        .is_empty();
    match (request.operation, judged(request)) {
        (Operation::Create, Some(object)) if pod && whole => created(request, object, situation),
        (Operation::Update, Some(object)) if pod && whole => updated(request, object, situation),
        _ => Decision::Answer(Answer::allow(request)),
    }
}

/// Whether a new pod is given its addresses when it is bound to a node, not now.
pub(super) fn comes_later(pod: &Object<'_>, situation: &Situation<'_>) -> bool {
    situation.policy.injection() == Injection::Bind && pod.spec.node_name.is_none()
}

/// A pod that is created.
fn created(request: &Request<'_>, pod: &Object<'_>, situation: &Situation<'_>) -> Decision {
    let namespace = request.namespace.as_deref().unwrap_or_default();
    if situation.policy.excluded_namespaces.contains(namespace) {
        return Decision::Answer(Answer::allow(request));
    }
    let written = &pod.metadata.annotations;
    let subject = subject(request, pod, situation.policy, situation.catalog);
    let mut attachments = asks(&subject);
    if situation.policy.injection() == Injection::Off {
        // What people write is recorded; nothing is added to what they leave out.
        attachments.retain(|one| names_something(&one.ask));
    }
    let nothing = attachments.is_empty() || !can_be_served(&subject, &attachments);
    if nothing || comes_later(pod, situation) {
        let answer = Answer::allow(request);
        return Decision::Answer(answer.with_patch(patch(written, &Wanted::default())));
    }
    // Where all other rules are silent, authority is not.
    let denied = judge_pod(&subject, Level::Off);
    if !denied.is_empty() {
        return Decision::of(request, denied, situation.evidence);
    }
    let asks: Vec<Ask> = attachments.iter().map(|one| one.ask.clone()).collect();
    let who = {
        let mut index = situation.allocations.lock();
        index.sync(situation.catalog.layout());
        Who::of(request, pod, &asks, &index, situation.chance)
    };
    let Some(who) = who else {
        return Decision::Answer(Answer::allow(request));
    };
    let kept = if who.known {
        Kept {
            networks: written.requested_networks.as_deref(),
            default_network: written.requested_default_network.as_deref(),
        }
    } else {
        Kept::default()
    };
    let filling = Filling {
        subject: &subject,
        attachments: &attachments,
        asker: who.asker,
        kept,
        token: who.token,
        written,
    };
    filling.decide(request, situation)
}

/// Whether an attachment brings an address or a MAC of its own.
fn names_something(ask: &Ask) -> bool {
    !ask.ips.is_empty() || matches!(ask.mac, MacWish::This(_))
}

/// Says why nothing is given; what rests on others is looked up first.
pub(super) fn refuse(
    request: &Request<'_>,
    subject: &PodSubject<'_>,
    attachments: &[PoolAttachment],
    refused: Vec<Refused>,
    situation: &Situation<'_>,
) -> Decision {
    if let Some(slice) = refused.iter().find_map(|one| one.refusal.slice()) {
        return Decision::Claim(slice.clone());
    }
    let busy = refused.iter().any(|one| one.refusal.is_busy());
    let findings = found(subject, attachments, refused);
    if busy {
        return Decision::AskAgain(Answer::new(request, findings));
    }
    Decision::of(request, findings, situation.evidence)
}

/// What is refused, as findings.
pub(super) fn found(
    subject: &PodSubject<'_>,
    attachments: &[PoolAttachment],
    refused: Vec<Refused>,
) -> Vec<Finding> {
    let refused: Vec<_> = refused
        .into_iter()
        .filter_map(|one| Some((attachments.get(one.ask)?.attachment, one.refusal)))
        .collect();
    judge_allocation(&AllocationSubject {
        pod: subject,
        refused: &refused,
    })
}
