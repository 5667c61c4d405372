//! Patches: merge, JSON, strategic and apply.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    ServerState,
    apply::{self, AppliedByManager},
    kinds::ResourceKind,
    prepare::{self, NewObject},
    resource_request::ResourceRequest,
    response::{ApiStatus, JsonResponse},
    schema::FieldCause,
    update::key,
};

impl ServerState {
    pub(super) async fn patch(&self, request: &ResourceRequest) -> Result<JsonResponse, ApiStatus> {
        let kind = self.kind(request)?;
        let patch = request.json()?;
        let form = request.header(http::header::CONTENT_TYPE);
        match form.split(';').next().unwrap_or_default() {
            "application/merge-patch+json" => {
                let make = |old: &Value| {
                    let mut new = old.clone();
                    json_patch::merge(&mut new, &patch);
                    same_kind(new, &kind)
                };
                self.change(request, &kind, &make, None).await
            }
            "application/json-patch+json" => {
                let patch: json_patch::Patch = serde_json::from_value(patch)
                    .map_err(|error| ApiStatus::bad_request(&error.to_string()))?;
                let make = |old: &Value| {
                    let mut new = old.clone();
                    json_patch::patch(&mut new, &patch).map_err(|_| does_not_apply())?;
                    same_kind(new, &kind)
                };
                self.change(request, &kind, &make, None).await
            }
            "application/strategic-merge-patch+json" if !kind.custom => {
                let make = |old: &Value| {
                    let mut new = old.clone();
                    strategic(&mut new, &patch, "");
                    same_kind(new, &kind)
                };
                self.change(request, &kind, &make, None).await
            }
            "application/apply-patch+yaml" => self.apply(request, &kind, patch).await,
            _ => Err(ApiStatus::new(
                415,
                "UnsupportedMediaType",
                "the body of the request was in an unknown format - accepted media types include: \
                 application/json-patch+json, application/merge-patch+json, \
                 application/apply-patch+yaml",
            )),
        }
    }

    /// Applies a configuration (server-side apply).
    async fn apply(
        &self,
        request: &ResourceRequest,
        kind: &ResourceKind,
        mut wanted: Value,
    ) -> Result<JsonResponse, ApiStatus> {
        let Some(manager) = request.query("fieldManager") else {
            let message = "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: \
                           is required for apply patch";
            return Err(ApiStatus::new(422, "Invalid", message));
        };
        prepare::identify(&mut wanted, kind, request)?;
        let (there, mut managers) = {
            let state = self.state();
            let table = state.table(request)?;
            let managers: AppliedByManager = table
                .applied
                .get(&key(request))
                .cloned()
                .unwrap_or_default();
            (table.objects.contains_key(&key(request)), managers)
        };
        let own = apply::configured(&wanted);
        let manager = &apply::manager(manager, &request.subresource);
        if !there && request.subresource.is_empty() {
            let applied = BTreeMap::from([(manager.clone(), own)]);
            let new = NewObject {
                object: wanted,
                applied: Some(applied),
            };
            return self.create_new(request, kind, new).await;
        }
        let force = request.is_true("force");
        apply::take(&mut managers, manager, &own, force)?;
        let before = managers.insert(manager.clone(), own);
        let dropped = apply::dropped(&managers, before.as_ref());
        let make = |old: &Value| {
            let mut new = old.clone();
            for path in &dropped {
                apply::remove(&mut new, path);
            }
            let mut patch = wanted.clone();
            // A resourceVersion in an applied configuration is a precondition, as in a PUT.
            if kind.custom {
                json_patch::merge(&mut new, &patch);
            } else {
                prepare::remove(&mut patch, "apiVersion");
                strategic(&mut new, &patch, "");
            }
            Ok(new)
        };
        self.change(request, kind, &make, Some(managers.clone()))
            .await
    }
}

/// Returns the error for a failed `test` operation or a path that does not exist.
fn does_not_apply() -> ApiStatus {
    let message = "the server rejected our request due to an error in our request";
    ApiStatus::new(422, "Invalid", message).with(json!({}))
}

fn same_kind(new: Value, kind: &ResourceKind) -> Result<Value, ApiStatus> {
    if new["kind"] == kind.kind && new["apiVersion"] == kind.api_version() {
        return Ok(new);
    }
    let cause = FieldCause::new(
        "FieldValueInvalid",
        "kind",
        "Invalid value: it may not change",
    );
    Err(ApiStatus::invalid(
        kind,
        prepare::text(&new, "name"),
        &[cause],
    ))
}

/// Returns the merge key of a list; `""` for a list of strings that is a set.
fn merge_key(list: &str) -> Option<&'static str> {
    Some(match list {
        "containers" | "initContainers" | "ephemeralContainers" | "volumes" | "env" => "name",
        "imagePullSecrets" => "name",
        "conditions" => "type",
        "ownerReferences" => "uid",
        "podIPs" | "hostIPs" => "ip",
        "ports" => "containerPort",
        "volumeMounts" => "mountPath",
        "finalizers" => "",
        _ => return None,
    })
}

/// Merges the member `name` by the rules of a strategic merge.
fn strategic(value: &mut Value, patch: &Value, name: &str) {
    match patch {
        Value::Object(members) if members.get("$patch") == Some(&json!("replace")) => {
            *value = patch.clone();
            prepare::remove(value, "$patch");
        }
        Value::Object(members) => {
            if !value.is_object() {
                *value = json!({});
            }
            for (key, patch) in members {
                if let Some(list) = key.strip_prefix("$deleteFromPrimitiveList/") {
                    let gone = patch.as_array().cloned().unwrap_or_default();
                    if let Some(list) = value[list].as_array_mut() {
                        list.retain(|item| !gone.contains(item));
                    }
                } else if key.starts_with('$') {
                } else if patch.is_null() {
                    prepare::remove(value, key);
                } else {
                    strategic(&mut value[key], patch, key);
                }
            }
        }
        Value::Array(items) => match merge_key(name) {
            Some(key) => merge_list(value, items, key),
            None => *value = patch.clone(),
        },
        other => *value = other.clone(),
    }
}

fn merge_list(value: &mut Value, items: &[Value], key: &str) {
    let mut list = value.as_array().cloned().unwrap_or_default();
    let is = |a: &Value, b: &Value| {
        if key.is_empty() {
            a == b
        } else {
            a[key] == b[key]
        }
    };
    for item in items {
        let at = list.iter().position(|known| is(known, item));
        match at {
            Some(at) if item["$patch"] == "delete" => drop(list.remove(at)),
            Some(at) => strategic(&mut list[at], item, ""),
            None if item["$patch"] == "delete" => {}
            None => list.push(item.clone()),
        }
    }
    *value = Value::Array(list);
}
