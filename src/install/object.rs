//! Objects as values: what they are called, in which order they come, and how to reach them.

use kube::{
    Api, Client,
    api::DynamicObject,
    core::{ApiResource, GroupVersionKind},
};
use serde_json::Value;

/// Kinds in the order in which they are made; the others come in the middle, and webhooks last: only
/// when replicas are there to answer.
const FIRST: [&str; 4] = [
    "CustomResourceDefinition",
    "Namespace",
    "PriorityClass",
    "ServiceAccount",
];
const LAST: [&str; 4] = [
    "Deployment",
    "PodDisruptionBudget",
    "ValidatingWebhookConfiguration",
    "MutatingWebhookConfiguration",
];

/// The place of an object in the order in which they are made.
pub(super) fn apply_order(object: &Value) -> usize {
    let kind = kind(object);
    let at = |kinds: &[&str]| kinds.iter().position(|one| *one == kind);
    match (at(&FIRST), at(&LAST)) {
        (Some(place), _) => place,
        (_, Some(place)) => FIRST.len() + 1 + place,
        _ => FIRST.len(),
    }
}

pub(super) fn kind(object: &Value) -> &str {
    object["kind"].as_str().unwrap_or_default()
}

pub(super) fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// Whether API servers call nadmit because of it.
pub(super) fn is_registration(object: &Value) -> bool {
    kind(object).ends_with("WebhookConfiguration")
}

/// `Deployment nadmit/nadmit`
pub(super) fn display_name(object: &Value) -> String {
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("{} {namespace}/{}", kind(object), name(object)),
        None => format!("{} {}", kind(object), name(object)),
    }
}

/// Where objects of a kind are reached; without a namespace those of the cluster.
pub(super) fn api_of(
    client: &Client,
    api_version: &str,
    kind: &str,
    namespace: Option<&str>,
) -> Api<DynamicObject> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}

/// Reads an object; `None` if it, or its kind, is not there. An API server that does not have the kind says
/// so by a page and not by a status, which kube does not take for an absence.
pub(super) async fn get(
    api: &Api<DynamicObject>,
    name: &str,
) -> Result<Option<DynamicObject>, kube::Error> {
    match api.get_opt(name).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        read => read,
    }
}

/// Where an object is reached.
pub(super) fn api(client: &Client, object: &Value) -> Api<DynamicObject> {
    let version = object["apiVersion"].as_str().unwrap_or_default();
    let namespace = object["metadata"]["namespace"].as_str();
    api_of(client, version, kind(object), namespace)
}
