//! The moment at which a pod is bound to a node: `pods/binding`, and the older `bindings`.
//!
//! Here name, UID and node of the pod are known, nothing that is taken has to expire, and a refusal
//! is a back-off of the scheduler: the pod stays Pending, with the reason in its events. The API
//! server merges a Binding's annotations into the pod's, in place of those of the same key; so what
//! a Binding brings is checked, too.
//!
//! | what is found | answer |
//! |---|---|
//! | no such pod, another UID, already bound, being deleted | allowed: the API server refuses, or nothing is to be done |
//! | on the node's network, a static pod's copy, no network of a pool | allowed |
//! | what the cluster was asked for cannot be read, or the pool is not ready | refused, to be tried again |
//! | nothing left | looked up live, then refused with numbers |
//! | otherwise | recorded, and put into the Binding |
//!
//! A Binding that names no UID is for whichever pod has the name now, which is looked up.

use super::{
    answer::Answer,
    context::ReviewContext,
    decide::Decision,
    inject::{Filling, Kept, Wanted},
    launcher::{Standing, standing},
    object::{Annotations, Object},
    review::{Operation, Request},
};
use crate::{
    allocation::{
        Address, Index, PodRef,
        index::{Assignment, AttachmentRequest, MacRequest, Requester},
    },
    catalog::Pod,
    network::annotations,
    rules::{
        BindingSubject, Carried, Injection, Level, Lookup, PodSubject,
        allocation::{PoolAttachment, asks, can_be_served},
        judge::{judge_binding, judge_pod},
        subject::Resolution,
    },
};

/// Whether a pod is being bound.
pub fn is_binding(request: &Request<'_>) -> bool {
    let resource = (&*request.resource.group, &*request.resource.resource);
    let subresource = request.subresource.as_deref().unwrap_or_default();
    let which = matches!(
        (resource, subresource),
        (("", "pods"), "binding") | (("", "bindings"), "")
    );
    which && request.operation == Operation::Create
}

/// What `POST /mutate` does about a Binding.
pub(super) fn mutate(request: &Request<'_>, context: &ReviewContext<'_>) -> Decision {
    let allow = || Decision::Answer(Answer::allow(request));
    let Some(binding) = request.object.as_ref() else {
        return allow();
    };
    let namespace = request.namespace.as_deref().unwrap_or_default();
    if context.policy.injection_in(namespace) != Injection::Bind {
        return allow();
    }
    let pod = match target(request, binding, context) {
        Target::Pod(pod) => pod,
        Target::Nothing => return allow(),
        Target::LookUp(lookup) => return Decision::Confirm(vec![lookup]),
    };
    let subject = subject_of(pod, context);
    if let Some(lookup) = unknown_network(&subject, context) {
        return Decision::Confirm(vec![lookup]);
    }
    let attachments = asks(&subject);
    if attachments.is_empty() || !can_be_served(&subject) {
        return allow();
    }
    let denied = judge_pod(&subject, Level::Off);
    if !denied.is_empty() {
        return Decision::of(request, denied, context.freshness);
    }
    let filling = Filling {
        subject: &subject,
        attachments: &attachments,
        asker: asker(pod, node_of(binding)),
        target_of: pod.target_of.as_deref(),
        let_in: false,
        kept: kept(pod),
        token: None,
        written: &binding.metadata.annotations,
    };
    filling.decide(request, context)
}

/// What `POST /validate` does about a Binding: of the annotations that speak of networks it may bring
/// exactly what nadmit holds for the pod.
pub(super) fn validate(request: &Request<'_>, context: &ReviewContext<'_>) -> Decision {
    let allow = || Decision::Answer(Answer::allow(request));
    let binding = request.object.as_ref();
    let Some(binding) = binding.filter(|binding| speaks(&binding.metadata.annotations)) else {
        return allow();
    };
    let pod = match target(request, binding, context) {
        Target::Pod(pod) => Some(pod),
        // Whoever binds it now or has bound it: the API server refuses, and merges nothing.
        Target::Nothing => return allow(),
        Target::LookUp(lookup) => return Decision::Confirm(vec![lookup]),
    };
    let node = node_of(binding);
    let brought = &binding.metadata.annotations;
    let known = match pod.map(|pod| held(pod, node, None, context)) {
        Some(Ok(held)) => held,
        Some(Err(Unsure::LookUp(lookups))) => return Decision::Confirm(lookups),
        Some(Err(Unsure::Pending)) => {
            let reason = "its addresses are being recorded; bind the pod again".to_owned();
            return Decision::AskAgain(Answer::later(request, reason));
        }
        None => Wanted::default(),
    };
    let carried = carried(brought, &known);
    if carried.iter().all(Carried::is_held) {
        return allow();
    }
    // Two replicas may each have given it an address: either may be brought, and the other is surplus.
    if let Some(Ok(named)) = pod.map(|pod| held(pod, node, Some(brought), context))
        && self::carried(brought, &named).iter().all(Carried::is_held)
    {
        return allow();
    }
    let lookups = unread(request, binding, pod, context);
    if !lookups.is_empty() {
        return Decision::Confirm(lookups);
    }
    let findings = judge_binding(&BindingSubject {
        policy: context.policy,
        carried: &carried,
    });
    Decision::of(request, findings, context.freshness)
}

/// The pod that a Binding is for.
enum Target<'c> {
    /// It may be bound.
    Pod(&'c Pod),
    /// There is nothing to do for it.
    Nothing,
    /// It is not known well enough.
    LookUp(Lookup),
}

fn target<'c>(
    request: &Request<'_>,
    binding: &Object<'_>,
    context: &ReviewContext<'c>,
) -> Target<'c> {
    let namespace = request.namespace.as_deref().unwrap_or_default();
    let name = request.name.as_deref().filter(|name| !name.is_empty());
    let name = name
        .or(binding.metadata.name.as_deref())
        .unwrap_or_default();
    let lookup = Lookup::Pod {
        namespace: namespace.into(),
        name: name.into(),
    };
    let confirmed = context.freshness.covers(&lookup);
    let uid = binding
        .metadata
        .uid
        .as_deref()
        .filter(|uid| !uid.is_empty());
    let pod = context.catalog.pod(namespace, name);
    let pod = pod.filter(|pod| uid.is_none_or(|uid| pod.uid.as_deref() == Some(uid)));
    match pod {
        Some(pod) if pod.host_network || pod.mirror => Target::Nothing,
        // A UID is never given twice, and the annotations of a pod that waits do not change.
        Some(pod) if (confirmed || uid.is_some()) && is_waiting(pod) => Target::Pod(pod),
        _ if confirmed => Target::Nothing,
        _ => Target::LookUp(lookup),
    }
}

fn is_waiting(pod: &Pod) -> bool {
    pod.node.is_none() && !pod.terminating
}

/// A pod that exists, as rules look at it.
pub(super) fn subject_of<'s>(pod: &'s Pod, context: &ReviewContext<'s>) -> PodSubject<'s> {
    let mut subject = PodSubject::new(
        &pod.namespace,
        pod.host_network,
        pod.networks.as_deref(),
        pod.default_network.as_deref(),
        context.policy,
        context.catalog,
    );
    subject.has_node = pod.node.is_some();
    subject
}

/// Who asks when this pod does, on this node.
pub(super) fn asker(pod: &Pod, node: Option<&str>) -> Requester {
    Requester {
        holder: pod.holder.clone(),
        pod: Some(PodRef {
            name: (&*pod.name).into(),
            uid: pod.uid.as_deref().map(Into::into),
            node: node.map(Into::into),
        }),
        node: node.map(Into::into),
    }
}

/// The node that a Binding names.
fn node_of<'s>(binding: &'s Object<'_>) -> Option<&'s str> {
    let target = binding.target.as_ref()?;
    Some(&*target.name).filter(|name| !name.is_empty())
}

/// What the pod was asked for, if something was put in before.
pub(super) fn kept(pod: &Pod) -> Kept<'_> {
    Kept {
        networks: pod.requested.networks.as_deref(),
        default_network: pod.requested.default_network.as_deref(),
    }
}

/// A network that the pod names and nobody knows: it may be a moment old, and of a pool.
fn unknown_network(subject: &PodSubject<'_>, context: &ReviewContext<'_>) -> Option<Lookup> {
    let mut lookups = subject.attachments().filter_map(|attachment| {
        let missing = matches!(attachment.resolution, Resolution::Missing);
        let name = attachment.selection.network_name().filter(|_| missing)?;
        Some(Lookup::Network {
            namespace: attachment.namespace().into(),
            name: name.into(),
        })
    });
    lookups.find(|lookup| !context.freshness.covers(lookup))
}

/// Whether annotations say anything of networks, or in nadmit's name.
fn speaks(annotations: &Annotations<'_>) -> bool {
    texts(annotations).iter().any(|(_, text)| text.is_some())
}

fn texts<'s>(annotations: &'s Annotations<'_>) -> [(&'static str, Option<&'s str>); 5] {
    [
        (annotations::NETWORKS, annotations.networks.as_deref()),
        (
            annotations::DEFAULT_NETWORK,
            annotations.default_network.as_deref(),
        ),
        (
            annotations::REQUESTED_NETWORKS,
            annotations.requested_networks.as_deref(),
        ),
        (
            annotations::REQUESTED_DEFAULT_NETWORK,
            annotations.requested_default_network.as_deref(),
        ),
        (
            annotations::HOLDER_TOKEN,
            annotations.holder_token.as_deref(),
        ),
    ]
}

/// The reason why it is not known what a pod holds.
enum Unsure {
    /// These have to be looked up first.
    LookUp(Vec<Lookup>),
    /// This replica has a plan of its own for one of the addresses, which is not settled yet.
    Pending,
}

/// Returns the pod's annotations as what it holds makes them; of several addresses that it holds in one
/// range those that are `brought`.
fn held(
    pod: &Pod,
    node: Option<&str>,
    brought: Option<&Annotations<'_>>,
    context: &ReviewContext<'_>,
) -> Result<Wanted, Unsure> {
    let subject = subject_of(pod, context);
    let mut attachments = asks(&subject);
    if let Some(brought) = brought {
        name_brought(&mut attachments, &pod.namespace, brought, context);
    }
    if attachments.is_empty() || !can_be_served(&subject) {
        return Ok(Wanted::default());
    }
    let asker = asker(pod, node);
    let asks: Vec<AttachmentRequest> = attachments.iter().map(|one| one.ask.clone()).collect();
    match standing(&asker, pod.target_of.as_deref(), &asks, context) {
        Standing::May => {}
        Standing::LookUp(lookups) => return Err(Unsure::LookUp(lookups)),
        Standing::Refused(_) => return Ok(Wanted::default()),
    }
    let mut index = context.allocations.lock();
    index.sync(context.catalog.pool_config());
    let given = index.preview_ignoring_readiness(&asker, &asks, context.now);
    if let Err(refused) = &given
        && refused.iter().any(|one| one.refusal.is_busy())
    {
        return Err(Unsure::Pending);
    }
    let given = given
        .ok()
        .filter(|given| is_held(&asker, &asks, given, &index));
    Ok(given.map_or_else(Wanted::default, |given| {
        Wanted::new(&subject, kept(pod), &attachments, &given)
    }))
}

/// Returns the annotations that a Binding brings as those of a pod.
fn subject_of_brought<'s>(
    namespace: &'s str,
    brought: &'s Annotations<'_>,
    context: &'s ReviewContext<'_>,
) -> PodSubject<'s> {
    PodSubject::new(
        namespace,
        false,
        brought.networks.as_deref(),
        brought.default_network.as_deref(),
        context.policy,
        context.catalog,
    )
}

/// Makes attachments without named addresses ask for those that a Binding brings.
fn name_brought(
    attachments: &mut [PoolAttachment],
    namespace: &str,
    brought: &Annotations<'_>,
    context: &ReviewContext<'_>,
) {
    let brought = asks(&subject_of_brought(namespace, brought, context));
    for one in attachments.iter_mut().filter(|one| one.ask.ips.is_empty()) {
        let same = |other: &&PoolAttachment| {
            other.ask.network == one.ask.network && other.ask.interface == one.ask.interface
        };
        if let Some(other) = brought.iter().find(same) {
            one.ask.ips.clone_from(&other.ask.ips);
        }
    }
}

/// Whether all of it is recorded for the asker: what a preview gives may be free as yet.
fn is_held(
    asker: &Requester,
    asks: &[AttachmentRequest],
    given: &[Assignment],
    index: &Index,
) -> bool {
    asks.iter().zip(given).all(|(ask, given)| {
        let held = index.held_by(&asker.holder, &ask.network, &ask.interface);
        let holds = |address: Address| held.iter().any(|one| one.address == address);
        let ips = given.ips.iter().all(|(ip, _)| holds(Address::Ip(*ip)));
        let mac = given.mac.is_none_or(|mac| {
            holds(Address::Mac(mac)) || held.iter().any(|one| one.mac == Some(mac))
        });
        ips && mac
    })
}

/// Each annotation of the Binding beside what is held.
fn carried<'s>(annotations: &'s Annotations<'_>, held: &'s Wanted) -> Vec<Carried<'s>> {
    let held = [
        &held.networks,
        &held.default_network,
        &held.requested_networks,
        &held.requested_default_network,
        &held.token,
    ];
    let pairs = texts(annotations).into_iter().zip(held);
    pairs
        .filter_map(|((key, text), held)| {
            Some(Carried {
                key,
                text: text?,
                held: held.as_deref(),
            })
        })
        .collect()
}

/// What was not read live yet of all that a refusal would rest on: the pod, and the records of the
/// addresses and MACs that the Binding brings, which another replica may have written a moment ago.
fn unread(
    request: &Request<'_>,
    binding: &Object<'_>,
    pod: Option<&Pod>,
    context: &ReviewContext<'_>,
) -> Vec<Lookup> {
    let namespace = request.namespace.as_deref().unwrap_or_default();
    let subject = subject_of_brought(namespace, &binding.metadata.annotations, context);
    let of_address = |one: &PoolAttachment| {
        let pool: Box<str> = (&*one.ask.pool).into();
        let mac = match one.ask.mac {
            MacRequest::Exact(mac) => Some(Address::Mac(mac)),
            MacRequest::Auto | MacRequest::None => None,
        };
        let ips = one.ask.ips.iter().map(|ip| Address::Ip(*ip));
        ips.chain(mac)
            .map(move |address| Lookup::Allocations {
                pool: pool.clone(),
                address: Some(address),
            })
            .collect::<Vec<_>>()
    };
    let pod = pod.map(|pod| Lookup::Pod {
        namespace: namespace.into(),
        name: pod.name.clone(),
    });
    let all = asks(&subject)
        .iter()
        .flat_map(of_address)
        .collect::<Vec<_>>();
    let all = pod.into_iter().chain(all);
    all.filter(|lookup| !context.freshness.covers(lookup))
        .collect()
}
