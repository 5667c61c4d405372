//! Pods, and the reviews that the API server creates for them.

use serde_json::{Map, Value, json};

use crate::case::{PodSpec, ReviewSpec};

/// Returns the whole pod for a short one.
pub(crate) fn pod(short: &PodSpec) -> Value {
    let mut metadata = Map::new();
    let mut put = |key: &str, value: Option<&String>| {
        if let Some(value) = value {
            metadata.insert(key.to_owned(), json!(value));
        }
    };
    let unnamed = short.name.is_none() && short.generate_name.is_none();
    put("name", short.name.as_ref());
    put("name", unnamed.then(|| "app-0".to_owned()).as_ref());
    put("generateName", short.generate_name.as_ref());
    put("deletionTimestamp", short.deletion_timestamp.as_ref());
    let namespace = short.namespace.as_deref().unwrap_or("db");
    metadata.insert("namespace".to_owned(), json!(namespace));
    let mut annotations = short.annotations.clone();
    for (key, value) in [
        ("k8s.v1.cni.cncf.io/networks", &short.networks),
        ("v1.multus-cni.io/default-network", &short.default_network),
    ] {
        if let Some(value) = value {
            annotations.insert(key.to_owned(), value.clone());
        }
    }
    for (key, map) in [
        ("annotations", annotations),
        ("labels", short.labels.clone()),
    ] {
        if !map.is_empty() {
            metadata.insert(key.to_owned(), json!(map));
        }
    }
    let mut spec = short.spec.clone();
    spec.entry("containers")
        .or_insert_with(|| json!([{"name": "app", "image": "registry.example/app:1"}]));
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
}

/// Returns the review of a change from the old to the new pod: a CREATE, an UPDATE or a DELETE.
pub(crate) fn wrap(pods: [Option<Value>; 2], admission: &ReviewSpec, uid: &str) -> Value {
    let [object, old] = pods;
    let operation = match (&admission.operation, &object, &old) {
        (Some(operation), ..) => operation,
        (None, Some(_), None) => "CREATE",
        (None, Some(_), Some(_)) => "UPDATE",
        (None, None, _) => "DELETE",
    };
    let metadata = object.as_ref().or(old.as_ref()).map(|pod| &pod["metadata"]);
    let metadata = metadata.cloned().unwrap_or_default();
    let (kind, resource) = (
        json!({"group": "", "version": "v1", "kind": "Pod"}),
        json!({"group": "", "version": "v1", "resource": "pods"}),
    );
    let mut request = json!({
        "uid": uid,
        "kind": kind,
        "resource": resource,
        "requestKind": kind,
        "requestResource": resource,
        "namespace": metadata["namespace"],
        "operation": operation,
        "userInfo": {
            "username": admission.user.as_deref().unwrap_or("alice@example.com"),
            "groups": ["system:authenticated"],
        },
        "object": object,
        "oldObject": old,
        "dryRun": admission.dry_run,
        "options": null,
    });
    let mut put = |key: &str, value: &Value| {
        if !value.is_null() {
            request[key] = value.clone();
        }
    };
    put("name", &metadata["name"]);
    if let Some(subresource) = &admission.subresource {
        put("subResource", &json!(subresource));
        put("requestSubResource", &json!(subresource));
    }
    json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request})
}
