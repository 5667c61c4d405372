//! Who a new pod is to the allocation core.

use crate::{
    admission::{object::Object, pod::asker, review::Request},
    allocation::{
        Holder, Index, PodRef,
        index::{AttachmentRequest, Requester},
    },
};

/// Who asks, and whether the annotations of nadmit's own that the pod came with are its own.
pub(super) struct Who {
    pub(super) asker: Requester,
    /// The token to write, if the holder has one.
    pub(super) token: Option<String>,
    /// Whether the ledger knows the holder already: the pod was here before.
    pub(super) known: bool,
}

impl Who {
    pub(super) fn of(
        request: &Request<'_>,
        pod: &Object<'_>,
        asks: &[AttachmentRequest],
        index: &Index,
        chance: u128,
    ) -> Option<Self> {
        let holds = |asker: &Requester| {
            let mut held = asks
                .iter()
                .flat_map(|ask| index.held_by(&asker.holder, &ask.network, &ask.interface));
            let claimed = |pod: &PodRef| pod.uid.is_some();
            match &asker.holder {
                // A token is good for one pod: once it has claimed it, for no other.
                Holder::Unnamed { .. } => held
                    .next()
                    .is_some_and(|a| !a.pod.as_ref().is_some_and(claimed)),
                _ => held.next().is_some(),
            }
        };
        let carried = pod.metadata.annotations.holder_token.as_deref();
        let before = carried.and_then(|token| asker(request, pod, Some(token)));
        if let Some(asker) = before.filter(holds) {
            let token = token_of(&asker.holder);
            return Some(Self {
                asker,
                token,
                known: true,
            });
        }
        let unnamed = request.name.as_deref().is_none_or(str::is_empty)
            && pod.metadata.name.as_deref().is_none_or(str::is_empty);
        let fresh = unnamed.then(|| format!("{chance:032x}"));
        let asker = asker(request, pod, fresh.as_deref())?;
        let known = holds(&asker);
        Some(Self {
            token: token_of(&asker.holder),
            asker,
            known,
        })
    }
}

fn token_of(holder: &Holder) -> Option<String> {
    match holder {
        Holder::Unnamed { token, .. } => Some(token.to_string()),
        _ => None,
    }
}
