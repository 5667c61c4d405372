//! Putting addresses in: what `POST /mutate` does.
//!
//! # Expected flow
//! A pod is created. For each attachment to a network that a pool serves, the index plans what it is
//! given; the records are written, and the answer carries a patch: the annotation in the JSON format
//! with `ips` and `mac`, and the text as it was written beside it.
//!
//! # Guarantees
//! - All attachments of a pod are served, or none.
//! - The same pod asked about again is given the same, and nothing is written for it again.
//! - A dry run records nothing, and shows what would be given now.
//! - nadmit's own annotations on a new pod stay only if the ledger knows them: copied or forged ones
//!   are taken off.

use json_patch::{AddOperation, Patch, PatchOperation, RemoveOperation, jsonptr::PointerBuf};
use serde_json::{Map, Value};

use super::{
    answer::Answer,
    decide::{Decision, Plan, judged},
    object::{Annotations, Object},
    pod::{subject, with_identity},
    review::{Operation, Request},
    situation::Situation,
};
use crate::{
    allocation::{
        Holder,
        index::{Ask, Asker, Given, MacWish, Refused},
    },
    network::{
        AddressRequest, Annotation, annotations,
        selection::{Addition, meaning::Meaning},
    },
    rules::{
        Attachment, Level, PodSubject,
        allocation::{AllocationSubject, PoolAttachment, asks, can_be_served},
        judge::{judge_allocation, judge_pod},
        subject::Origin,
    },
};

/// Decides what to put into an object.
pub(super) fn mutate(request: &Request<'_>, situation: &Situation<'_>) -> Decision {
    let pod = (&*request.resource.group, &*request.resource.resource) == ("", "pods");
    let whole = request
        .subresource
        .as_deref()
        .unwrap_or_default()
        .is_empty();
    match (request.operation, judged(request)) {
        (Operation::Create, Some(object)) if pod && whole => created(request, object, situation),
        (Operation::Update, Some(object)) if pod && whole => {
            Decision::Answer(updated(request, object, situation))
        }
        _ => Decision::Answer(Answer::allow(request)),
    }
}

/// A pod that is created.
fn created(request: &Request<'_>, pod: &Object<'_>, situation: &Situation<'_>) -> Decision {
    let namespace = request.namespace.as_deref().unwrap_or_default();
    if situation.policy.excluded_namespaces.contains(namespace) {
        return Decision::Answer(Answer::allow(request));
    }
    let written = &pod.metadata.annotations;
    let subject = subject(request, pod, situation.policy, situation.catalog);
    let attachments = asks(&subject);
    if attachments.is_empty() || !can_be_served(&subject, &attachments) {
        let answer = Answer::allow(request);
        return Decision::Answer(answer.with_patch(patch(written, &Wanted::default())));
    }
    // Where all other rules are silent, authority is not.
    let denied = judge_pod(&subject, Level::Off);
    if !denied.is_empty() {
        return Decision::of(request, denied, situation.evidence);
    }
    let mut index = situation.allocations.lock();
    index.sync(situation.catalog.layout());
    let asks: Vec<Ask> = attachments.iter().map(|one| one.ask.clone()).collect();
    let Some(who) = Who::of(request, pod, &asks, &index, situation.chance) else {
        return Decision::Answer(Answer::allow(request));
    };
    let dry = request.dry_run == Some(true);
    let planned = if dry {
        let given = index.preview(&who.asker, &asks, situation.now);
        given.map(|given| (given, None))
    } else {
        let planned = index.plan(&who.asker, &asks, situation.now);
        planned.map(|planned| (planned.given, Some((planned.writes, planned.ticket))))
    };
    let (given, records) = match planned {
        Ok(planned) => planned,
        Err(refused) => {
            drop(index);
            return refuse(request, &subject, &attachments, refused, situation);
        }
    };
    let wanted = Wanted::new(&subject, written, &attachments, &given, &who);
    let answer = Answer::allow(request).with_patch(patch(written, &wanted));
    match records {
        None => Decision::Answer(answer),
        Some((writes, ticket)) if writes.is_empty() => {
            index.confirm(ticket, &[]);
            Decision::Answer(answer)
        }
        Some((writes, ticket)) => Decision::Plan(Plan {
            writes,
            ticket,
            answer,
        }),
    }
}

/// Says why nothing is given; what rests on others is looked up first.
pub(super) fn refuse(
    request: &Request<'_>,
    subject: &PodSubject<'_>,
    attachments: &[PoolAttachment],
    refused: Vec<Refused>,
    situation: &Situation<'_>,
) -> Decision {
    let busy = refused.iter().any(|one| one.refusal.is_busy());
    let refused: Vec<_> = refused
        .into_iter()
        .filter_map(|one| Some((attachments.get(one.ask)?.attachment, one.refusal)))
        .collect();
    let findings = judge_allocation(&AllocationSubject {
        pod: subject,
        refused: &refused,
    });
    if busy {
        return Decision::AskAgain(Answer::new(request, findings));
    }
    Decision::of(request, findings, situation.evidence)
}

/// Who asks, and whether the annotations of nadmit's own that the pod came with are its own.
struct Who {
    asker: Asker,
    /// The token to write, if the holder has one.
    token: Option<String>,
    /// Whether the ledger knows the holder already: the pod was here before.
    known: bool,
}

impl Who {
    fn of(
        request: &Request<'_>,
        pod: &Object<'_>,
        asks: &[Ask],
        index: &crate::allocation::Index,
        chance: u128,
    ) -> Option<Self> {
        let holds = |asker: &Asker| {
            let mut held = asks
                .iter()
                .flat_map(|ask| index.held_by(&asker.holder, &ask.network, &ask.interface));
            let claimed = |pod: &crate::allocation::PodRef| pod.uid.is_some();
            match &asker.holder {
                // A token is good for one pod: once it has claimed it, for no other.
                Holder::Unnamed { .. } => held
                    .next()
                    .is_some_and(|a| !a.pod.as_ref().is_some_and(claimed)),
                _ => held.next().is_some(),
            }
        };
        let carried = pod.metadata.annotations.holder_token.as_deref();
        let before =
            carried.and_then(|token| with_identity(request, pod, Some(token), |i| i.asker()));
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
        let asker = with_identity(request, pod, fresh.as_deref(), |identity| identity.asker())?;
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

/// The annotations as they are to be; `None` for those that are to go or to stay away, except the two
/// of Multus, which stay as they are.
#[derive(Default)]
struct Wanted {
    networks: Option<String>,
    default_network: Option<String>,
    requested_networks: Option<String>,
    requested_default_network: Option<String>,
    token: Option<String>,
}

impl Wanted {
    fn new(
        subject: &PodSubject<'_>,
        written: &Annotations<'_>,
        attachments: &[PoolAttachment],
        given: &[Given],
        who: &Who,
    ) -> Self {
        let mut wanted = Self {
            token: who.token.clone(),
            ..Self::default()
        };
        let mut first = 0;
        for request in &subject.requests {
            let count = request.annotation.selections.len();
            let additions: Vec<Addition> = request
                .attachments()
                .enumerate()
                .map(|(index, attachment)| {
                    let of_it = |one: &PoolAttachment| one.attachment == first + index;
                    let place = attachments.iter().position(of_it);
                    let pair = place.and_then(|at| attachments.get(at).zip(given.get(at)));
                    pair.map_or(Addition::default(), |(one, given)| {
                        addition(attachment, &one.ask, given)
                    })
                })
                .collect();
            first += count;
            let put_in = additions.iter().any(|a| *a != Addition::default());
            let text = put_in.then(|| request.annotation.with(&additions));
            let (now, requested, before) = match request.origin.key {
                annotations::DEFAULT_NETWORK => (
                    &mut wanted.default_network,
                    &mut wanted.requested_default_network,
                    &written.requested_default_network,
                ),
                _ => (
                    &mut wanted.networks,
                    &mut wanted.requested_networks,
                    &written.requested_networks,
                ),
            };
            // Called again, the text as it was written is what the first call kept.
            let kept = before.as_deref().filter(|_| who.known).map(str::to_owned);
            *requested = kept.or_else(|| put_in.then(|| request.annotation.text.to_owned()));
            *now = text;
        }
        wanted
    }
}

/// What to write into a selection; nothing where it says so already.
fn addition(attachment: Attachment<'_, '_>, ask: &Ask, given: &Given) -> Addition {
    let named = attachment.selection.ips.iter().flat_map(|ips| &ips.value);
    // What was asked for stays in the user's words; where a prefix is missing, it is the range's.
    let named: Vec<(&str, AddressRequest)> = named
        .filter_map(|ip| Some((&*ip.text, *ip.ok()?)))
        .collect();
    let text = |(ip, prefix): &(std::net::IpAddr, u8)| {
        let written = named.iter().find(|(_, request)| request.address == *ip);
        match written {
            Some((text, request)) if request.prefix.is_some() => (*text).to_owned(),
            Some((text, _)) => format!("{text}/{prefix}"),
            None => format!("{ip}/{prefix}"),
        }
    };
    let ips: Vec<String> = given.ips.iter().map(text).collect();
    let same = ips.len() == named.len() && ips.iter().zip(&named).all(|(ip, (text, _))| ip == text);
    let mac = given.mac.filter(|_| ask.mac == MacWish::Any);
    Addition {
        ips: (!same).then_some(ips),
        mac: mac.map(|mac| mac.to_string()),
    }
}

/// The changes that make the written annotations the wanted ones; none where they are.
fn patch(written: &Annotations<'_>, wanted: &Wanted) -> Patch {
    let mut operations = Vec::new();
    let multus = [
        (annotations::NETWORKS, &wanted.networks),
        (annotations::DEFAULT_NETWORK, &wanted.default_network),
    ];
    for (key, now) in multus {
        operations.extend(now.as_ref().map(|text| add(key, text)));
    }
    let own = [
        (
            annotations::REQUESTED_NETWORKS,
            &written.requested_networks,
            &wanted.requested_networks,
        ),
        (
            annotations::REQUESTED_DEFAULT_NETWORK,
            &written.requested_default_network,
            &wanted.requested_default_network,
        ),
        (
            annotations::HOLDER_TOKEN,
            &written.holder_token,
            &wanted.token,
        ),
    ];
    for (key, before, now) in own {
        match (before, now) {
            (Some(before), Some(now)) if **before == **now => {}
            (_, Some(now)) => operations.push(add(key, now)),
            (Some(_), None) => operations.push(PatchOperation::Remove(RemoveOperation {
                path: pointer(key),
            })),
            (None, None) => {}
        }
    }
    if written.present {
        return Patch(operations);
    }
    // There is no parent to add to: it is added with what is to be in it.
    let all: Map<String, Value> = operations
        .into_iter()
        .filter_map(|operation| match operation {
            PatchOperation::Add(add) => Some((add.path.last()?.decoded().into_owned(), add.value)),
            _ => None,
        })
        .collect();
    if all.is_empty() {
        return Patch::default();
    }
    Patch(vec![PatchOperation::Add(AddOperation {
        path: PointerBuf::from_tokens(["metadata", "annotations"]),
        value: Value::Object(all),
    })])
}

/// `add` takes the place of what is there.
fn add(key: &str, text: &str) -> PatchOperation {
    PatchOperation::Add(AddOperation {
        path: pointer(key),
        value: Value::from(text),
    })
}

fn pointer(key: &str) -> PointerBuf {
    PointerBuf::from_tokens(["metadata", "annotations", key])
}

/// A pod that is changed: what was put in is put back when its manifest is applied again, and
/// nadmit's own annotations stay as they are.
fn updated(request: &Request<'_>, pod: &Object<'_>, situation: &Situation<'_>) -> Answer {
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
