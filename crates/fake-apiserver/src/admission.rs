//! AdmissionReview requests as the API server writes them, and the handling of the responses.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{
    ServerState, kinds::ResourceKind, locked, prepare::text, resource_request::ResourceRequest,
    response::ApiStatus, webhooks::Webhook,
};

/// A request on its way through admission.
pub(super) struct AdmissionChain<'a> {
    pub(super) request: &'a ResourceRequest,
    pub(super) operation: &'static str,
    /// Group, version and kind of the object.
    subject: [String; 3],
    pub(super) object: Value,
    pub(super) old: Value,
    name: String,
    dry_run: bool,
    options: Value,
    /// Warnings that the webhooks returned.
    pub(super) warnings: Vec<String>,
}

impl<'a> AdmissionChain<'a> {
    pub(super) fn new(
        request: &'a ResourceRequest,
        kind: &ResourceKind,
        operation: &'static str,
        object: Value,
        old: Value,
    ) -> Self {
        let options = match operation {
            "CREATE" => "CreateOptions",
            "UPDATE" => "UpdateOptions",
            _ => "DeleteOptions",
        };
        let mut options = json!({"kind": options, "apiVersion": "meta.k8s.io/v1"});
        for key in ["fieldManager", "fieldValidation"] {
            if let Some(value) = request.query(key) {
                options[key] = Value::from(value);
            }
        }
        if request.is_dry_run() {
            options["dryRun"] = json!(["All"]);
        }
        Self {
            request,
            operation,
            subject: [&kind.group, &kind.version, &kind.kind].map(String::clone),
            name: request.name().to_owned(),
            object,
            old,
            dry_run: request.is_dry_run(),
            options,
            warnings: Vec::new(),
        }
    }

    /// Sets the kind of the object where it differs from the resource's: a Binding or an Eviction.
    pub(super) fn of_kind(mut self, group: &str, version: &str, kind: &str) -> Self {
        self.subject = [group, version, kind].map(str::to_owned);
        self
    }

    /// Sets the options from the body, which may ask for a dry run.
    pub(super) fn with_options(mut self, options: &Value, dry_run: bool) -> Self {
        if let (Some(own), Some(given)) = (self.options.as_object_mut(), options.as_object()) {
            let given = given
                .iter()
                .filter(|(key, _)| *key != "kind" && *key != "apiVersion");
            own.extend(given.map(|(key, value)| (key.clone(), value.clone())));
        }
        self.dry_run = dry_run;
        self
    }

    fn review(&self, uid: &str) -> Value {
        let request = self.request;
        let [group, version, kind] = &self.subject;
        let kind = json!({"group": group, "version": version, "kind": kind});
        let resource = json!({"group": request.group, "version": request.version, "resource": request.resource});
        let mut body = json!({
            "uid": uid,
            "kind": kind, "requestKind": kind,
            "resource": resource, "requestResource": resource,
            "operation": self.operation,
            "userInfo": {"username": request.client, "groups": ["system:authenticated"]},
            "object": self.object, "oldObject": self.old,
            "dryRun": self.dry_run,
            "options": self.options,
        });
        let name = match self.name.as_str() {
            "" => text(&self.object, "name"),
            name => name,
        };
        for (key, value) in [
            ("name", name),
            ("namespace", request.namespace()),
            ("subResource", &request.subresource),
            ("requestSubResource", &request.subresource),
        ] {
            if !value.is_empty() {
                body[key] = Value::from(value);
            }
        }
        json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": body})
    }
}

impl ServerState {
    /// Calls the mutating webhooks one after another and applies their patches.
    pub(super) async fn mutate(&self, admission: &mut AdmissionChain<'_>) -> Result<(), ApiStatus> {
        for webhook in self.webhooks_for(admission, true) {
            let review = admission.review(&self.state().uid());
            if !webhook.applies(&review) {
                continue;
            }
            let Some(response) = allowed(&webhook, &review).await? else {
                continue;
            };
            admission.warnings.extend(warnings(&response));
            if let Some(patch) = response["patch"].as_str() {
                patched(&mut admission.object, patch).map_err(|why| ApiStatus::internal(&why))?;
            }
        }
        Ok(())
    }

    /// Calls the validating webhooks, all at once.
    pub(super) async fn validate(
        &self,
        admission: &mut AdmissionChain<'_>,
    ) -> Result<(), ApiStatus> {
        let webhooks = self.webhooks_for(admission, false);
        let reviews: Vec<(Webhook, Value)> = webhooks
            .into_iter()
            .map(|webhook| (webhook, admission.review(&self.state().uid())))
            .filter(|(webhook, review)| webhook.applies(review))
            .collect();
        let request = reviews
            .iter()
            .map(|(webhook, review)| allowed(webhook, review));
        for answer in join_all(request).await {
            if let Some(response) = answer? {
                admission.warnings.extend(warnings(&response));
            }
        }
        Ok(())
    }

    /// Returns the matching webhooks, ordered by name.
    fn webhooks_for(&self, admission: &AdmissionChain<'_>, mutating: bool) -> Vec<Webhook> {
        let request = admission.request;
        let state = self.state();
        let key = (String::new(), request.namespace().to_owned());
        let namespace = state
            .tables
            .get("namespaces")
            .and_then(|t| t.objects.get(&key));
        // A missing namespace matches as one without labels.
        let nothing = Value::Null;
        let labels = request
            .namespace
            .as_ref()
            .map(|_| namespace.map_or(&nothing, |n| n));
        let webhooks = locked(&self.webhooks);
        let webhooks = webhooks.iter().filter(|webhook| {
            webhook.mutating == mutating && webhook.matches(admission.operation, request, labels)
        });
        webhooks.cloned().collect()
    }
}

/// Returns the response if the webhook could be called and allows the request.
async fn allowed(webhook: &Webhook, review: &Value) -> Result<Option<Value>, ApiStatus> {
    let name = &webhook.name;
    let response = match webhook.send(review).await {
        Ok(response) => response,
        Err(_) if webhook.ignores_failure => return Ok(None),
        Err(why) => {
            let why = format!("failed calling webhook \"{name}\": failed to call webhook: {why}");
            return Err(ApiStatus::internal(&why));
        }
    };
    if response["allowed"] == true {
        return Ok(Some(response));
    }
    let mut status = response["status"].clone();
    let explanation = ["message", "reason"].map(|key| status[key].as_str().unwrap_or_default());
    let explanation = explanation
        .into_iter()
        .find(|explanation| !explanation.is_empty());
    let message = match explanation {
        Some(explanation) => {
            format!("admission webhook \"{name}\" denied the request: {explanation}")
        }
        None => format!("admission webhook \"{name}\" denied the request without explanation"),
    };
    if status["code"].as_u64().is_none_or(|code| code < 400) {
        status["code"] = Value::from(400);
    }
    status["message"] = Value::from(message);
    Err(status.into())
}

fn warnings(response: &Value) -> Vec<String> {
    let warnings = response["warnings"].as_array().into_iter().flatten();
    warnings
        .filter_map(|warning| warning.as_str().map(str::to_owned))
        .collect()
}

/// Applies a base64-encoded JSON patch.
fn patched(object: &mut Value, patch: &str) -> Result<(), String> {
    let bytes = STANDARD.decode(patch).map_err(|error| error.to_string())?;
    let patch: json_patch::Patch =
        serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    json_patch::patch(object, &patch).map_err(|error| error.to_string())
}
