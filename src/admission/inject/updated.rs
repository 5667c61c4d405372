//! A pod that is changed.

use super::{Filling, Kept, patch::patch, wanted::Wanted};
use crate::{
    admission::{
        answer::Answer,
        context::ReviewContext,
        decide::Decision,
        launcher,
        object::{Annotations, Object},
        pod::{asker, subject},
        review::Request,
    },
    network::{Annotation, selection::normalized::NormalizedAnnotation},
    rules::{
        Injection,
        allocation::{asks, can_be_served},
        subject::Origin,
    },
};

/// A pod that is changed: what was put in is put back when its manifest is applied again, and
/// nadmit's own annotations stay as they are. Where attachments may change, a network that is
/// plugged in is given its addresses, those that stay keep theirs, and those that are unplugged are
/// released later.
pub(super) fn updated(
    request: &Request<'_>,
    pod: &Object<'_>,
    context: &ReviewContext<'_>,
) -> Decision {
    let allow = || Decision::Answer(Answer::allow(request));
    let Some(before) = &request.old_object else {
        return allow();
    };
    let user = &*request.user_info.username;
    if context.policy.own_users.contains(user) {
        return allow();
    }
    let (old, new) = (&before.metadata.annotations, &pod.metadata.annotations);
    let namespace = request.namespace.as_deref().unwrap_or_default();
    let owned = |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().map(str::to_owned);
    let wanted = Wanted {
        networks: put_back(
            &Origin::networks(namespace),
            [&old.requested_networks, &old.networks, &new.networks].map(|t| t.as_deref()),
        ),
        default_network: put_back(
            &Origin::default_network(context.policy),
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
    if wanted.networks.is_none() && old.networks != new.networks {
        let plugged = plugged(request, [before, pod], context);
        if let Some(decision) = plugged {
            return decision;
        }
    }
    Decision::Answer(Answer::allow(request).with_patch(patch(new, &wanted)))
}

/// What becomes of a running pod's networks when they may change: they are given addresses as those
/// of a new pod are. `None` where they may not change, or no pool serves them.
fn plugged(
    request: &Request<'_>,
    [before, pod]: [&Object<'_>; 2],
    context: &ReviewContext<'_>,
) -> Option<Decision> {
    let namespace = request.namespace.as_deref().unwrap_or_default();
    let policy = context.policy;
    let labels = context.catalog.namespace(namespace).map(|n| n.labels);
    let mutable = labels.unwrap_or_default().mutable_attachments || !policy.immutable_attachments;
    let launcher = before.metadata.labels.virt_launcher;
    let may = mutable || policy.may_change_attachments(&request.user_info.username, launcher);
    // Before it is bound, binding will see what it says then.
    let bound = pod.spec.node_name.is_some();
    if !may || !bound || policy.injection_in(namespace) == Injection::Off {
        return None;
    }
    let subject = subject(request, pod, policy, context.catalog);
    let attachments = asks(&subject);
    if attachments.is_empty() || !can_be_served(&subject) {
        return None;
    }
    let token = before.metadata.annotations.holder_token.as_deref();
    let asker = asker(request, pod, token)?;
    let written: &Annotations<'_> = &pod.metadata.annotations;
    let target_of = launcher::target_of(before);
    let filling = Filling {
        subject: &subject,
        attachments: &attachments,
        let_in: launcher::was_let_in(request, before, &asker, context),
        target_of: target_of.as_ref(),
        asker,
        kept: Kept::default(),
        token: token.map(str::to_owned),
        written,
    };
    Some(filling.decide(request, context))
}

/// The injected text, if the new one means what was requested when it was put in.
fn put_back(origin: &Origin<'_>, [requested, injected, new]: [Option<&str>; 3]) -> Option<String> {
    let (requested, injected, new) = (requested?, injected?, new?);
    if new == injected {
        return None;
    }
    let meaning = |text: &str| {
        let annotation = Annotation::parse(text);
        NormalizedAnnotation::of(&annotation, origin.home, |selection| {
            origin.interface(selection).into_owned()
        })
    };
    (meaning(requested) == meaning(new)).then(|| injected.to_owned())
}
