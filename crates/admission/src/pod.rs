//! A pod under review or in the catalog, as the allocation core and the rules see it.

use std::borrow::Cow;

use serde::Deserialize;

use crate::{
    context::ReviewContext,
    object::{RawJson, ReviewObject},
    review::{AdmissionRequest, Operation},
};
use nadmit_allocation::{
    Controller, PodRef, RequesterIdentity,
    index::{AttachmentRequest, Requester},
};
use nadmit_catalog::Pod;
use nadmit_rules::{Level, PodSubject, allocation::attachment_requests};

/// The relevant part of an owner reference.
#[derive(Deserialize)]
struct OwnerReference<'a> {
    #[serde(borrow, default, rename = "apiVersion")]
    api_version: Cow<'a, str>,
    #[serde(borrow, default)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    name: Cow<'a, str>,
    #[serde(default)]
    controller: bool,
}

/// Calls `then` with the identity of a pod, which holds by `token` if it has one.
fn with_identity<R>(
    request: &AdmissionRequest<'_>,
    pod: &ReviewObject<'_>,
    token: Option<&str>,
    then: impl FnOnce(RequesterIdentity<'_>) -> R,
) -> R {
    let owners: Vec<OwnerReference<'_>> = pod
        .metadata
        .owners
        .and_then(RawJson::read)
        .unwrap_or_default();
    let controller = owners.iter().find(|owner| owner.controller);
    then(RequesterIdentity {
        namespace: request.namespace(),
        name: request.pod_name(),
        generate_name: pod.metadata.generate_name.as_deref().unwrap_or_default(),
        uid: pod.metadata.uid.as_deref(),
        controller: controller.map(|owner| Controller {
            api_version: &owner.api_version,
            kind: &owner.kind,
            name: &owner.name,
        }),
        token,
    })
}

/// Returns the requester for a pod under review, on the node that it names. The pod holds by
/// `token`, if it has one.
pub(crate) fn requester_under_review(
    request: &AdmissionRequest<'_>,
    pod: &ReviewObject<'_>,
    token: Option<&str>,
) -> Option<Requester> {
    let requester = with_identity(request, pod, token, |identity| identity.requester())?;
    Some(requester.on_node(pod.spec.node_name.as_deref().map(Into::into)))
}

/// Returns the rules' view of a pod under review.
pub(crate) fn subject_under_review<'s>(
    request: &'s AdmissionRequest<'_>,
    pod: &'s ReviewObject<'_>,
    context: &ReviewContext<'s>,
) -> PodSubject<'s> {
    let annotations = &pod.metadata.annotations;
    let policy = context.policy;
    let mut subject = PodSubject::new(
        request.namespace(),
        pod.spec.host_network,
        annotations.networks.as_deref(),
        annotations.default_network.as_deref(),
        policy,
        context.catalog,
    );
    subject.has_node = pod.spec.node_name.is_some();
    subject.unread = annotations.near_misses.iter().map(|key| &**key).collect();
    if request.operation == Operation::Create {
        subject.name = Some(request.pod_name());
        subject.is_launcher = pod.metadata.labels.virt_launcher;
    }
    let launcher = pod.metadata.labels.virt_launcher;
    subject.by_kubevirt = launcher && policy.is_kubevirt(&request.user_info.username);
    subject
}

/// Returns the requests to pools of a pod under review, before or after an update.
pub(crate) fn requests_under_review(
    request: &AdmissionRequest<'_>,
    pod: &ReviewObject<'_>,
    context: &ReviewContext<'_>,
) -> Vec<AttachmentRequest> {
    let subject = subject_under_review(request, pod, context);
    let attachments = attachment_requests(&subject).into_iter();
    attachments.map(|one| one.request).collect()
}

/// Returns the maximum level of findings on the pod under review. Where rules are off, as on a pod
/// that is being deleted, the rules that guard address pools still apply.
pub(crate) fn max_level_of_pod(
    request: &AdmissionRequest<'_>,
    context: &ReviewContext<'_>,
) -> Level {
    let terminating = request
        .object
        .as_deref()
        .is_some_and(ReviewObject::is_terminating);
    let max_level = context.max_level(request.namespace());
    max_level.filter(|_| !terminating).unwrap_or(Level::Off)
}

/// Returns the rules' view of a pod in the catalog.
pub(crate) fn subject_in_catalog<'s>(pod: &'s Pod, context: &ReviewContext<'s>) -> PodSubject<'s> {
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

/// Returns the requester for a pod in the catalog on this node.
pub(crate) fn requester_in_catalog(pod: &Pod, node: Option<&str>) -> Requester {
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
