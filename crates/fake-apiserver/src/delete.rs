//! Delete: preconditions, finalizers, and the grace period of pods.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::{
    ServerState,
    admission::AdmissionChain,
    kinds::ResourceKind,
    prepare::{metadata, text},
    read::no_such_resource,
    resource_request::ResourceRequest,
    response::{ApiStatus, JsonResponse},
    selectors::ObjectSelector,
    store::{NamespacedName, ResourceTable, StoreState},
    time,
};

/// The options of a delete, from the body or the query.
#[derive(Debug, Default)]
pub(super) struct DeleteParams {
    uid: Option<String>,
    version: Option<String>,
    grace: Option<u64>,
    dry_run: bool,
}

impl DeleteParams {
    pub(super) fn of(request: &ResourceRequest) -> Result<Self, ApiStatus> {
        Ok(Self::read(&request.json()?, request))
    }

    pub(super) fn read(body: &Value, request: &ResourceRequest) -> Self {
        let text = |key: &str| body["preconditions"][key].as_str().map(str::to_owned);
        let grace = request
            .query("gracePeriodSeconds")
            .and_then(|s| s.parse().ok());
        let all = |dry: &Value| *dry == json!(["All"]);
        Self {
            uid: text("uid"),
            version: text("resourceVersion"),
            grace: body["gracePeriodSeconds"].as_u64().or(grace),
            dry_run: request.is_dry_run() || all(&body["dryRun"]),
        }
    }

    /// Checks the preconditions against the current object.
    fn met(&self, object: &Value, kind: &ResourceKind) -> Result<(), ApiStatus> {
        let wanted = [
            (
                "UID",
                &self.uid,
                text(object, "uid"),
                "been deleted and then recreated",
            ),
            (
                "ResourceVersion",
                &self.version,
                text(object, "resourceVersion"),
                "been modified",
            ),
        ];
        for (what, wanted, found, why) in wanted {
            let Some(wanted) = wanted.as_deref().filter(|wanted| *wanted != found) else {
                continue;
            };
            let why = format!(
                "the {what} in the precondition ({wanted}) does not match the {what} in record \
                 ({found}). The object might have {why}"
            );
            let name = text(object, "name");
            return Err(ApiStatus::conflict(&kind.kind, &kind.group, name, &why));
        }
        Ok(())
    }
}

pub(super) struct DeleteOutcome {
    pub(super) object: Arc<Value>,
    /// Set if the object was removed.
    pub(super) gone: bool,
}

impl ServerState {
    pub(super) async fn delete(
        &self,
        request: &ResourceRequest,
    ) -> Result<JsonResponse, ApiStatus> {
        let kind = self.kind(request)?;
        let key = (request.namespace().to_owned(), request.name().to_owned());
        let options = DeleteParams::of(request)?;
        let (deleted, warnings) = self.delete_one(request, &kind, &key, &options).await?;
        let whole =
            !deleted.gone || matches!(kind.qualified().as_str(), "pods" | "serviceaccounts");
        if whole {
            return Ok(JsonResponse::new(200, &deleted.object).warned(warnings));
        }
        let mut details = json!({
            "name": key.1, "group": kind.group, "kind": kind.plural,
            "uid": text(&deleted.object, "uid"),
        });
        if let Some(members) = details.as_object_mut().filter(|_| kind.group.is_empty()) {
            members.remove("group");
        }
        let status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
            "details": details,
        });
        Ok(JsonResponse::new(200, &status).warned(warnings))
    }

    /// Deletes the objects that match a selector, one after another.
    pub(super) async fn delete_all(
        &self,
        request: &ResourceRequest,
    ) -> Result<JsonResponse, ApiStatus> {
        let kind = self.kind(request)?;
        let options = DeleteParams::of(request)?;
        let selector = ObjectSelector::of(request, &kind)?;
        let wanted: Vec<(NamespacedName, Arc<Value>)> = {
            let state = self.state();
            let all = state.table(request)?.objects.iter();
            let wanted = all.filter(|(_, object)| selector.wants(object));
            wanted
                .map(|(key, object)| (key.clone(), object.clone()))
                .collect()
        };
        let mut items = Vec::new();
        for (key, object) in wanted {
            match self.delete_one(request, &kind, &key, &options).await {
                Ok(_) => items.push(object),
                // Another client deleted it in between.
                Err(refusal) if refusal.code == 404 => {}
                Err(refusal) => return Err(refusal),
            }
        }
        let list = json!({
            "apiVersion": kind.api_version(), "kind": format!("{}List", kind.kind),
            "metadata": {"resourceVersion": self.state().revision.to_string()},
            "items": items.iter().map(|item| Value::clone(item)).collect::<Vec<Value>>(),
        });
        Ok(JsonResponse::new(200, &list))
    }

    /// Deletes one object after its webhooks were called.
    async fn delete_one(
        &self,
        request: &ResourceRequest,
        kind: &ResourceKind,
        key: &NamespacedName,
        options: &DeleteParams,
    ) -> Result<(DeleteOutcome, Vec<String>), ApiStatus> {
        let old = self.current(kind, key)?;
        options.met(&old, kind)?;
        let admission =
            AdmissionChain::new(request, kind, "DELETE", Value::Null, Value::clone(&old));
        let mut admission = admission.with_options(&request.json()?, options.dry_run);
        self.mutate(&mut admission).await?;
        self.validate(&mut admission).await?;
        let deleted = self.remove(request, kind, key, options)?;
        Ok((deleted, admission.warnings))
    }

    /// Removes an object, or marks it for deletion.
    pub(super) fn remove(
        &self,
        request: &ResourceRequest,
        kind: &ResourceKind,
        key: &NamespacedName,
        options: &DeleteParams,
    ) -> Result<DeleteOutcome, ApiStatus> {
        let mut state = self.state();
        let table = state
            .tables
            .get(&kind.qualified())
            .ok_or_else(no_such_resource)?;
        let object = table.objects.get(key).cloned();
        let object = object.ok_or_else(|| ApiStatus::not_found(kind, &key.1))?;
        options.met(&object, kind)?;
        let now = (self.clock)();
        let Some(dying) = dying(&object, kind, options, now) else {
            if options.dry_run {
                return Ok(DeleteOutcome { object, gone: true });
            }
            let object = self.commit(&mut state, request, kind, key, None)?;
            return Ok(DeleteOutcome { object, gone: true });
        };
        let object = if options.dry_run {
            Arc::new(dying)
        } else if dying == *object {
            object
        } else {
            self.commit(&mut state, request, kind, key, Some(dying))?
        };
        if kind.qualified() == "namespaces" && !options.dry_run {
            self.empty(&mut state, request, &key.1, now);
        }
        Ok(DeleteOutcome {
            object,
            gone: false,
        })
    }

    /// Deletes the contents of a namespace, as the namespace controller does, and then the
    /// namespace.
    fn empty(
        &self,
        state: &mut StoreState,
        request: &ResourceRequest,
        namespace: &str,
        now: jiff::Timestamp,
    ) {
        let tables = state.tables.values();
        let inside: Vec<(Arc<ResourceKind>, NamespacedName, Arc<Value>)> = tables
            .flat_map(|table| {
                let all = table.objects.iter();
                all.map(|(key, object)| (table.kind.clone(), key.clone(), object.clone()))
            })
            .filter(|(_, key, _)| key.0 == namespace)
            .collect();
        for (kind, key, object) in inside {
            let dying = dying(&object, &kind, &DeleteParams::default(), now);
            // The object exists: it was read under the same lock.
            let _ = self.commit(state, request, &kind, &key, dying);
        }
        self.leave(state, request, namespace);
    }

    /// Removes a terminating namespace once the last object in it is gone.
    pub(super) fn leave(&self, state: &mut StoreState, request: &ResourceRequest, namespace: &str) {
        let key = (String::new(), namespace.to_owned());
        let Some(namespaces) = state.tables.get("namespaces") else {
            return;
        };
        let kind = Arc::clone(&namespaces.kind);
        let found = namespaces.objects.get(&key);
        if found.is_none_or(|found| text(found, "deletionTimestamp").is_empty()) {
            return;
        }
        let inside = |table: &ResourceTable| table.objects.keys().any(|key| key.0 == namespace);
        if !state.tables.values().any(inside) {
            // The object exists: it was read under the same lock.
            let _ = self.commit(state, request, &kind, &key, None);
        }
    }
}

/// Returns the object marked for deletion; `None` if nothing keeps it.
fn dying(
    object: &Value,
    kind: &ResourceKind,
    options: &DeleteParams,
    now: jiff::Timestamp,
) -> Option<Value> {
    let mut object = object.clone();
    let pod = kind.qualified() == "pods";
    let finished = matches!(
        object["status"]["phase"].as_str(),
        Some("Succeeded" | "Failed")
    );
    let bound = object["spec"]["nodeName"]
        .as_str()
        .is_some_and(|node| !node.is_empty());
    let default = object["spec"]["terminationGracePeriodSeconds"].as_u64();
    let mut grace = if pod && bound && !finished {
        options.grace.or(default).unwrap_or(30)
    } else {
        0
    };
    let held = object["metadata"]["finalizers"]
        .as_array()
        .is_some_and(|finalizers| !finalizers.is_empty());
    let namespace = kind.qualified() == "namespaces";
    let before = object["metadata"]["deletionGracePeriodSeconds"].as_u64();
    if let Some(before) = before {
        // A later delete can only shorten the grace period.
        grace = if options.grace.is_some() {
            grace.min(before)
        } else {
            before
        };
    }
    if grace == 0 && !held && !namespace {
        return None;
    }
    if before.is_some_and(|before| before <= grace) {
        return Some(object);
    }
    let generation = object["metadata"]["generation"].as_u64();
    let members = metadata(&mut object);
    let end = time::after(now, Duration::from_secs(grace));
    members.insert(
        "deletionTimestamp".to_owned(),
        Value::from(time::written(end)),
    );
    members.insert("deletionGracePeriodSeconds".to_owned(), Value::from(grace));
    if let Some(generation) = generation {
        members.insert("generation".to_owned(), Value::from(generation + 1));
    }
    if namespace {
        object["status"]["phase"] = Value::from("Terminating");
    }
    Some(object)
}
