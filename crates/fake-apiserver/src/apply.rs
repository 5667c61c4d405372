//! Field ownership by manager: enough for managers that apply whole configurations. Fields written
//! by other means have no owner here, so they never conflict.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::response::ApiStatus;

/// The configuration that each manager applied last.
pub(super) type AppliedByManager = BTreeMap<String, Value>;

type FieldPath = Vec<String>;

/// Returns the key of a manager: applying a subresource counts as a manager of its own.
pub(super) fn manager(name: &str, subresource: &str) -> String {
    match subresource {
        "" => name.to_owned(),
        subresource => format!("{name}\" using subresource \"{subresource}"),
    }
}

/// Returns the configuration without the fields that identify its object.
pub(super) fn configured(wanted: &Value) -> Value {
    let mut own = wanted.clone();
    if let Some(members) = own.as_object_mut() {
        members.remove("apiVersion");
        members.remove("kind");
    }
    if let Some(metadata) = own["metadata"].as_object_mut() {
        for key in ["name", "namespace", "uid", "resourceVersion"] {
            metadata.remove(key);
        }
    }
    own
}

/// Collects the leaf fields of a configuration; a list counts as one leaf.
fn leaves(value: &Value, at: &mut FieldPath, found: &mut BTreeMap<FieldPath, Value>) {
    match value.as_object() {
        Some(members) if !members.is_empty() || at.is_empty() => {
            for (key, value) in members {
                at.push(key.clone());
                leaves(value, at, found);
                at.pop();
            }
        }
        _ => {
            found.insert(at.clone(), value.clone());
        }
    }
}

fn fields(value: &Value) -> BTreeMap<FieldPath, Value> {
    let mut found = BTreeMap::new();
    leaves(value, &mut Vec::new(), &mut found);
    found
}

/// Takes over the fields that others applied with other values; without force, returns a conflict.
pub(super) fn take(
    managers: &mut AppliedByManager,
    manager: &str,
    own: &Value,
    force: bool,
) -> Result<(), ApiStatus> {
    let own = fields(own);
    let mut causes = Vec::new();
    for (other, applied) in managers.iter_mut().filter(|(other, _)| *other != manager) {
        for (path, value) in fields(applied) {
            if own.get(&path).is_none_or(|wanted| *wanted == value) {
                continue;
            }
            remove(applied, &path);
            let conflicts = format!("conflict with \"{other}\"");
            let field = format!(".{}", path.join("."));
            causes.push(json!({
                "reason": "FieldManagerConflict", "message": conflicts, "field": field,
            }));
        }
    }
    if causes.is_empty() || force {
        return Ok(());
    }
    let one = |cause: &Value| {
        let text = |key: &str| cause[key].as_str().unwrap_or_default().to_owned();
        format!("{}: {}", text("message"), text("field"))
    };
    let message = match &causes[..] {
        [cause] => format!("Apply failed with 1 conflict: {}", one(cause)),
        several => {
            let conflicts: Vec<String> = several.iter().map(one).collect();
            format!(
                "Apply failed with {} conflicts: {}",
                conflicts.len(),
                conflicts.join("\n")
            )
        }
    };
    Err(ApiStatus::new(409, "Conflict", &message).with(json!({"causes": causes})))
}

/// Returns the fields that the manager applied before and that no manager applies now.
pub(super) fn dropped(managers: &AppliedByManager, before: Option<&Value>) -> Vec<FieldPath> {
    let now: Vec<_> = managers.values().map(fields).collect();
    let before = before.map(fields).unwrap_or_default();
    let dropped = before.into_keys();
    dropped
        .filter(|path| !now.iter().any(|fields| fields.contains_key(path)))
        .collect()
}

pub(super) fn remove(value: &mut Value, path: &FieldPath) {
    let Some((last, rest)) = path.split_last() else {
        return;
    };
    let place = rest.iter().try_fold(value, |value, key| value.get_mut(key));
    if let Some(members) = place.and_then(Value::as_object_mut) {
        members.remove(last);
    }
}
