//! Subresources that only pods have: bindings and evictions.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    ServerState,
    admission::AdmissionChain,
    delete::DeleteParams,
    kinds::ResourceKind,
    prepare::{metadata, text},
    read::no_such_resource,
    resource_request::ResourceRequest,
    response::{ApiStatus, JsonResponse},
    time,
    update::other_uid,
};

impl ServerState {
    fn pod_kind(&self) -> Result<Arc<ResourceKind>, ApiStatus> {
        let state = self.state();
        let pods = state.tables.get("pods").ok_or_else(no_such_resource)?;
        Ok(Arc::clone(&pods.kind))
    }

    /// Handles `pods/binding` and `bindings`.
    pub(super) async fn bind(&self, request: &ResourceRequest) -> Result<JsonResponse, ApiStatus> {
        let kind = self.pod_kind()?;
        let binding = body(request, "v1", "Binding")?;
        let admission = AdmissionChain::new(request, &kind, "CREATE", binding, Value::Null);
        let mut admission = admission.of_kind("", "v1", "Binding");
        self.mutate(&mut admission).await?;
        self.validate(&mut admission).await?;
        self.bound(request, &kind, &admission.object)?;
        Ok(success().warned(admission.warnings))
    }

    fn bound(
        &self,
        request: &ResourceRequest,
        kind: &ResourceKind,
        binding: &Value,
    ) -> Result<(), ApiStatus> {
        let key = (
            request.namespace().to_owned(),
            text(binding, "name").to_owned(),
        );
        let mut state = self.state();
        let pods = state.tables.get("pods").ok_or_else(no_such_resource)?;
        let pod = pods.objects.get(&key);
        let mut pod = Value::clone(pod.ok_or_else(|| ApiStatus::not_found(kind, &key.1))?);
        let uid = text(binding, "uid");
        if !uid.is_empty() && uid != text(&pod, "uid") {
            return Err(other_uid(kind, &key, uid, text(&pod, "uid")));
        }
        let refused = |why: String| Err(ApiStatus::conflict("pods/binding", "", &key.1, &why));
        if !text(&pod, "deletionTimestamp").is_empty() {
            let why = "is being deleted, cannot be assigned to a host";
            return refused(format!("pod {} {why}", key.1));
        }
        let node = pod["spec"]["nodeName"].as_str().unwrap_or_default();
        if !node.is_empty() {
            let why = format!("is already assigned to node \"{node}\"");
            return refused(format!("pod {} {why}", key.1));
        }
        if request.is_dry_run() {
            return Ok(());
        }
        pod["spec"]["nodeName"] = binding["target"]["name"].clone();
        for (of, overrides) in [("annotations", true), ("labels", false)] {
            let given = binding["metadata"][of].as_object();
            for (name, value) in given.into_iter().flatten() {
                let own = &mut metadata(&mut pod).entry(of).or_insert_with(|| json!({}))[name];
                if overrides || own.is_null() {
                    *own = value.clone();
                }
            }
        }
        scheduled(&mut pod, &time::written((self.clock)()));
        self.commit(&mut state, request, kind, &key, Some(pod))?;
        Ok(())
    }

    /// Handles `pods/eviction`. No disruption budget forbids it, and no webhook for DELETE is
    /// called.
    pub(super) async fn evict(&self, request: &ResourceRequest) -> Result<JsonResponse, ApiStatus> {
        let kind = self.pod_kind()?;
        let eviction = body(request, "policy/v1", "Eviction")?;
        let admission = AdmissionChain::new(request, &kind, "CREATE", eviction, Value::Null);
        let mut admission = admission.of_kind("policy", "v1", "Eviction");
        self.mutate(&mut admission).await?;
        self.validate(&mut admission).await?;
        let options = DeleteParams::read(&admission.object["deleteOptions"], request);
        let key = super::update::key(request);
        self.remove(request, &kind, &key, &options)?;
        Ok(success().warned(admission.warnings))
    }
}

/// Returns the body of a subresource of another kind.
fn body(request: &ResourceRequest, version: &str, kind: &str) -> Result<Value, ApiStatus> {
    let mut object = request.json()?;
    for (key, expected) in [("apiVersion", version), ("kind", kind)] {
        // An omitted name means the one in the path.
        if object[key].is_null() {
            object[key] = Value::from(expected);
        } else if object[key] != expected {
            let message = format!("the body is no {kind} of {version}");
            return Err(ApiStatus::bad_request(&message));
        }
    }
    let members = metadata(&mut object);
    members.insert("namespace".to_owned(), Value::from(request.namespace()));
    let given = members
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if let Some(name) = request.name.as_deref().filter(|name| *name != given) {
        if !given.is_empty() {
            return Err(ApiStatus::bad_request(
                "name in URL does not match name in Binding object",
            ));
        }
        members.insert("name".to_owned(), Value::from(name));
    }
    Ok(object)
}

fn scheduled(pod: &mut Value, now: &str) {
    let condition = json!({
        "type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": now,
    });
    let conditions = &mut pod["status"]["conditions"];
    let mut all = conditions.as_array().cloned().unwrap_or_default();
    all.retain(|known| known["type"] != "PodScheduled");
    all.push(condition);
    *conditions = Value::Array(all);
}

fn success() -> JsonResponse {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201,
    });
    JsonResponse::new(201, &status)
}
