//! PUT: which fields may change, and under which version.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    ServerState,
    admission::AdmissionChain,
    kinds::ResourceKind,
    prepare::{self, AppliedAfter, NewObject, metadata, remove, text},
    read::no_such_resource,
    resource_request::ResourceRequest,
    response::{ApiStatus, JsonResponse},
    schema::FieldCause,
    store::NamespacedName,
};

/// The maximum number of attempts when other writes come in between, as in the API server.
const MAX_ATTEMPTS: usize = 5;

/// Computes the new object from the current one.
pub(super) type UpdateFn<'a> = dyn Fn(&Value) -> Result<Value, ApiStatus> + Send + Sync + 'a;

impl ServerState {
    pub(super) async fn update(
        &self,
        request: &ResourceRequest,
    ) -> Result<JsonResponse, ApiStatus> {
        let kind = self.kind(request)?;
        let mut body = request.json()?;
        prepare::identify(&mut body, &kind, request)?;
        let there = {
            let state = self.state();
            let table = state.table(request)?;
            table.objects.contains_key(&key(request))
        };
        // Of the kinds used here, only Leases may be created by PUT.
        if !there && kind.plural == "leases" {
            return self.create_new(request, &kind, NewObject::of(body)).await;
        }
        if text(&body, "resourceVersion").is_empty() && kind.custom && there {
            let message = "Invalid value: 0: must be specified for an update";
            let cause = FieldCause::new("FieldValueInvalid", "metadata.resourceVersion", message);
            return Err(ApiStatus::invalid(&kind, request.name(), &[cause]));
        }
        self.change(request, &kind, &|_| Ok(body.clone()), None)
            .await
    }

    /// Reads, changes and writes; retries if another write came in between and the caller named no
    /// version.
    pub(super) async fn change(
        &self,
        request: &ResourceRequest,
        kind: &ResourceKind,
        make: &UpdateFn<'_>,
        applied: AppliedAfter,
    ) -> Result<JsonResponse, ApiStatus> {
        let key = key(request);
        for _ in 0..MAX_ATTEMPTS {
            let old = self.current(kind, &key)?;
            let mut new = make(&old)?;
            let version = text(&new, "resourceVersion").to_owned();
            if !version.is_empty() && version != text(&old, "resourceVersion") {
                return Err(ApiStatus::modified(kind, &key.1));
            }
            let uid = text(&new, "uid");
            if !uid.is_empty() && uid != text(&old, "uid") {
                return Err(other_uid(kind, &key, uid, text(&old, "uid")));
            }
            let mut warnings = prepare::prune(&mut new, kind, request)?;
            keep(&mut new, &old, kind, &request.subresource);
            let mut admission =
                AdmissionChain::new(request, kind, "UPDATE", new, Value::clone(&old));
            self.mutate(&mut admission).await?;
            let mut new = admission.object.clone();
            prepare::prune(&mut new, kind, request)?;
            keep(&mut new, &old, kind, &request.subresource);
            allowed(&new, &old, kind)?;
            prepare::check(&new, kind)?;
            admission.object = new;
            self.validate(&mut admission).await?;
            warnings.append(&mut admission.warnings);
            let written = self.replace(request, kind, &key, &old, admission.object, &applied)?;
            if let Some(object) = written {
                return Ok(JsonResponse::new(200, &object).warned(warnings));
            }
        }
        Err(ApiStatus::modified(kind, &key.1))
    }

    pub(super) fn current(
        &self,
        kind: &ResourceKind,
        key: &NamespacedName,
    ) -> Result<Arc<Value>, ApiStatus> {
        let state = self.state();
        let table = state
            .tables
            .get(&kind.qualified())
            .ok_or_else(no_such_resource)?;
        let object = table.objects.get(key).cloned();
        object.ok_or_else(|| ApiStatus::not_found(kind, &key.1))
    }

    /// Replaces the object that was read; `None` if it has changed since.
    fn replace(
        &self,
        request: &ResourceRequest,
        kind: &ResourceKind,
        key: &NamespacedName,
        old: &Arc<Value>,
        new: Value,
        applied: &AppliedAfter,
    ) -> Result<Option<Arc<Value>>, ApiStatus> {
        let mut state = self.state();
        let table = state
            .tables
            .get_mut(&kind.qualified())
            .ok_or_else(no_such_resource)?;
        let found = table.objects.get(key);
        let found = found.ok_or_else(|| ApiStatus::not_found(kind, &key.1))?;
        if !Arc::ptr_eq(found, old) {
            return Ok(None);
        }
        if request.is_dry_run() {
            return Ok(Some(Arc::new(new)));
        }
        if let Some(applied) = applied {
            table.applied.insert(key.clone(), applied.clone());
        }
        // A write that changes nothing keeps the version.
        if new == **old {
            return Ok(Some(Arc::clone(old)));
        }
        let released = released(&new);
        let left = if released { None } else { Some(new) };
        self.commit(&mut state, request, kind, key, left).map(Some)
    }
}

pub(super) fn key(request: &ResourceRequest) -> NamespacedName {
    (request.namespace().to_owned(), request.name().to_owned())
}

/// Returns true if the object is marked for deletion and nothing holds it any more.
fn released(object: &Value) -> bool {
    let members = &object["metadata"];
    let held = members["finalizers"]
        .as_array()
        .is_some_and(|held| !held.is_empty());
    let grace = members["deletionGracePeriodSeconds"].as_u64();
    let namespace = object["kind"] == "Namespace";
    members["deletionTimestamp"].is_string() && !held && grace.unwrap_or(0) == 0 && !namespace
}

pub(super) fn other_uid(
    kind: &ResourceKind,
    key: &NamespacedName,
    wanted: &str,
    found: &str,
) -> ApiStatus {
    let why = format!(
        "StorageError: invalid object, Code: 4, Key: {}, ResourceVersion: 0, AdditionalErrorMsg: \
         Precondition failed: UID in precondition: {wanted}, UID in object meta: {found}",
        kind.registry_key(&key.0, &key.1)
    );
    ApiStatus::conflict(&kind.plural, &kind.group, &key.1, &why)
}

/// Restores the fields that a write cannot change, and updates the generation.
fn keep(new: &mut Value, old: &Value, kind: &ResourceKind, subresource: &str) {
    let status = |value: &Value| value.get("status").cloned();
    let given = status(new);
    match subresource {
        "status" if kind.custom => *new = old.clone(),
        "status" => {
            let members = metadata(new).clone();
            *new = old.clone();
            new["metadata"] = Value::Object(members);
        }
        _ => {}
    }
    let wanted = match subresource {
        "status" => given,
        _ if kind.status => status(old),
        _ => given,
    };
    remove(new, "status");
    if let Some(wanted) = wanted {
        new["status"] = wanted;
    }
    let members = metadata(new);
    members.remove("managedFields");
    for key in [
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
    ] {
        match &old["metadata"][key] {
            Value::Null => members.remove(key),
            value => members.insert(key.to_owned(), value.clone()),
        };
    }
    if !kind.generation || subresource == "status" {
        return;
    }
    let content = |object: &Value| {
        let mut object = object.clone();
        remove(&mut object, "metadata");
        if kind.status {
            remove(&mut object, "status");
        }
        object
    };
    if content(new) != content(old) {
        let generation = old["metadata"]["generation"].as_u64().unwrap_or(0);
        new["metadata"]["generation"] = json!(generation + 1);
    }
}

/// Rejects changes of immutable fields.
fn allowed(new: &Value, old: &Value, kind: &ResourceKind) -> Result<(), ApiStatus> {
    let finalizers = |object: &Value| -> Vec<Value> {
        let list = object["metadata"]["finalizers"].as_array();
        list.cloned().unwrap_or_default()
    };
    let before = finalizers(old);
    let more: Vec<Value> = finalizers(new)
        .into_iter()
        .filter(|f| !before.contains(f))
        .collect();
    let refused = |field: &str, message: &str| {
        let cause = FieldCause::new("FieldValueForbidden", field, message);
        Err(ApiStatus::invalid(kind, text(new, "name"), &[cause]))
    };
    if old["metadata"]["deletionTimestamp"].is_string() && !more.is_empty() {
        return refused(
            "metadata.finalizers",
            "Forbidden: no new finalizers can be added if the object is being deleted",
        );
    }
    let node = |object: &Value| object["spec"]["nodeName"].clone();
    if kind.qualified() == "pods" && node(new) != node(old) {
        return refused(
            "spec",
            "Forbidden: pod updates may not change fields other than \
             `spec.containers[*].image`,`spec.initContainers[*].image`,\
             `spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing \
             tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was \
             previously negative)",
        );
    }
    Ok(())
}
