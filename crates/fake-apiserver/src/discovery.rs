//! Discovery: the served kinds, and the version of Kubernetes.

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{kinds::ResourceKind, response::JsonResponse, store::StoreState};

/// Responds to a path that is not one of a resource.
pub(super) fn answer(state: &StoreState, path: &str) -> Option<JsonResponse> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let kinds = || state.tables.values().map(|table| &*table.kind);
    let body = match &parts[..] {
        ["version"] => version(state.minor),
        ["api"] => {
            json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})
        }
        ["apis"] => {
            let groups = kinds().filter(|kind| !kind.group.is_empty());
            let groups: BTreeSet<(&str, &str)> =
                groups.map(|kind| (&*kind.group, &*kind.version)).collect();
            let groups = groups
                .into_iter()
                .map(|(name, version)| group(name, version));
            json!({
                "kind": "APIGroupList", "apiVersion": "v1",
                "groups": groups.collect::<Vec<Value>>(),
            })
        }
        ["apis", name] => {
            let kind = kinds().find(|kind| kind.group == *name)?;
            let mut found = group(name, &kind.version);
            found["kind"] = Value::from("APIGroup");
            found["apiVersion"] = Value::from("v1");
            found
        }
        ["api", version] => resources(kinds(), "", version)?,
        ["apis", group, version] => resources(kinds(), group, version)?,
        _ => return None,
    };
    Some(JsonResponse::new(200, &body))
}

fn version(minor: u32) -> Value {
    let minor = minor.to_string();
    json!({
        "major": "1", "minor": minor, "emulationMajor": "1", "emulationMinor": minor,
        "minCompatibilityMajor": "1", "minCompatibilityMinor": "35",
        "gitVersion": format!("v1.{minor}.2"), "gitCommit": "0000000000000000000000000000000000000000",
        "gitTreeState": "clean", "buildDate": "2026-01-01T00:00:00Z", "goVersion": "go1.26.6",
        "compiler": "gc", "platform": "linux/amd64",
    })
}

fn group(name: &str, version: &str) -> Value {
    let version = json!({"groupVersion": format!("{name}/{version}"), "version": version});
    json!({"name": name, "versions": [version], "preferredVersion": version})
}

fn resources<'a>(
    kinds: impl Iterator<Item = &'a ResourceKind>,
    group: &str,
    version: &str,
) -> Option<Value> {
    let served = kinds.filter(|kind| kind.group == group && kind.version == version);
    let resources: Vec<Value> = served.flat_map(resource).collect();
    if resources.is_empty() {
        return None;
    }
    let group_version = super::kinds::group_version(group, version);
    Some(json!({
        "kind": "APIResourceList", "apiVersion": "v1",
        "groupVersion": group_version, "resources": resources,
    }))
}

/// Returns a resource and its subresources.
fn resource(kind: &ResourceKind) -> Vec<Value> {
    let verbs = if kind.custom {
        json!([
            "delete",
            "deletecollection",
            "get",
            "list",
            "patch",
            "create",
            "update",
            "watch"
        ])
    } else {
        json!([
            "create",
            "delete",
            "deletecollection",
            "get",
            "list",
            "patch",
            "update",
            "watch"
        ])
    };
    if kind.plural == "bindings" {
        return vec![entry(kind, "", "Binding", json!(["create"]))];
    }
    let mut whole = entry(kind, "", &kind.kind, verbs);
    whole["singularName"] = Value::from(kind.kind.to_lowercase());
    whole["storageVersionHash"] = Value::from(hash(kind));
    let mut all = vec![whole];
    if kind.plural == "pods" {
        all.push(entry(kind, "/binding", "Binding", json!(["create"])));
        let mut eviction = entry(kind, "/eviction", "Eviction", json!(["create"]));
        eviction["group"] = Value::from("policy");
        eviction["version"] = Value::from("v1");
        all.push(eviction);
    }
    if kind.status {
        let verbs = json!(["get", "patch", "update"]);
        all.push(entry(kind, "/status", &kind.kind, verbs));
    }
    all
}

fn entry(kind: &ResourceKind, subresource: &str, name: &str, verbs: Value) -> Value {
    json!({
        "name": format!("{}{subresource}", kind.plural), "singularName": "",
        "namespaced": kind.namespaced, "kind": name, "verbs": verbs,
    })
}

/// Returns the storage version hash, as the API server computes it.
fn hash(kind: &ResourceKind) -> String {
    let text = format!("{}/{}/{}", kind.group, kind.version, kind.kind);
    STANDARD.encode(&Sha256::digest(text)[..8])
}
