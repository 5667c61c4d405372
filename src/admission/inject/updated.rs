//! A pod that is changed.

use super::{patch::patch, wanted::Wanted};
use crate::{
    admission::{answer::Answer, object::Object, review::Request, situation::Situation},
    network::{Annotation, selection::meaning::Meaning},
    rules::subject::Origin,
};

/// A pod that is changed: what was put in is put back when its manifest is applied again, and
/// nadmit's own annotations stay as they are.
pub(super) fn updated(
    request: &Request<'_>,
    pod: &Object<'_>,
    situation: &Situation<'_>,
) -> Answer {
    let answer = Answer::allow(request);
    let Some(before) = &request.old_object else {
        return answer;
    };
    if situation
        .policy
        .own_users
        .contains(&*request.user_info.username)
    {
        return answer;
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
            &Origin::default_network(situation.policy),
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
    answer.with_patch(patch(new, &wanted))
}

/// The injected text, if the new one means what was requested when it was put in.
fn put_back(origin: &Origin<'_>, [requested, injected, new]: [Option<&str>; 3]) -> Option<String> {
    let (requested, injected, new) = (requested?, injected?, new?);
    if new == injected {
        return None;
    }
    let meaning = |text: &str| {
        let annotation = Annotation::parse(text);
        Meaning::of(&annotation, origin.home, |selection| {
            origin.interface(selection).into_owned()
        })
    };
    (meaning(requested) == meaning(new)).then(|| injected.to_owned())
}
