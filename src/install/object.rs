//! JSON objects: names, order of creation, and API access.

use kube::{
    Api, Client,
    api::DynamicObject,
    core::{ApiResource, GroupVersionKind},
};
use serde_json::Value;

/// Kinds that are created first and last; other kinds are created in between. Webhooks are last, when
/// replicas are ready.
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

/// Returns the rank of an object in the order of creation.
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

/// Returns whether the object registers webhooks.
pub(super) fn is_registration(object: &Value) -> bool {
    kind(object).ends_with("WebhookConfiguration")
}

/// Returns kind and name for messages: `Deployment nadmit/nadmit`.
pub(super) fn display_name(object: &Value) -> String {
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("{} {namespace}/{}", kind(object), name(object)),
        None => format!("{} {}", kind(object), name(object)),
    }
}

/// Returns the API of a kind; without a namespace, of the whole cluster.
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

/// Reads an object; `None` if the object or its kind does not exist. An API server without the kind
/// responds with a plain 404 page instead of a status, which kube does not treat as absence.
pub(super) async fn get(
    api: &Api<DynamicObject>,
    name: &str,
) -> Result<Option<DynamicObject>, kube::Error> {
    match api.get_opt(name).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        read => read,
    }
}

/// Returns the API of an object.
pub(super) fn api(client: &Client, object: &Value) -> Api<DynamicObject> {
    let version = object["apiVersion"].as_str().unwrap_or_default();
    let namespace = object["metadata"]["namespace"].as_str();
    api_of(client, version, kind(object), namespace)
}
