//! Preparation of an object before it is stored.

use serde_json::{Map, Value, json};

use super::{
    ServerState, kinds::ResourceKind, resource_request::ResourceRequest, response::ApiStatus,
    schema::FieldCause, time,
};

/// The configuration that each field manager applied, after the change, by manager.
pub(super) type AppliedAfter = Option<std::collections::BTreeMap<String, Value>>;

/// An object to be created, and what its managers applied.
pub(super) struct NewObject {
    pub(super) object: Value,
    pub(super) applied: AppliedAfter,
}

impl NewObject {
    pub(super) fn of(mut object: Value) -> Self {
        // An object that has not been stored has no version.
        if object["metadata"].is_object() {
            metadata(&mut object).remove("managedFields");
        }
        Self {
            object,
            applied: None,
        }
    }
}

/// Returns a member of `metadata`, or the empty text.
pub(super) fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object["metadata"][key].as_str().unwrap_or_default()
}

pub(super) fn metadata(object: &mut Value) -> &mut Map<String, Value> {
    let metadata = &mut object["metadata"];
    if !metadata.is_object() {
        *metadata = json!({});
    }
    match metadata {
        Value::Object(members) => members,
        // The member was created above.
        _ => unreachable!("metadata is an object"),
    }
}

pub(super) fn remove(object: &mut Value, key: &str) -> Option<Value> {
    object.as_object_mut()?.remove(key)
}

/// Checks kind, namespace and name of the object in a body, and fills in what is missing.
pub(super) fn identify(
    object: &mut Value,
    kind: &ResourceKind,
    request: &ResourceRequest,
) -> Result<(), ApiStatus> {
    if !object.is_object() {
        return Err(ApiStatus::bad_request("the body is not an object"));
    }
    for (key, expected) in [
        ("apiVersion", kind.api_version()),
        ("kind", kind.kind.clone()),
    ] {
        match object[key].as_str() {
            None => object[key] = Value::from(expected),
            Some(found) if found == expected => {}
            Some(found) => {
                let message = format!(
                    "the {key} in the data ({found}) does not match the expected {key} ({expected})"
                );
                return Err(ApiStatus::bad_request(&message));
            }
        }
    }
    let given = metadata(object);
    for (key, expected) in [("namespace", &request.namespace), ("name", &request.name)] {
        let found = given.get(key).and_then(Value::as_str).unwrap_or_default();
        match expected.as_deref() {
            Some(expected) if found.is_empty() => {
                given.insert(key.to_owned(), Value::from(expected));
            }
            Some(expected) if found != expected && key == "namespace" => {
                return Err(ApiStatus::bad_request(
                    "the namespace of the provided object does not match the namespace sent on \
                     the request",
                ));
            }
            Some(expected) if found != expected => {
                let message = format!(
                    "the name of the object ({found}) does not match the name on the URL \
                     ({expected})"
                );
                return Err(ApiStatus::bad_request(&message));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Prunes unknown fields: returns the warnings, or an error if the request asks for strict
/// validation.
pub(super) fn prune(
    object: &mut Value,
    kind: &ResourceKind,
    request: &ResourceRequest,
) -> Result<Vec<String>, ApiStatus> {
    let Some(schema) = &kind.schema else {
        return Ok(Vec::new());
    };
    let unknown = schema.prune(object);
    let unknown = unknown
        .iter()
        .map(|path| format!("unknown field \"{path}\""));
    let unknown: Vec<String> = unknown.collect();
    match request.query("fieldValidation") {
        Some("Strict") if !unknown.is_empty() => {
            let message = format!(
                "{} in version \"{}\" cannot be handled as a {}: strict decoding error: {}",
                kind.kind,
                kind.version,
                kind.kind,
                unknown.join(", ")
            );
            Err(ApiStatus::bad_request(&message))
        }
        Some("Ignore") => Ok(Vec::new()),
        _ => Ok(unknown),
    }
}

/// Rejects what the schema or the rules for names do not allow.
pub(super) fn check(object: &Value, kind: &ResourceKind) -> Result<(), ApiStatus> {
    let name = text(object, "name");
    let mut causes = Vec::new();
    if let Some(message) = wrong_name(name) {
        causes.push(FieldCause::new(
            "FieldValueInvalid",
            "metadata.name",
            message,
        ));
    }
    if let Some(schema) = &kind.schema {
        causes.extend(schema.causes(object));
    }
    if causes.is_empty() {
        return Ok(());
    }
    Err(ApiStatus::invalid(kind, name, &causes))
}

fn wrong_name(name: &str) -> Option<String> {
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let label = |label: &str| {
        label.starts_with(letter)
            && label.ends_with(letter)
            && label.chars().all(|c| letter(c) || c == '-')
    };
    if name.len() <= 253 && name.split('.').all(label) {
        return None;
    }
    Some(format!(
        "Invalid value: \"{name}\": a lowercase RFC 1123 subdomain must consist of lower case \
         alphanumeric characters, '-' or '.', and must start and end with an alphanumeric \
         character (e.g. 'example.com', regex used for validation is \
         '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
    ))
}

/// Removes fields that a new object may not set, and applies the defaults of its kind.
pub(super) fn begin(object: &mut Value, kind: &ResourceKind) {
    let given = metadata(object);
    for key in [
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "managedFields",
        "selfLink",
    ] {
        given.remove(key);
    }
    if !kind.namespaced {
        given.remove("namespace");
    }
    // A kubelet registers its node with a status.
    if kind.status && kind.qualified() != "nodes" {
        remove(object, "status");
    }
    match (kind.group.as_str(), kind.plural.as_str()) {
        ("", "pods") => pod(object),
        ("", "namespaces") => {
            let name = Value::from(text(object, "name"));
            let labels = &mut metadata(object)
                .entry("labels")
                .or_insert_with(|| json!({}));
            labels["kubernetes.io/metadata.name"] = name;
            object["spec"]["finalizers"] = json!(["kubernetes"]);
            object["status"] = json!({"phase": "Active"});
        }
        _ => {}
    }
}

fn default(object: &mut Value, key: &str, value: Value) {
    if let Some(members) = object.as_object_mut() {
        members.entry(key).or_insert(value);
    }
}

/// Applies those defaults of a pod that are the same for all pods.
fn pod(object: &mut Value) {
    object["status"] = json!({});
    let spec = &mut object["spec"];
    if !spec.is_object() {
        *spec = json!({});
    }
    for (key, value) in [
        ("restartPolicy", json!("Always")),
        ("terminationGracePeriodSeconds", json!(30)),
        ("dnsPolicy", json!("ClusterFirst")),
        ("securityContext", json!({})),
        ("schedulerName", json!("default-scheduler")),
        ("priority", json!(0)),
        ("enableServiceLinks", json!(true)),
        ("preemptionPolicy", json!("PreemptLowerPriority")),
    ] {
        default(spec, key, value);
    }
    let tolerations = ["not-ready", "unreachable"].map(|why| {
        json!({
            "key": format!("node.kubernetes.io/{why}"), "operator": "Exists",
            "effect": "NoExecute", "tolerationSeconds": 300,
        })
    });
    default(spec, "tolerations", json!(tolerations));
    for list in ["containers", "initContainers"] {
        for container in spec
            .get_mut(list)
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            container_defaults(container);
        }
    }
}

fn container_defaults(container: &mut Value) {
    let image = container["image"].as_str().unwrap_or_default();
    let tag = image
        .rsplit('/')
        .next()
        .and_then(|name| name.split_once(':'));
    let policy = match tag {
        Some((_, tag)) if tag != "latest" => "IfNotPresent",
        _ => "Always",
    };
    for (key, value) in [
        ("resources", json!({})),
        ("terminationMessagePath", json!("/dev/termination-log")),
        ("terminationMessagePolicy", json!("File")),
        ("imagePullPolicy", json!(policy)),
    ] {
        default(container, key, value);
    }
}

impl ServerState {
    /// Sets the fields that identify a new object: name, UID, creation time.
    pub(super) fn finish(&self, object: &mut Value, kind: &ResourceKind) -> Result<(), ApiStatus> {
        let now = time::written((self.clock)());
        let mut state = self.state();
        let (uid, generate) = (state.uid(), text(object, "generateName").to_owned());
        let named = !text(object, "name").is_empty();
        let given = metadata(object);
        if !named {
            if generate.is_empty() {
                let cause = FieldCause::new(
                    "FieldValueRequired",
                    "metadata.name",
                    "Required value: name or generateName is required",
                );
                return Err(ApiStatus::invalid(kind, "", &[cause]));
            }
            // The name is cut so that the suffix always fits.
            let kept: String = generate.chars().take(58).collect();
            given.insert("name".to_owned(), Value::from(kept + &state.suffix()));
        }
        given.insert("uid".to_owned(), Value::from(uid));
        given.insert("creationTimestamp".to_owned(), Value::from(now));
        if kind.generation {
            given.insert("generation".to_owned(), Value::from(1));
        }
        if kind.plural == "pods" && kind.group.is_empty() {
            object["status"] = json!({"phase": "Pending", "qosClass": "BestEffort"});
        }
        Ok(())
    }

    /// Checks that the namespace of a new object exists and is not terminating.
    pub(super) fn lives(
        &self,
        request: &ResourceRequest,
        kind: &ResourceKind,
    ) -> Result<(), ApiStatus> {
        if !kind.namespaced {
            return Ok(());
        }
        let state = self.state();
        let Some(namespaces) = state.tables.get("namespaces") else {
            return Ok(());
        };
        let name = request.namespace();
        let found = namespaces.objects.get(&(String::new(), name.to_owned()));
        let found = found.ok_or_else(|| ApiStatus::not_found(&namespaces.kind, name))?;
        if text(found, "deletionTimestamp").is_empty() {
            return Ok(());
        }
        let message = format!(
            "{} \"{}\" is forbidden: unable to create new content in namespace {name} because it \
             is being terminated",
            request.qualified(),
            request.object_name(),
        );
        let cause = json!({
            "reason": "NamespaceTerminating", "field": "metadata.namespace",
            "message": format!("namespace {name} is being terminated"),
        });
        let details =
            json!({"name": request.object_name(), "kind": request.resource, "causes": [cause]});
        Err(ApiStatus::new(403, "Forbidden", &message).with(details))
    }
}
