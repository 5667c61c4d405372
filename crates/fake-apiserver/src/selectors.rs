//! Label selectors and field selectors.

use serde_json::Value;

use super::{kinds::ResourceKind, resource_request::ResourceRequest, response::ApiStatus};

/// One requirement of a selector.
#[derive(Clone, Debug)]
enum Requirement {
    Is(String, String),
    Not(String, String),
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

impl Requirement {
    /// Returns true if a value meets the requirement; the value may be absent.
    fn met(&self, found: impl Fn(&str) -> Option<String>) -> bool {
        match self {
            Self::Is(key, value) => found(key).is_some_and(|found| found == *value),
            Self::Not(key, value) => found(key).is_none_or(|found| found != *value),
            Self::In(key, values) => found(key).is_some_and(|found| values.contains(&found)),
            Self::NotIn(key, values) => found(key).is_none_or(|found| !values.contains(&found)),
            Self::Exists(key) => found(key).is_some(),
            Self::Absent(key) => found(key).is_none(),
        }
    }
}

/// The objects that a list or a watch selects.
#[derive(Clone, Debug, Default)]
pub(super) struct ObjectSelector {
    namespace: Option<String>,
    name: Option<String>,
    labels: Vec<Requirement>,
    fields: Vec<Requirement>,
}

impl ObjectSelector {
    pub(super) fn of(request: &ResourceRequest, kind: &ResourceKind) -> Result<Self, ApiStatus> {
        let fields = needs(request.query("fieldSelector").unwrap_or_default());
        for need in &fields {
            let (Requirement::Is(key, _) | Requirement::Not(key, _)) = need else {
                return Err(ApiStatus::bad_request("invalid field selector"));
            };
            let known = ["metadata.name", "metadata.namespace"].contains(&key.as_str());
            if !known && !kind.selectable.contains(key) {
                let message = format!("field label not supported: {key}");
                return Err(ApiStatus::bad_request(&message));
            }
        }
        Ok(Self {
            namespace: request.namespace.clone(),
            name: request.name.clone(),
            labels: needs(request.query("labelSelector").unwrap_or_default()),
            fields,
        })
    }

    /// Parses a label selector.
    pub(super) fn labels(text: &str) -> Self {
        Self {
            labels: needs(text),
            ..Self::default()
        }
    }

    /// Returns true if the selector is not empty; a list then does not report how many objects
    /// remain.
    pub(super) fn selects(&self) -> bool {
        !self.labels.is_empty() || !self.fields.is_empty()
    }

    pub(super) fn wants(&self, object: &Value) -> bool {
        let metadata = &object["metadata"];
        let is = |wanted: &Option<String>, key: &str| {
            wanted
                .as_deref()
                .is_none_or(|wanted| metadata[key] == wanted)
        };
        let label = |key: &str| metadata["labels"][key].as_str().map(str::to_owned);
        let field = |path: &str| {
            let value = path.split('.').fold(object, |value, key| &value[key]);
            // An unset field counts as empty.
            Some(match value {
                Value::String(text) => text.clone(),
                Value::Null => String::new(),
                other => other.to_string(),
            })
        };
        is(&self.namespace, "namespace")
            && is(&self.name, "name")
            && self.labels.iter().all(|need| need.met(label))
            && self.fields.iter().all(|need| need.met(field))
    }
}

/// Splits at commas outside of parentheses.
fn needs(text: &str) -> Vec<Requirement> {
    let mut depth = 0_u32;
    let parts = text.split(|c| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    });
    parts
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(need)
        .collect()
}

fn need(text: &str) -> Requirement {
    let owned = |(key, value): (&str, &str)| (key.trim().to_owned(), value.trim().to_owned());
    let set = |(key, values): (&str, &str)| {
        let values = values.trim().trim_matches(['(', ')']).split(',');
        (
            key.trim().to_owned(),
            values.map(|value| value.trim().to_owned()).collect(),
        )
    };
    if let Some((key, values)) = text.split_once(" notin ").map(set) {
        return Requirement::NotIn(key, values);
    }
    if let Some((key, values)) = text.split_once(" in ").map(set) {
        return Requirement::In(key, values);
    }
    if let Some((key, value)) = text.split_once("!=").map(owned) {
        return Requirement::Not(key, value);
    }
    let equal = text.split_once("==").or_else(|| text.split_once('='));
    if let Some((key, value)) = equal.map(owned) {
        return Requirement::Is(key, value);
    }
    match text.strip_prefix('!') {
        Some(key) => Requirement::Absent(key.trim().to_owned()),
        None => Requirement::Exists(text.to_owned()),
    }
}
