//! The parts of structural schemas that decide whether a write succeeds: pruning, missing members
//! and types. CEL rules, patterns and formats are not evaluated.

use serde_json::{Map, Value, json};

/// An `openAPIV3Schema`.
#[derive(Debug)]
pub struct Schema(Value);

/// The reason why a field is invalid, as an entry of `details.causes`.
#[derive(Debug)]
pub(super) struct FieldCause {
    reason: &'static str,
    message: String,
    pub(super) field: String,
}

impl FieldCause {
    pub(super) fn new(reason: &'static str, field: &str, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            field: field.to_owned(),
        }
    }

    /// Formats the cause as it appears in the Status's message.
    pub(super) fn describe(&self) -> String {
        format!("{}: {}", self.field, self.message)
    }

    pub(super) fn json(&self) -> Value {
        json!({"reason": self.reason, "message": self.message, "field": self.field})
    }
}

impl Schema {
    pub fn new(schema: Value) -> Self {
        Self(schema)
    }

    /// Removes unknown fields and applies defaults; returns the removed paths.
    pub(super) fn prune(&self, object: &mut Value) -> Vec<String> {
        let mut unknown = Vec::new();
        let Some(members) = object.as_object_mut() else {
            return unknown;
        };
        let implied = ["apiVersion", "kind", "metadata"];
        let kept: Vec<_> = implied
            .iter()
            .filter_map(|key| members.remove_entry(*key))
            .collect();
        prune(object, &self.0, "", &mut unknown);
        if let Some(members) = object.as_object_mut() {
            members.extend(kept);
        }
        unknown
    }

    /// Returns the validation errors of an object.
    pub(super) fn causes(&self, object: &Value) -> Vec<FieldCause> {
        let mut causes = Vec::new();
        check(object, &self.0, "", &mut causes);
        causes
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        return key.to_owned();
    }
    format!("{path}.{key}")
}

fn prune(value: &mut Value, schema: &Value, path: &str, unknown: &mut Vec<String>) {
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                prune(item, &schema["items"], &format!("{path}[{index}]"), unknown);
            }
        }
        Value::Object(members) => prune_members(members, schema, path, unknown),
        _ => {}
    }
}

fn prune_members(
    members: &mut Map<String, Value>,
    schema: &Value,
    path: &str,
    unknown: &mut Vec<String>,
) {
    let properties = &schema["properties"];
    let rest = &schema["additionalProperties"];
    let keeps = schema["x-kubernetes-preserve-unknown-fields"] == true;
    members.retain(|key, _| {
        let known = properties.get(key).is_some() || rest.is_object() || *rest == true || keeps;
        if !known {
            unknown.push(join(path, key));
        }
        known
    });
    for (key, property) in properties.as_object().into_iter().flatten() {
        if let Some(default) = property
            .get("default")
            .filter(|_| !members.contains_key(key))
        {
            members.insert(key.clone(), default.clone());
        }
    }
    for (key, value) in members {
        let schema = properties.get(key).unwrap_or(rest);
        if schema.is_object() {
            prune(value, schema, &join(path, key), unknown);
        }
    }
}

fn check(value: &Value, schema: &Value, path: &str, causes: &mut Vec<FieldCause>) {
    if value.is_null() && (schema["nullable"] == true || path.is_empty()) {
        return;
    }
    if let Some(wanted) = schema["type"]
        .as_str()
        .filter(|wanted| !is_a(value, wanted))
    {
        let found = name_of(value);
        let message = format!(
            "Invalid value: \"{found}\": {path} in body must be of type {wanted}: \"{found}\""
        );
        causes.push(FieldCause::new("FieldValueTypeInvalid", path, message));
        return;
    }
    let allowed = schema["enum"].as_array();
    if let Some(allowed) = allowed.filter(|allowed| !allowed.contains(value)) {
        let allowed: Vec<String> = allowed.iter().map(Value::to_string).collect();
        let message = format!(
            "Unsupported value: {value}: supported values: {}",
            allowed.join(", ")
        );
        causes.push(FieldCause::new("FieldValueNotSupported", path, message));
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        check(item, &schema["items"], &format!("{path}[{index}]"), causes);
    }
    let Some(members) = value.as_object() else {
        return;
    };
    for key in schema["required"].as_array().into_iter().flatten() {
        let key = key.as_str().unwrap_or_default();
        if !members.contains_key(key) {
            causes.push(FieldCause::new(
                "FieldValueRequired",
                &join(path, key),
                "Required value",
            ));
        }
    }
    for (key, value) in members {
        let schema = schema["properties"].get(key);
        if let Some(schema) = schema.filter(|_| !(path.is_empty() && key == "metadata")) {
            check(value, schema, &join(path, key), causes);
        }
    }
}

fn is_a(value: &Value, wanted: &str) -> bool {
    match wanted {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        _ => true,
    }
}

fn name_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
