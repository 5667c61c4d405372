//! The decision: which rules see a request, and what becomes of their findings.

use serde_json::value::RawValue;

use super::{
    allocated,
    answer::{Answer, Verdict},
    binding,
    context::{Freshness, ReviewContext},
    inject,
    object::Object,
    pod::subject,
    pool,
    review::{OWN_GROUP, Operation, Request},
    unrecorded,
    workload::Template,
};
use crate::{
    allocation::{Slice, Write, index::PlanId},
    catalog::Catalog,
    network::operator,
    rules::{
        Finding, Level, Lookup, NetworkSubject, NetworkUseSubject, PodSubject, Policy,
        UpdateSubject,
        judge::{
            self, judge_additional_use, judge_config_map, judge_network, judge_network_use,
            judge_operator, judge_pod, judge_update,
        },
        network_subject::NetworkText,
        news::only_news,
        operator::ConfigMapSubject,
        subject::{Change, Origin},
    },
};

/// The API group of `NetworkAttachmentDefinitions`.
const NAD_GROUP: &str = "k8s.cni.cncf.io";
/// Their plural name.
const NAD_RESOURCE: &str = "network-attachment-definitions";

/// The most look-ups that warnings of one review lead to.
const MOST_REFRESHED: usize = 4;

/// The plural name of the object that OpenShift's network operator takes its settings from.
const OPERATOR_RESOURCE: &str = "networks";

/// Which of the two webhooks was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Webhook {
    /// `POST /validate`
    Validate,
    /// `POST /mutate`
    Mutate,
}

/// What to do about a review.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Answer this.
    Answer(Answer),
    /// Write these records first; answer only when they are safe.
    Plan(Plan),
    /// Look these up at their origin, then decide again with [`Evidence::LookedUp`]: what was decided
    /// rests on what is not certain.
    Confirm(Vec<Lookup>),
    /// Look these up at their origin if it answers soon, then decide again: a warning rests on them.
    /// Look-ups without an answer are named in [`Evidence::LookedUp`] as tried.
    Refresh(Vec<Lookup>),
    /// Record that this node owns this slice, tell the index, and decide again: a pod needs an
    /// address of it.
    Claim(Slice),
    /// Decide again a moment later: something that is needed is being recorded for another request.
    /// When there is no time for that, answer this.
    AskAgain(Answer),
}

/// Records to write, and the answer that may leave after that.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// What to write, all or none.
    pub writes: Vec<Write>,
    /// By which the index knows the plan: it is to be confirmed, or rolled back.
    pub ticket: PlanId,
    /// How many of the addresses are lent from slices of other nodes.
    pub borrowed: usize,
    /// What to answer when they are safe.
    pub answer: Answer,
}

/// Decides about one request. Pure: the same request, catalog, policy and evidence give the same
/// decision.
///
/// # Guarantees
/// - [`Decision::Confirm`] asks for nothing that the evidence covers; with [`Evidence::Confirmed`] the
///   decision is never one. The same holds of [`Decision::Refresh`], which asks for nothing twice.
/// - What nadmit has no rule for is allowed, and so are CONNECT and every DELETE but a network's.
/// - An update is judged for what it changes; nothing that is being deleted is ever refused, unless a pod is to
///   take an address meanwhile.
pub fn decide(webhook: Webhook, request: &Request<'_>, context: &ReviewContext<'_>) -> Decision {
    if webhook == Webhook::Mutate {
        return inject::mutate(request, context);
    }
    if binding::is_binding(request) {
        return binding::validate(request, context);
    }
    let resource = (&*request.resource.group, &*request.resource.resource);
    let subresource = request.subresource.as_deref().unwrap_or_default();
    match (resource, subresource, request.operation) {
        (("", "pods"), "", Operation::Create) => pod_created(request, context),
        // Annotations can be changed through the status, too.
        (("", "pods"), "" | "status", Operation::Update) => {
            let findings = pod_update(request, context.catalog, context.policy);
            let decision = Decision::of(request, findings, context.freshness);
            decision.and_then(|| pod_readdressed(request, context))
        }
        _ => Decision::of(request, findings(request, context), context.freshness),
    }
}

impl Decision {
    /// The decision that these findings make.
    pub(super) fn of(
        request: &Request<'_>,
        findings: Vec<Finding>,
        evidence: Freshness<'_>,
    ) -> Self {
        let lookups = unconfirmed(&findings, evidence);
        if !lookups.is_empty() {
            return Self::Confirm(lookups);
        }
        let lookups = doubtful(&findings, evidence);
        if !lookups.is_empty() {
            return Self::Refresh(lookups);
        }
        Self::Answer(Answer::new(request, findings))
    }

    /// This decision, unless it lets the request pass and there is more to decide: what is refused
    /// already takes nothing.
    fn and_then(self, next: impl FnOnce() -> Option<Self>) -> Self {
        match self {
            Self::Answer(answer) if answer.verdict() != Verdict::Deny => match next() {
                Some(next) => next.after(&answer),
                None => Self::Answer(answer),
            },
            _ => self,
        }
    }

    /// The same decision, with what an earlier answer had found before what this one says.
    fn after(self, earlier: &Answer) -> Self {
        match self {
            Self::Answer(answer) => Self::Answer(answer.after(earlier)),
            Self::AskAgain(answer) => Self::AskAgain(answer.after(earlier)),
            Self::Plan(plan) => Self::Plan(Plan {
                answer: plan.answer.after(earlier),
                ..plan
            }),
            Self::Claim(slice) => Self::Claim(slice),
            Self::Confirm(lookups) => Self::Confirm(lookups),
            Self::Refresh(lookups) => Self::Refresh(lookups),
        }
    }
}

/// A pod that is created: what its annotations say, and then whose its addresses are.
fn pod_created(request: &Request<'_>, context: &ReviewContext<'_>) -> Decision {
    let (catalog, policy) = (context.catalog, context.policy);
    let pod = judged(request).filter(|pod| asks_for_networks(pod) || means_networks(pod));
    let Some(pod) = pod else {
        return Decision::Answer(Answer::allow(request));
    };
    let subject = subject(request, pod, policy, catalog);
    let findings = judge_pod(&subject, pods_loudest(request, catalog, policy));
    let decision = Decision::of(request, findings, context.freshness);
    decision.and_then(|| {
        let pooled = asks_for_networks(pod) && has_pools(context);
        pooled.then(|| whose(request, pod, &subject, context))?
    })
}

/// Whose the addresses of a pod are whose annotations change.
fn pod_readdressed(request: &Request<'_>, context: &ReviewContext<'_>) -> Option<Decision> {
    let pod = changed(request)?;
    let before = request.old_object.as_ref();
    let before = before.map(|old| &old.metadata.annotations);
    if !has_pools(context) || before == Some(&pod.metadata.annotations) {
        return None;
    }
    let subject = subject(request, pod, context.policy, context.catalog);
    whose(request, pod, &subject, context)
}

/// Whose what a pod names is, on networks of pools and on others.
fn whose(
    request: &Request<'_>,
    pod: &Object<'_>,
    subject: &PodSubject<'_>,
    context: &ReviewContext<'_>,
) -> Option<Decision> {
    let elsewhere = unrecorded::decide(request, pod, subject, context);
    elsewhere.or_else(|| allocated::decide(request, pod, subject, context))
}

/// Returns true if there are pools; their rules hold in every namespace.
fn has_pools(context: &ReviewContext<'_>) -> bool {
    !context.catalog.pool_config().pools.is_empty()
}

/// What must be looked up before these findings may deny.
fn unconfirmed(findings: &[Finding], evidence: Freshness<'_>) -> Vec<Lookup> {
    let mut lookups: Vec<Lookup> = Vec::new();
    for finding in findings
        .iter()
        .filter(|finding| finding.level == Level::Deny)
    {
        if let Some(lookup) = &finding.rests_on
            && !evidence.covers(lookup)
            && !lookups.contains(lookup)
        {
            lookups.push(lookup.clone());
        }
    }
    lookups
}

/// Returns what is worth looking up before these findings warn: a network or a pool that was applied a
/// moment before the object under review. What costs a whole list is not.
fn doubtful(findings: &[Finding], evidence: Freshness<'_>) -> Vec<Lookup> {
    let mut lookups: Vec<Lookup> = Vec::new();
    let most = MOST_REFRESHED.saturating_sub(evidence.asked());
    let warnings = findings.iter().filter(|one| one.level == Level::Warn);
    for lookup in warnings.filter_map(|one| one.rests_on.as_ref()) {
        let cheap = matches!(lookup, Lookup::Network { .. } | Lookup::Pool { .. });
        if lookups.len() < most && cheap && !evidence.has_asked(lookup) && !lookups.contains(lookup)
        {
            lookups.push(lookup.clone());
        }
    }
    lookups
}

/// Dispatch by resource and subresource.
fn findings(request: &Request<'_>, context: &ReviewContext<'_>) -> Vec<Finding> {
    let (catalog, policy) = (context.catalog, context.policy);
    let resource = (&*request.resource.group, &*request.resource.resource);
    let subresource = request.subresource.as_deref().unwrap_or_default();
    match (resource, subresource, request.operation) {
        ((NAD_GROUP, NAD_RESOURCE), "", Operation::Create | Operation::Update) => {
            network(request, catalog, policy)
        }
        ((NAD_GROUP, NAD_RESOURCE), "", Operation::Delete) => {
            network_deleted(request, catalog, policy)
        }
        ((operator::GROUP, OPERATOR_RESOURCE), "", Operation::Create | Operation::Update) => {
            additional_networks(request, catalog, policy)
        }
        (("", "configmaps"), "", Operation::Create | Operation::Update) => {
            config_map(request, catalog, policy)
        }
        ((OWN_GROUP, _), "", _) => pool::findings(
            request,
            catalog,
            policy,
            |pool, change| pool::held(context.allocations, pool, change),
            &|reservation, pool| {
                let mut index = context.allocations.lock();
                index.sync(catalog.pool_config());
                index.namespace_usage_with(reservation, pool)
            },
        ),
        ((group, resource), "", Operation::Create | Operation::Update) => {
            match Template::of(group, resource) {
                Some(template) => workload(template, request, catalog, policy),
                None => Vec::new(),
            }
        }
        _ => Vec::new(),
    }
}

/// The findings on a workload's template, or on a virtual machine's networks.
fn workload(
    template: Template,
    request: &Request<'_>,
    catalog: &Catalog,
    policy: &Policy,
) -> Vec<Finding> {
    let (Some(after), Some(loudest)) = (judged(request), loudest(request, catalog, policy)) else {
        return Vec::new();
    };
    template.findings(request, after, loudest, catalog, policy)
}

/// The findings on a network's own configuration; of an update only those that are new.
fn network(request: &Request<'_>, catalog: &Catalog, policy: &Policy) -> Vec<Finding> {
    let (Some(after), Some(loudest)) = (judged(request), loudest(request, catalog, policy)) else {
        return Vec::new();
    };
    let findings = |object: &Object<'_>| {
        let written = NetworkText {
            namespace: request.namespace.as_deref().unwrap_or_default(),
            name: object.metadata.name.as_deref().unwrap_or_default(),
            config: object.spec.config.as_deref(),
            odd_config: object.spec.odd_config,
            resource_name: object.metadata.annotations.resource_name.as_deref(),
            address_pool: object.metadata.annotations.address_pool.as_deref(),
            ..NetworkText::default()
        };
        let subject = NetworkSubject::new(written, policy, catalog);
        judge_network(&subject, loudest)
    };
    match &request.old_object {
        None => findings(after),
        Some(before)
            if before.spec == after.spec
                && before.metadata.annotations.address_pool
                    == after.metadata.annotations.address_pool =>
        {
            Vec::new()
        }
        Some(before) => {
            let mut found = only_news(findings(after), &findings(before));
            let after = Some(after);
            found.extend(network_use(request, before, after, catalog, policy));
            found
        }
    }
}

/// The findings on what OpenShift's operator will make networks of; of an update only those that are
/// new, and what it takes from pods.
fn additional_networks(request: &Request<'_>, catalog: &Catalog, policy: &Policy) -> Vec<Finding> {
    let Some(after) = judged(request) else {
        return Vec::new();
    };
    let entries =
        |object: &Object<'_>| operator::read(object.spec.additional_networks.unwrap_or_default());
    let findings = |entries: &[_]| judge_operator(entries, catalog, policy);
    let new = entries(after);
    let Some(old) = request.old_object.as_ref().map(entries) else {
        return findings(&new);
    };
    let mut found = only_news(findings(&new), &findings(&old));
    if !policy.may_pull_networks(&request.user_info.username) {
        found.extend(judge_additional_use(&old, &new, catalog, policy));
    }
    found
}

/// The findings on a `ConfigMap`; of an update only those that are new.
fn config_map(request: &Request<'_>, catalog: &Catalog, policy: &Policy) -> Vec<Finding> {
    let (Some(after), Some(loudest)) = (judged(request), loudest(request, catalog, policy)) else {
        return Vec::new();
    };
    let findings = |object: &Object<'_>| {
        let subject = ConfigMapSubject {
            name: object.metadata.name.as_deref().unwrap_or_default(),
            data: object.data.map_or("", RawValue::get),
        };
        judge_config_map(&subject, policy, loudest)
    };
    match &request.old_object {
        None => findings(after),
        Some(before) => only_news(findings(after), &findings(before)),
    }
}

/// The findings on a network's deletion. One that was asked for before goes on.
fn network_deleted(request: &Request<'_>, catalog: &Catalog, policy: &Policy) -> Vec<Finding> {
    let old = request.old_object.as_ref();
    match old.filter(|old| old.metadata.deletion_timestamp.is_none()) {
        Some(old) => network_use(request, old, None, catalog, policy),
        None => Vec::new(),
    }
}

/// The findings on a network that pods use, when it changes or, without an `after`, is deleted.
fn network_use(
    request: &Request<'_>,
    before: &Object<'_>,
    after: Option<&Object<'_>>,
    catalog: &Catalog,
    policy: &Policy,
) -> Vec<Finding> {
    let namespace = request.namespace.as_deref().unwrap_or_default();
    let known = catalog.namespace(namespace);
    let terminating = known.is_some_and(|namespace| namespace.labels.terminating);
    if terminating || policy.may_pull_networks(&request.user_info.username) {
        return Vec::new();
    }
    let Some(loudest) = loudest(request, catalog, policy) else {
        return Vec::new();
    };
    let name = before.metadata.name.as_deref().unwrap_or_default();
    let subject = NetworkUseSubject {
        namespace,
        name,
        field: if after.is_none() {
            "metadata.name"
        } else {
            "spec.config"
        }
        .to_owned(),
        before: before.spec.config.as_deref(),
        after: after.and_then(|after| after.spec.config.as_deref()),
        users: catalog.users(namespace, name, &policy.multus_namespace),
    };
    judge_network_use(&subject, after.is_none(), policy, loudest)
}

fn pod_update(request: &Request<'_>, catalog: &Catalog, policy: &Policy) -> Vec<Finding> {
    let (Some(after), Some(before)) = (changed(request), &request.old_object) else {
        return Vec::new();
    };
    if after.metadata.annotations == before.metadata.annotations {
        return Vec::new();
    }
    let namespace = request.namespace.as_deref().unwrap_or_default();
    let annotations = [&before.metadata.annotations, &after.metadata.annotations];
    let change = |origin, [before, after]: [Option<_>; 2]| Change {
        origin,
        before,
        after,
    };
    let labels = catalog
        .namespace(namespace)
        .map(|namespace| namespace.labels);
    let launcher = before.metadata.labels.virt_launcher;
    let subject = UpdateSubject {
        namespace,
        policy,
        may_change: labels.unwrap_or_default().mutable_attachments
            || policy.may_change_attachments(&request.user_info.username, launcher),
        changes: vec![
            change(
                Origin::default_network(policy),
                annotations.map(|a| a.default_network.as_deref()),
            ),
            change(
                Origin::networks(namespace),
                annotations.map(|a| a.networks.as_deref()),
            ),
        ],
    };
    let loudest = loudest(request, catalog, policy).filter(|_| !is_going(after));
    let mut findings = loudest.map_or_else(Vec::new, |loudest| judge_update(&subject, loudest));
    let known = pod_findings(request, before, catalog, policy);
    findings.extend(only_news(
        pod_findings(request, after, catalog, policy),
        &known,
    ));
    findings
}

/// The object under review, unless it is none to judge: being deleted, or the kubelet's own copy of
/// a static pod, which runs whatever is answered.
pub(super) fn judged<'r, 'a>(request: &'r Request<'a>) -> Option<&'r Object<'a>> {
    changed(request).filter(|object| !is_going(object))
}

/// Returns the pod under review that is changed, unless it is the kubelet's own. One that is being deleted
/// runs on for its grace period, which is the deleting user's choice, and an address can be plugged into it.
pub(super) fn changed<'r, 'a>(request: &'r Request<'a>) -> Option<&'r Object<'a>> {
    // Whoever creates a pod may annotate it as a static pod's copy; only a node has static pods.
    let is_static =
        |pod: &&Object<'_>| pod.metadata.annotations.mirror && request.user_info.is_node();
    request.object.as_ref().filter(|pod| !is_static(pod))
}

fn is_going(object: &Object<'_>) -> bool {
    object.metadata.deletion_timestamp.is_some()
}

/// How loudly rules may speak in the request's namespace; `None` where they are silent.
pub(super) fn loudest(request: &Request<'_>, catalog: &Catalog, policy: &Policy) -> Option<Level> {
    let namespace = request.namespace.as_deref().unwrap_or_default();
    judge::loudest(namespace, catalog, policy)
}

fn pod_findings(
    request: &Request<'_>,
    pod: &Object<'_>,
    catalog: &Catalog,
    policy: &Policy,
) -> Vec<Finding> {
    if !asks_for_networks(pod) && !means_networks(pod) {
        return Vec::new();
    }
    let loudest = pods_loudest(request, catalog, policy);
    judge_pod(&subject(request, pod, policy, catalog), loudest)
}

fn asks_for_networks(pod: &Object<'_>) -> bool {
    let annotations = &pod.metadata.annotations;
    annotations.networks.is_some() || annotations.default_network.is_some()
}

/// Returns true if a pod has annotations that nobody reads, much like those that ask for networks.
fn means_networks(pod: &Object<'_>) -> bool {
    !pod.metadata.annotations.unread.is_empty()
}

/// Returns the highest level of findings on a pod. Where rules are off, as on a pod that is being deleted,
/// authority over address pools is not.
fn pods_loudest(request: &Request<'_>, catalog: &Catalog, policy: &Policy) -> Level {
    let going = request.object.as_ref().is_some_and(is_going);
    let loudest = loudest(request, catalog, policy).filter(|_| !going);
    loudest.unwrap_or(Level::Off)
}
