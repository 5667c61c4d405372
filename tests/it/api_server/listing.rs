//! Lists: of a namespace or of all, of one name, page by page.

use axum::{http::Uri, response::Response};
use serde_json::{Value, json};

use super::{answer_json, store::Resource};

/// What is asked for.
pub(super) struct Asked {
    /// `v1` or `apps/v1`
    pub(super) group_version: String,
    pub(super) resource: String,
    namespace: Option<String>,
    name: Option<String>,
    limit: usize,
    /// How many objects were on the pages before.
    pub(super) after: Option<usize>,
}

impl Asked {
    /// Reads a path; `None` if it is none of a list.
    pub(super) fn of(uri: &Uri) -> Option<Self> {
        let parts: Vec<&str> = uri.path().trim_start_matches('/').split('/').collect();
        let (group_version, rest) = match &parts[..] {
            ["api", version, rest @ ..] => ((*version).to_owned(), rest),
            ["apis", group, version, rest @ ..] => (format!("{group}/{version}"), rest),
            _ => return None,
        };
        let (namespace, resource) = match rest {
            ["namespaces", namespace, resource] => (Some((*namespace).to_owned()), *resource),
            [resource] => (None, *resource),
            _ => return None,
        };
        let query = |key: &str| {
            let mut pairs = uri.query().unwrap_or_default().split('&');
            pairs.find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='))
        };
        Some(Self {
            group_version,
            resource: resource.to_owned(),
            namespace,
            name: query("fieldSelector")
                .and_then(|selector| Some(selector.strip_prefix("metadata.name%3D")?.to_owned())),
            limit: query("limit")
                .and_then(|limit| limit.parse().ok())
                .unwrap_or(usize::MAX),
            // As opaque as the real one, and as much in need of escaping.
            after: query("continue").and_then(|place| place.strip_suffix("%3D%3D")?.parse().ok()),
        })
    }

    fn wants(&self, namespace: &str, name: &str) -> bool {
        let is = |wanted: &Option<String>, found: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == found)
        };
        is(&self.namespace, namespace) && is(&self.name, name)
    }
}

/// A page of a list. The items do not name their kind where the API server's do not, either.
pub(super) fn list(resource: &Resource, asked: &Asked, most: usize) -> Response {
    let all = resource.objects.iter();
    let wanted = all.filter(|((namespace, name), _)| asked.wants(namespace, name));
    let mut wanted = wanted
        .map(|(_, object)| object)
        .skip(asked.after.unwrap_or_default());
    let items: Vec<Value> = wanted
        .by_ref()
        .take(asked.limit.min(most))
        .map(|object| item(object, resource))
        .collect();
    let shown = asked.after.unwrap_or_default() + items.len();
    let mut metadata = json!({"resourceVersion": "1"});
    let left = wanted.count();
    if left > 0 {
        metadata["continue"] = json!(format!("{shown}=="));
        metadata["remainingItemCount"] = json!(left);
    }
    let list = json!({
        "apiVersion": resource.api_version,
        "kind": format!("{}List", resource.kind),
        "metadata": metadata,
        "items": items,
    });
    answer_json(200, &list)
}

fn item(object: &Value, resource: &Resource) -> Value {
    let mut object = object.clone();
    let custom = resource.api_version.contains('.');
    if let Some(members) = object.as_object_mut().filter(|_| !custom) {
        members.remove("apiVersion");
        members.remove("kind");
    }
    object
}
