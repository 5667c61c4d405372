//! The objects whose status is written, as last seen at the API server.

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{
    Client, Resource,
    api::{Api, ApiResource, DynamicObject, ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::event_sink::ObjectRef;
use nadmit_api::call::{ApiError, RetryPolicy, call};

/// The number of objects in a page of a list.
const PAGE_SIZE: u32 = 500;
/// The minimum time between two writes of one object.
const MIN_WRITE_INTERVAL: Duration = Duration::from_secs(5);
/// The time for which an object is left alone after the API server rejected its status.
const REJECTED_BACKOFF: Duration = Duration::from_secs(60);
/// The field manager of the writes.
const FIELD_MANAGER: &str = "nadmit";

/// The namespace and name of an object.
pub(super) type StatusKey = (Box<str>, Box<str>);

/// The objects of one kind.
pub(super) struct StatusObjects {
    client: Client,
    kind: ApiResource,
    known: BTreeMap<StatusKey, StatusObject>,
    last_error: Option<ApiError>,
}

/// An object as of the last list or write.
#[derive(Debug)]
pub(super) struct StatusObject {
    pub(super) uid: Option<String>,
    pub(super) generation: Option<i64>,
    pub(super) spec: Value,
    status: Value,
    /// The last status written by this replica.
    written: Option<AppliedStatus>,
    /// The time before which it is not written again.
    not_before: Option<Instant>,
}

/// A status as it was sent, and as the API server stored it: the schema of an older release drops
/// fields it does not know.
#[derive(Debug)]
struct AppliedStatus {
    asked: Value,
    stored: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WriteOutcome {
    /// Written, or rejected for this object only, which is retried after [`REJECTED_BACKOFF`].
    Done,
    /// The object is not the one that was listed.
    Stale,
    /// The API server accepts no writes at present.
    Unavailable,
}

impl StatusObject {
    /// Returns true if the minimum time since the last write has passed.
    pub(super) fn may_be_written(&self) -> bool {
        self.not_before.is_none_or(|then| then <= Instant::now())
    }

    /// Returns all its conditions, including those of other managers.
    pub(super) fn conditions(&self) -> Vec<Condition> {
        let all = self.status["conditions"].as_array().into_iter().flatten();
        all.filter_map(|one| serde_json::from_value(one.clone()).ok())
            .collect()
    }

    /// Returns a reference to the object as a pool, for events.
    pub(super) fn pool(&self, name: &str) -> ObjectRef {
        ObjectRef {
            api_version: "nadmit.io/v1alpha1",
            kind: "AddressPool",
            namespace: String::new(),
            name: name.to_owned(),
            uid: self.uid.clone(),
        }
    }

    /// Returns `status` if it differs from that of the object. Conditions whose types are not in `own`
    /// are ignored.
    pub(super) fn changed_status(&self, status: Value, own: &[&str]) -> Option<Value> {
        let written = self.written.as_ref();
        if written.is_some_and(|one| one.asked == status && one.stored == self.status) {
            return None;
        }
        let mut has = self.status.clone();
        if let Some(conditions) = has.get_mut("conditions").and_then(Value::as_array_mut) {
            conditions.retain(|one| own.iter().any(|kind| one["type"] == *kind));
        }
        (has != status).then_some(status)
    }
}

impl StatusObjects {
    /// Creates an empty set for the objects of kind `K` in all namespaces. Sends no request.
    pub(super) fn of<K: Resource<DynamicType = ()>>(client: Client) -> Self {
        Self {
            client,
            kind: ApiResource::erase::<K>(&()),
            known: BTreeMap::new(),
            last_error: None,
        }
    }

    /// Iterates over the known objects, by namespace and name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&StatusKey, &StatusObject)> {
        self.known.iter()
    }

    /// Lists all objects. Returns true on success.
    pub(super) async fn list(&mut self) -> bool {
        match self.all().await {
            Ok(all) => {
                let mut before = std::mem::take(&mut self.known);
                self.known = all.into_iter().map(known).collect();
                for (key, now) in &mut self.known {
                    let then = before.remove(key).filter(|then| then.uid == now.uid);
                    if let Some(then) = then {
                        now.not_before = then.not_before;
                        now.written = then.written;
                    }
                }
                self.last_error = None;
                true
            }
            Err(error) => {
                self.warn_once("listing objects for their status failed", "", error);
                false
            }
        }
    }

    async fn all(&self) -> Result<Vec<DynamicObject>, ApiError> {
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &self.kind);
        let mut params = ListParams::default().limit(PAGE_SIZE);
        let mut all = Vec::new();
        loop {
            let page = match call(RetryPolicy::default(), || api.list(&params)).await {
                Ok(page) => page,
                // A kind that is not served has no objects.
                Err(ApiError::NotServed(_)) => return Ok(all),
                Err(error) => return Err(error),
            };
            all.extend(page.items);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => return Ok(all),
            }
        }
    }

    /// Writes the status of an object.
    pub(super) async fn write(&mut self, key: &StatusKey, status: Value) -> WriteOutcome {
        let Some(known) = self.known.get_mut(key) else {
            return WriteOutcome::Done;
        };
        let (namespace, name) = key;
        let api: Api<DynamicObject> = match &**namespace {
            "" => Api::all_with(self.client.clone(), &self.kind),
            namespace => Api::namespaced_with(self.client.clone(), namespace, &self.kind),
        };
        let body = json!({
            "apiVersion": self.kind.api_version,
            "kind": self.kind.kind,
            // The UID makes the write fail if the object was replaced.
            "metadata": {"name": name, "uid": known.uid},
            "status": status,
        });
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let patch = Patch::Apply(&body);
        let patched = call(RetryPolicy::default(), || {
            api.patch_status(name, &params, &patch)
        });
        match patched.await {
            Ok(object) => {
                let (key, mut now) = self::known(object);
                now.not_before = Some(Instant::now() + MIN_WRITE_INTERVAL);
                now.written = Some(AppliedStatus {
                    asked: body["status"].clone(),
                    stored: now.status.clone(),
                });
                self.known.insert(key, now);
                self.last_error = None;
                WriteOutcome::Done
            }
            Err(ApiError::NotFound(_) | ApiError::Conflict(_)) => {
                known.not_before = Some(Instant::now() + MIN_WRITE_INTERVAL);
                WriteOutcome::Stale
            }
            Err(error) => {
                let refused = matches!(error, ApiError::Refused { .. } | ApiError::NotServed(_));
                if refused {
                    known.not_before = Some(Instant::now() + REJECTED_BACKOFF);
                }
                self.warn_once("writing a status failed", name, error);
                if refused {
                    WriteOutcome::Done
                } else {
                    WriteOutcome::Unavailable
                }
            }
        }
    }

    /// Logs an error, unless it is the same as the last.
    fn warn_once(&mut self, message: &str, name: &str, error: ApiError) {
        if self.last_error.as_ref() != Some(&error) {
            tracing::warn!(kind = self.kind.kind, name, error = %error, "{message}");
            self.last_error = Some(error);
        }
    }
}

fn known(mut object: DynamicObject) -> (StatusKey, StatusObject) {
    let metadata = object.metadata;
    let key = (
        metadata.namespace.unwrap_or_default().into(),
        metadata.name.unwrap_or_default().into(),
    );
    let known = StatusObject {
        uid: metadata.uid,
        generation: metadata.generation,
        spec: object.data["spec"].take(),
        status: object.data["status"].take(),
        written: None,
        not_before: None,
    };
    (key, known)
}
