//! A pod under review, as the allocation core and the rules see it.

use std::borrow::Cow;

use serde::Deserialize;

use super::{
    object::{RawJson, ReviewObject},
    review::{AdmissionRequest, Operation},
};
use nadmit_allocation::{Controller, RequesterIdentity, index::Requester};
use nadmit_catalog::Catalog;
use nadmit_rules::{PodSubject, Policy};

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
    let name = request.name.as_deref().filter(|name| !name.is_empty());
    then(RequesterIdentity {
        namespace: request.namespace.as_deref().unwrap_or_default(),
        name: name.or(pod.metadata.name.as_deref()).unwrap_or_default(),
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
pub(super) fn requester_under_review(
    request: &AdmissionRequest<'_>,
    pod: &ReviewObject<'_>,
    token: Option<&str>,
) -> Option<Requester> {
    let requester = with_identity(request, pod, token, |identity| identity.requester())?;
    Some(requester.on_node(pod.spec.node_name.as_deref().map(Into::into)))
}

/// Returns the rules' view of a pod under review.
pub(super) fn subject_under_review<'s>(
    request: &'s AdmissionRequest<'_>,
    pod: &'s ReviewObject<'_>,
    policy: &'s Policy,
    catalog: &'s Catalog,
) -> PodSubject<'s> {
    let annotations = &pod.metadata.annotations;
    let mut subject = PodSubject::new(
        request.namespace.as_deref().unwrap_or_default(),
        pod.spec.host_network,
        annotations.networks.as_deref(),
        annotations.default_network.as_deref(),
        policy,
        catalog,
    );
    subject.has_node = pod.spec.node_name.is_some();
    subject.unread = annotations.near_misses.iter().map(|key| &**key).collect();
    if request.operation == Operation::Create {
        let name = request.name.as_deref().filter(|name| !name.is_empty());
        subject.name = Some(name.or(pod.metadata.name.as_deref()).unwrap_or_default());
        subject.is_launcher = pod.metadata.labels.virt_launcher;
    }
    let launcher = pod.metadata.labels.virt_launcher;
    subject.by_kubevirt = launcher && policy.is_kubevirt(&request.user_info.username);
    subject
}
