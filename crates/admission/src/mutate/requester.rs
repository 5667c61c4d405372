//! The requester for a new pod.

use crate::{object::ReviewObject, pod::requester_under_review, review::AdmissionRequest};
use nadmit_allocation::{
    Holder, Index, PodRef,
    index::{AttachmentRequest, Requester},
};

/// The requester for a new pod, and whether nadmit's own annotations on it are genuine.
pub(super) struct ResolvedRequester {
    pub(super) requester: Requester,
    /// The holder token to write, if there is one.
    pub(super) token: Option<String>,
    /// Set if the ledger knows the holder already: this pod was reviewed before.
    pub(super) is_known: bool,
}

impl ResolvedRequester {
    pub(super) fn resolve(
        request: &AdmissionRequest<'_>,
        pod: &ReviewObject<'_>,
        requests: &[AttachmentRequest],
        index: &Index,
        random: u128,
    ) -> Option<Self> {
        let holds = |requester: &Requester| {
            let mut held = requests.iter().flat_map(|requested| {
                index.held_by(&requester.holder, &requested.network, &requested.interface)
            });
            let claimed = |pod: &PodRef| pod.uid.is_some();
            match &requester.holder {
                // A token is valid for one pod: once claimed, for no other.
                Holder::Unnamed { .. } => held
                    .next()
                    .is_some_and(|a| !a.pod.as_ref().is_some_and(claimed)),
                _ => held.next().is_some(),
            }
        };
        let carried = pod.metadata.annotations.holder_token.as_deref();
        let before = carried.and_then(|token| requester_under_review(request, pod, Some(token)));
        if let Some(requester) = before.filter(holds) {
            let token = token_of(&requester.holder);
            return Some(Self {
                requester,
                token,
                is_known: true,
            });
        }
        let unnamed = request.pod_name().is_empty();
        let fresh = unnamed.then(|| format!("{random:032x}"));
        let requester = requester_under_review(request, pod, fresh.as_deref())?;
        let is_known = holds(&requester);
        Some(Self {
            token: token_of(&requester.holder),
            requester,
            is_known,
        })
    }
}

fn token_of(holder: &Holder) -> Option<String> {
    match holder {
        Holder::Unnamed { token, .. } => Some(token.to_string()),
        _ => None,
    }
}
