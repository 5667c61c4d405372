//! Get and list.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::{
    ServerState,
    kinds::ResourceKind,
    resource_request::ResourceRequest,
    response::{ApiStatus, JsonResponse},
    selectors::ObjectSelector,
    store::{NamespacedName, ResourceTable, StoreState},
};

impl ServerState {
    pub(super) fn get(&self, request: &ResourceRequest) -> Result<JsonResponse, ApiStatus> {
        let state = self.state();
        let table = state.table(request)?;
        let key = (request.namespace().to_owned(), request.name().to_owned());
        let object = table.objects.get(&key);
        let object = object.ok_or_else(|| ApiStatus::not_found(&table.kind, request.name()))?;
        Ok(JsonResponse::new(200, &*shown(object, request)))
    }

    /// Returns a page of a list; a lag hides the changes of that time.
    pub(super) fn list(
        &self,
        request: &ResourceRequest,
        lag: std::time::Duration,
    ) -> Result<JsonResponse, ApiStatus> {
        let state = self.state();
        let table = state.table(request)?;
        let selector = ObjectSelector::of(request, &table.kind)?;
        let place = ListPosition::of(request, &state, table, lag)?;
        let past;
        let objects = if place.revision >= state.revision {
            &table.objects
        } else {
            past = table.at(place.revision);
            &past
        };
        let limit = request.query("limit").and_then(|limit| limit.parse().ok());
        let limit = limit.filter(|limit| *limit > 0).unwrap_or(usize::MAX);
        let page = ListPage::of(objects, &selector, &place, limit.min(self.page));
        Ok(JsonResponse::new(
            200,
            &page.list(&table.kind, request, &place),
        ))
    }
}

impl StoreState {
    /// Returns the table of a resource in the requested version.
    pub(super) fn table(&self, request: &ResourceRequest) -> Result<&ResourceTable, ApiStatus> {
        let table = self.tables.get(&request.qualified());
        let served = |table: &&ResourceTable| {
            let pod = table.kind.qualified() == "pods" && request.verb == "create";
            table.kind.version == request.version
                && match request.subresource.as_str() {
                    "" => true,
                    "status" => table.kind.status && request.verb != "create",
                    "binding" | "eviction" => pod,
                    _ => false,
                }
        };
        table.filter(served).ok_or_else(no_such_resource)
    }
}

/// Returns the error for a kind that is not installed.
pub(super) fn no_such_resource() -> ApiStatus {
    ApiStatus::new(
        404,
        "NotFound",
        "the server could not find the requested resource",
    )
    .with(json!({}))
}

/// A position in a list at a revision.
struct ListPosition {
    revision: u64,
    /// The last key of the previous page.
    after: Option<NamespacedName>,
}

impl ListPosition {
    fn of(
        request: &ResourceRequest,
        state: &StoreState,
        table: &ResourceTable,
        lag: std::time::Duration,
    ) -> Result<Self, ApiStatus> {
        let current = state.revision;
        let Some(token) = request.query("continue") else {
            let least = request.query("resourceVersion").unwrap_or_default();
            let cached = !least.is_empty();
            let revision = if cached {
                table.seen(lag).unwrap_or(current)
            } else {
                current
            };
            let exact = request.query("resourceVersionMatch") == Some("Exact");
            let least: u64 = least.parse().unwrap_or_default();
            if exact && least < table.since {
                let message = "The resourceVersion for the provided list is too old.";
                return Err(ApiStatus::expired(message));
            }
            if least > current {
                let message = format!("Too large resource version: {least}, current: {current}");
                return Err(ApiStatus::new(504, "Timeout", &message).retried_after(1));
            }
            return Ok(Self {
                revision: if exact { least } else { revision.max(least) },
                after: None,
            });
        };
        let bytes = URL_SAFE_NO_PAD.decode(token.trim_end_matches('='));
        let read: Value = bytes
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .ok_or_else(|| ApiStatus::bad_request("continue key is not valid"))?;
        let revision = read["rv"].as_u64().unwrap_or_default();
        if revision < state.lists_since.max(table.since) {
            return Err(ApiStatus::expired(
                "The provided continue parameter is too old to display a consistent list result. \
                 You can start a new list without the continue parameter.",
            ));
        }
        let start = read["start"].as_str().unwrap_or_default();
        let start = start.trim_end_matches('\0').trim_start_matches('/');
        let (namespace, name) = start.split_once('/').unwrap_or(("", start));
        Ok(Self {
            revision,
            after: Some((namespace.to_owned(), name.to_owned())),
        })
    }

    /// Returns the token in the format of a real API server, plus a suffix that has to be escaped:
    /// clients must treat it as opaque.
    fn token(&self, (namespace, name): &NamespacedName) -> String {
        let start = if namespace.is_empty() {
            format!("/{name}\0")
        } else {
            format!("/{namespace}/{name}\0")
        };
        let token = json!({"v": "meta.k8s.io/v1", "rv": self.revision, "start": start});
        URL_SAFE_NO_PAD.encode(token.to_string()) + "=="
    }
}

impl ResourceTable {
    /// Returns the last revision that a reader with this lag sees; `None` if it sees all of them.
    pub(super) fn seen(&self, lag: std::time::Duration) -> Option<u64> {
        // A lag of zero hides nothing, even while time is paused.
        if lag.is_zero() {
            return None;
        }
        let now = tokio::time::Instant::now();
        let first = self.events.partition_point(|event| event.at + lag <= now);
        let unseen = self.events.get(first)?;
        Some(unseen.revision.saturating_sub(1).max(self.since))
    }
}

struct ListPage<'a> {
    items: Vec<&'a Arc<Value>>,
    last: Option<&'a NamespacedName>,
    left: usize,
    /// Set if the API server knows how many objects remain.
    counted: bool,
}

impl<'a> ListPage<'a> {
    fn of(
        objects: &'a BTreeMap<NamespacedName, Arc<Value>>,
        selector: &ObjectSelector,
        place: &ListPosition,
        most: usize,
    ) -> Self {
        let after = place.after.as_ref();
        let all = objects
            .iter()
            .filter(|(key, _)| after.is_none_or(|after| *key > after));
        let mut wanted = all.filter(|(_, object)| selector.wants(object));
        let shown: Vec<_> = wanted.by_ref().take(most).collect();
        Self {
            last: shown.last().map(|(key, _)| *key),
            items: shown.into_iter().map(|(_, object)| object).collect(),
            left: wanted.count(),
            counted: !selector.selects(),
        }
    }

    fn list(
        &self,
        kind: &ResourceKind,
        request: &ResourceRequest,
        place: &ListPosition,
    ) -> ObjectList<'a> {
        let mut metadata = json!({"resourceVersion": place.revision.to_string()});
        if let Some(last) = self.last.filter(|_| self.left > 0) {
            metadata["continue"] = Value::from(place.token(last));
            if self.counted {
                metadata["remainingItemCount"] = Value::from(self.left);
            }
        } else if kind.custom {
            metadata["continue"] = Value::from("");
        }
        let metadata_only = request.wants_metadata();
        let (api_version, name) = if metadata_only {
            let name = "PartialObjectMetadataList".to_owned();
            ("meta.k8s.io/v1".to_owned(), name)
        } else {
            (kind.api_version(), format!("{}List", kind.kind))
        };
        // The items of a built-in kind's list do not name their kind.
        let named = kind.custom || metadata_only;
        let items = self.items.iter().map(|object| ListItem {
            object: shown(object, request),
            named,
        });
        ObjectList {
            api_version,
            kind: name,
            metadata,
            items: items.collect(),
        }
    }
}

/// A list that is serialized without a copy of its items.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ObjectList<'a> {
    api_version: String,
    kind: String,
    metadata: Value,
    items: Vec<ListItem<'a>>,
}

struct ListItem<'a> {
    object: Cow<'a, Value>,
    named: bool,
}

impl Serialize for ListItem<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.object.as_object() {
            Some(members) if !self.named => serializer.collect_map(
                members
                    .iter()
                    .filter(|(key, _)| *key != "apiVersion" && *key != "kind"),
            ),
            _ => self.object.serialize(serializer),
        }
    }
}

/// Returns an object for a response: whole, or only its metadata.
pub(super) fn shown<'a>(object: &'a Value, request: &ResourceRequest) -> Cow<'a, Value> {
    if !request.wants_metadata() {
        return Cow::Borrowed(object);
    }
    Cow::Owned(json!({
        "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
        "metadata": object["metadata"],
    }))
}
