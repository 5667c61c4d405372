//! Routes a request to the rules for its kind, and turns their findings into a decision.

use serde_json::value::RawValue;

use super::{
    binding,
    context::{Freshness, ReviewContext},
    mutate,
    object::ReviewObject,
    pod::subject_under_review,
    pool,
    response::{AdmissionResponse, Verdict},
    review::{AdmissionRequest, OWN_GROUP, Operation},
    unrecorded, validate_addresses,
    workload::Template,
};
use nadmit_allocation::{Slice, Write, index::PlanId};
use nadmit_catalog::Catalog;
use nadmit_cni::operator;
use nadmit_rules::{
    Finding, Level, LiveRead, NetworkSubject, NetworkUseSubject, PodSubject, Policy, UpdateSubject,
    judge::{
        self, judge_additional_use, judge_config_map, judge_network, judge_network_use,
        judge_operator, judge_pod, judge_update,
    },
    network_subject::RawNetwork,
    new_findings::subtract_baseline,
    operator::ConfigMapSubject,
    subject::{AnnotationChange, AnnotationOrigin},
};

/// The API group of `NetworkAttachmentDefinitions`.
const NAD_GROUP: &str = "k8s.cni.cncf.io";
/// The plural name of `NetworkAttachmentDefinitions`.
const NAD_RESOURCE: &str = "network-attachment-definitions";

/// The maximum number of live reads made for the warnings of one review.
const MAX_WARNING_READS: usize = 4;

/// The plural name of the object that configures OpenShift's network operator.
const OPERATOR_RESOURCE: &str = "networks";

/// The webhook that was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Webhook {
    /// `POST /validate`
    Validate,
    /// `POST /mutate`
    Mutate,
}

/// The next step for a review.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Send this response.
    Respond(AdmissionResponse),
    /// Commit these records first; respond only when they are durable.
    Commit(PendingCommit),
    /// Make these live reads, then decide again with [`Freshness::VerifiedFor`]: a denial rests on
    /// them.
    VerifyLive(Vec<LiveRead>),
    /// Make these live reads if they are quick, then decide again: a warning rests on them. Reads
    /// that failed are passed as `unanswered` in [`Freshness::VerifiedFor`].
    Refresh(Vec<LiveRead>),
    /// Record that this node owns this slice, apply that to the index, and decide again: a pod
    /// needs an address of it.
    ClaimSlice(Slice),
    /// Decide again after a short delay: another request is recording something that this one
    /// needs. If there is no time left, send this response.
    Retry(AdmissionResponse),
}

/// Records to write, and the response to send once they are durable.
#[derive(Debug, Clone, PartialEq)]
pub struct PendingCommit {
    /// The writes: all or none of them.
    pub writes: Vec<Write>,
    /// The index's id of the plan, which has to be committed or aborted.
    pub plan_id: PlanId,
    /// The number of addresses borrowed from slices of other nodes.
    pub borrowed: usize,
    /// The response to send when the records are durable.
    pub response: AdmissionResponse,
}

/// Decides about one request. Pure: equal requests and contexts give equal decisions.
///
/// # Guarantees
/// - [`Decision::VerifyLive`] never asks for a read that the freshness covers; with
///   [`Freshness::Authoritative`] it is never returned. The same holds for [`Decision::Refresh`],
///   which never asks for a read twice.
/// - Requests without a rule are allowed, and so are CONNECT and every DELETE but a network's.
/// - Updates are judged for what they change. An object that is being deleted is never denied,
///   unless a pod is to get an address meanwhile.
pub fn decide(
    webhook: Webhook,
    request: &AdmissionRequest<'_>,
    context: &ReviewContext<'_>,
) -> Decision {
    if webhook == Webhook::Mutate {
        return mutate::decide(request, context);
    }
    if binding::is_binding(request) {
        return binding::validate(request, context);
    }
    let resource = (&*request.resource.group, &*request.resource.resource);
    let subresource = request.subresource.as_deref().unwrap_or_default();
    match (resource, subresource, request.operation) {
        (("", "pods"), "", Operation::Create) => pod_create(request, context),
        // Annotations can be changed through the status, too.
        (("", "pods"), "" | "status", Operation::Update) => {
            let findings = pod_update(request, context.catalog, context.policy);
            let decision = Decision::from_findings(request, findings, context.freshness);
            decision.unless_denied(|| pod_addresses_update(request, context))
        }
        _ => Decision::from_findings(request, findings(request, context), context.freshness),
    }
}

impl Decision {
    /// Returns the decision for these findings: a response, or the live reads needed first.
    pub(super) fn from_findings(
        request: &AdmissionRequest<'_>,
        findings: Vec<Finding>,
        freshness: Freshness<'_>,
    ) -> Self {
        let live_reads = reads_before_denial(&findings, freshness);
        if !live_reads.is_empty() {
            return Self::VerifyLive(live_reads);
        }
        let live_reads = reads_before_warning(&findings, freshness);
        if !live_reads.is_empty() {
            return Self::Refresh(live_reads);
        }
        Self::Respond(AdmissionResponse::new(request, findings))
    }

    /// Returns this decision, unless it allows the request and `next` has one to add. A denied
    /// request must not allocate anything.
    fn unless_denied(self, next: impl FnOnce() -> Option<Self>) -> Self {
        match self {
            Self::Respond(response) if response.verdict() != Verdict::Deny => match next() {
                Some(next) => next.with_earlier_findings(&response),
                None => Self::Respond(response),
            },
            _ => self,
        }
    }

    /// Returns this decision with the findings of an earlier response before its own.
    fn with_earlier_findings(self, earlier: &AdmissionResponse) -> Self {
        match self {
            Self::Respond(response) => Self::Respond(response.with_earlier_findings(earlier)),
            Self::Retry(response) => Self::Retry(response.with_earlier_findings(earlier)),
            Self::Commit(plan) => Self::Commit(PendingCommit {
                response: plan.response.with_earlier_findings(earlier),
                ..plan
            }),
            Self::ClaimSlice(slice) => Self::ClaimSlice(slice),
            Self::VerifyLive(live_reads) => Self::VerifyLive(live_reads),
            Self::Refresh(live_reads) => Self::Refresh(live_reads),
        }
    }
}

/// Decides about a new pod: first its annotations, then the holders of its addresses.
fn pod_create(request: &AdmissionRequest<'_>, context: &ReviewContext<'_>) -> Decision {
    let (catalog, policy) = (context.catalog, context.policy);
    let pod = reviewable(request)
        .filter(|pod| has_network_annotations(pod) || has_near_miss_annotations(pod));
    let Some(pod) = pod else {
        return Decision::Respond(AdmissionResponse::allow(request));
    };
    let subject = subject_under_review(request, pod, policy, catalog);
    let findings = judge_pod(&subject, pod_max_level(request, catalog, policy));
    let decision = Decision::from_findings(request, findings, context.freshness);
    decision.unless_denied(|| {
        let pooled = has_network_annotations(pod) && has_pools(context);
        pooled.then(|| validate_holders(request, pod, &subject, context))?
    })
}

/// Checks the holders of addresses when a pod's annotations change.
fn pod_addresses_update(
    request: &AdmissionRequest<'_>,
    context: &ReviewContext<'_>,
) -> Option<Decision> {
    let pod = non_static_object(request)?;
    let before = request.old_object.as_ref();
    let before = before.map(|old| &old.metadata.annotations);
    if !has_pools(context) || before == Some(&pod.metadata.annotations) {
        return None;
    }
    let subject = subject_under_review(request, pod, context.policy, context.catalog);
    validate_holders(request, pod, &subject, context)
}

/// Checks the holders of the addresses and MACs that a pod names, on networks with and without a
/// pool.
fn validate_holders(
    request: &AdmissionRequest<'_>,
    pod: &ReviewObject<'_>,
    subject: &PodSubject<'_>,
    context: &ReviewContext<'_>,
) -> Option<Decision> {
    let elsewhere = unrecorded::decide(request, pod, subject, context);
    elsewhere.or_else(|| validate_addresses::decide(request, pod, subject, context))
}

/// Returns true if there are pools; their rules apply in every namespace.
fn has_pools(context: &ReviewContext<'_>) -> bool {
    !context.catalog.pool_config().pools.is_empty()
}

/// Returns the live reads that have to be made before these findings may deny.
fn reads_before_denial(findings: &[Finding], freshness: Freshness<'_>) -> Vec<LiveRead> {
    let mut live_reads: Vec<LiveRead> = Vec::new();
    for finding in findings
        .iter()
        .filter(|finding| finding.level == Level::Deny)
    {
        if let Some(live_read) = &finding.requires_live_read
            && !freshness.covers(live_read)
            && !live_reads.contains(live_read)
        {
            live_reads.push(live_read.clone());
        }
    }
    live_reads
}

/// Returns the live reads worth making before these findings warn: a network or pool that may have
/// been applied just before the object under review. Reads that list a whole kind are not worth it.
fn reads_before_warning(findings: &[Finding], freshness: Freshness<'_>) -> Vec<LiveRead> {
    let mut live_reads: Vec<LiveRead> = Vec::new();
    let most = MAX_WARNING_READS.saturating_sub(freshness.request_count());
    let warnings = findings.iter().filter(|one| one.level == Level::Warn);
    for live_read in warnings.filter_map(|one| one.requires_live_read.as_ref()) {
        let cheap = matches!(live_read, LiveRead::Network { .. } | LiveRead::Pool { .. });
        if live_reads.len() < most
            && cheap
            && !freshness.was_requested(live_read)
            && !live_reads.contains(live_read)
        {
            live_reads.push(live_read.clone());
        }
    }
    live_reads
}

/// Returns the findings of the rules for the request's resource and subresource.
fn findings(request: &AdmissionRequest<'_>, context: &ReviewContext<'_>) -> Vec<Finding> {
    let (catalog, policy) = (context.catalog, context.policy);
    let resource = (&*request.resource.group, &*request.resource.resource);
    let subresource = request.subresource.as_deref().unwrap_or_default();
    match (resource, subresource, request.operation) {
        ((NAD_GROUP, NAD_RESOURCE), "", Operation::Create | Operation::Update) => {
            network(request, catalog, policy)
        }
        ((NAD_GROUP, NAD_RESOURCE), "", Operation::Delete) => {
            network_delete(request, catalog, policy)
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
            |pool, change| pool::held_through_change(context.allocations, pool, change),
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

/// Returns the findings on a workload's template, or on a virtual machine's networks.
fn workload(
    template: Template,
    request: &AdmissionRequest<'_>,
    catalog: &Catalog,
    policy: &Policy,
) -> Vec<Finding> {
    let (Some(after), Some(max_level)) = (reviewable(request), max_level(request, catalog, policy))
    else {
        return Vec::new();
    };
    template.findings(request, after, max_level, catalog, policy)
}

/// Returns the findings on a network's configuration; for an update only the new ones.
fn network(request: &AdmissionRequest<'_>, catalog: &Catalog, policy: &Policy) -> Vec<Finding> {
    let (Some(after), Some(max_level)) = (reviewable(request), max_level(request, catalog, policy))
    else {
        return Vec::new();
    };
    let findings = |object: &ReviewObject<'_>| {
        let written = RawNetwork {
            namespace: request.namespace.as_deref().unwrap_or_default(),
            name: object.metadata.name.as_deref().unwrap_or_default(),
            config: object.spec.config.as_deref(),
            non_string_config: object.spec.non_string_config,
            resource_name: object.metadata.annotations.resource_name.as_deref(),
            address_pool: object.metadata.annotations.address_pool.as_deref(),
            ..RawNetwork::default()
        };
        let subject = NetworkSubject::new(written, policy, catalog);
        judge_network(&subject, max_level)
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
            let mut found = subtract_baseline(findings(after), &findings(before));
            let after = Some(after);
            found.extend(network_use(request, before, after, catalog, policy));
            found
        }
    }
}

/// Returns the findings on the networks that OpenShift's operator will create; for an update only
/// the new ones, and those on networks that it takes away from pods.
fn additional_networks(
    request: &AdmissionRequest<'_>,
    catalog: &Catalog,
    policy: &Policy,
) -> Vec<Finding> {
    let Some(after) = reviewable(request) else {
        return Vec::new();
    };
    let entries = |object: &ReviewObject<'_>| {
        operator::read(object.spec.additional_networks.unwrap_or_default())
    };
    let findings = |entries: &[_]| judge_operator(entries, catalog, policy);
    let new = entries(after);
    let Some(old) = request.old_object.as_ref().map(entries) else {
        return findings(&new);
    };
    let mut found = subtract_baseline(findings(&new), &findings(&old));
    if !policy.may_change_used_networks(&request.user_info.username) {
        found.extend(judge_additional_use(&old, &new, catalog, policy));
    }
    found
}

/// Returns the findings on a `ConfigMap`; for an update only the new ones.
fn config_map(request: &AdmissionRequest<'_>, catalog: &Catalog, policy: &Policy) -> Vec<Finding> {
    let (Some(after), Some(max_level)) = (reviewable(request), max_level(request, catalog, policy))
    else {
        return Vec::new();
    };
    let findings = |object: &ReviewObject<'_>| {
        let subject = ConfigMapSubject {
            name: object.metadata.name.as_deref().unwrap_or_default(),
            data: object.data.map_or("", RawValue::get),
        };
        judge_config_map(&subject, policy, max_level)
    };
    match &request.old_object {
        None => findings(after),
        Some(before) => subtract_baseline(findings(after), &findings(before)),
    }
}

/// Returns the findings on a network's deletion. A deletion that is already in progress is not
/// checked.
fn network_delete(
    request: &AdmissionRequest<'_>,
    catalog: &Catalog,
    policy: &Policy,
) -> Vec<Finding> {
    let old = request.old_object.as_ref();
    match old.filter(|old| old.metadata.deletion_timestamp.is_none()) {
        Some(old) => network_use(request, old, None, catalog, policy),
        None => Vec::new(),
    }
}

/// Returns the findings on a change of a network that pods use, or without an `after` on its
/// deletion.
fn network_use(
    request: &AdmissionRequest<'_>,
    before: &ReviewObject<'_>,
    after: Option<&ReviewObject<'_>>,
    catalog: &Catalog,
    policy: &Policy,
) -> Vec<Finding> {
    let namespace = request.namespace.as_deref().unwrap_or_default();
    let known = catalog.namespace(namespace);
    let terminating = known.is_some_and(|namespace| namespace.labels.terminating);
    if terminating || policy.may_change_used_networks(&request.user_info.username) {
        return Vec::new();
    }
    let Some(max_level) = max_level(request, catalog, policy) else {
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
    judge_network_use(&subject, after.is_none(), policy, max_level)
}

fn pod_update(request: &AdmissionRequest<'_>, catalog: &Catalog, policy: &Policy) -> Vec<Finding> {
    let (Some(after), Some(before)) = (non_static_object(request), &request.old_object) else {
        return Vec::new();
    };
    if after.metadata.annotations == before.metadata.annotations {
        return Vec::new();
    }
    let namespace = request.namespace.as_deref().unwrap_or_default();
    let annotations = [&before.metadata.annotations, &after.metadata.annotations];
    let change = |origin, [before, after]: [Option<_>; 2]| AnnotationChange {
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
                AnnotationOrigin::default_network(policy),
                annotations.map(|a| a.default_network.as_deref()),
            ),
            change(
                AnnotationOrigin::networks(namespace),
                annotations.map(|a| a.networks.as_deref()),
            ),
        ],
    };
    let max_level = max_level(request, catalog, policy).filter(|_| !is_terminating(after));
    let mut findings =
        max_level.map_or_else(Vec::new, |max_level| judge_update(&subject, max_level));
    let known = pod_findings(request, before, catalog, policy);
    findings.extend(subtract_baseline(
        pod_findings(request, after, catalog, policy),
        &known,
    ));
    findings
}

/// Returns the object under review, unless it is exempt: being deleted, or a static pod's mirror,
/// which the kubelet runs whatever the response is.
pub(super) fn reviewable<'r, 'a>(
    request: &'r AdmissionRequest<'a>,
) -> Option<&'r ReviewObject<'a>> {
    non_static_object(request).filter(|object| !is_terminating(object))
}

/// Returns the object under review, unless it is a static pod's mirror. A pod that is being deleted
/// keeps running for its grace period, which the deleting user chooses, and could be hot-plugged an
/// address.
pub(super) fn non_static_object<'r, 'a>(
    request: &'r AdmissionRequest<'a>,
) -> Option<&'r ReviewObject<'a>> {
    // Anyone who creates a pod can set the mirror annotation; only nodes have static pods.
    let is_static =
        |pod: &&ReviewObject<'_>| pod.metadata.annotations.mirror && request.user_info.is_node();
    request.object.as_ref().filter(|pod| !is_static(pod))
}

fn is_terminating(object: &ReviewObject<'_>) -> bool {
    object.metadata.deletion_timestamp.is_some()
}

/// Returns the maximum level of findings in the request's namespace; `None` if the rules are off
/// there.
pub(super) fn max_level(
    request: &AdmissionRequest<'_>,
    catalog: &Catalog,
    policy: &Policy,
) -> Option<Level> {
    let namespace = request.namespace.as_deref().unwrap_or_default();
    judge::max_level(namespace, catalog, policy)
}

fn pod_findings(
    request: &AdmissionRequest<'_>,
    pod: &ReviewObject<'_>,
    catalog: &Catalog,
    policy: &Policy,
) -> Vec<Finding> {
    if !has_network_annotations(pod) && !has_near_miss_annotations(pod) {
        return Vec::new();
    }
    let max_level = pod_max_level(request, catalog, policy);
    judge_pod(
        &subject_under_review(request, pod, policy, catalog),
        max_level,
    )
}

fn has_network_annotations(pod: &ReviewObject<'_>) -> bool {
    let annotations = &pod.metadata.annotations;
    annotations.networks.is_some() || annotations.default_network.is_some()
}

/// Returns true if a pod has annotations whose keys nearly match a network annotation's.
fn has_near_miss_annotations(pod: &ReviewObject<'_>) -> bool {
    !pod.metadata.annotations.near_misses.is_empty()
}

/// Returns the maximum level of findings on a pod. Where rules are off, as on a pod that is being
/// deleted, the rules that guard address pools still apply.
fn pod_max_level(request: &AdmissionRequest<'_>, catalog: &Catalog, policy: &Policy) -> Level {
    let going = request.object.as_ref().is_some_and(is_terminating);
    let max_level = max_level(request, catalog, policy).filter(|_| !going);
    max_level.unwrap_or(Level::Off)
}
