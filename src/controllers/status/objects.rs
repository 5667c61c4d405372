//! The objects whose status is written, as the API server has them.

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{
    Client, Resource,
    api::{Api, ApiResource, DynamicObject, ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    api::call::{Answer, Patience, call},
    controllers::event_sink::ObjectRef,
};

/// How many objects a page of a list has.
const PAGE_SIZE: u32 = 500;
/// How long one object's status stays at least.
const MIN_WRITE_INTERVAL: Duration = Duration::from_secs(5);
/// How long an object is left alone that refused its status.
const REJECTED_BACKOFF: Duration = Duration::from_secs(60);
/// Who writes, in the objects' `managedFields`.
const FIELD_MANAGER: &str = "nadmit";

/// Namespace and name.
pub(super) type StatusKey = (Box<str>, Box<str>);

/// The objects of one kind.
pub(super) struct StatusObjects {
    client: Client,
    kind: ApiResource,
    known: BTreeMap<StatusKey, StatusObject>,
    last_error: Option<Answer>,
}

/// An object as it was listed, or written since.
#[derive(Debug)]
pub(super) struct StatusObject {
    pub(super) uid: Option<String>,
    pub(super) generation: Option<i64>,
    pub(super) spec: Value,
    status: Value,
    /// What was written last.
    written: Option<AppliedStatus>,
    /// When it may be written again.
    not_before: Option<Instant>,
}

/// A status that was written, and what the API server made of it: a schema of an older release drops what
/// it does not know.
#[derive(Debug)]
struct AppliedStatus {
    asked: Value,
    stored: Value,
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WriteOutcome {
    /// It is done, or this one object refuses it: it is tried again in a while.
    Done,
    /// It is not the object that was listed.
    Stale,
    /// Nothing can be written at this time.
    Unavailable,
}

impl StatusObject {
    /// Whether its last write is long enough ago.
    pub(super) fn may_be_written(&self) -> bool {
        self.not_before.is_none_or(|then| then <= Instant::now())
    }

    /// Its conditions, those of others among them.
    pub(super) fn conditions(&self) -> Vec<Condition> {
        let all = self.status["conditions"].as_array().into_iter().flatten();
        all.filter_map(|one| serde_json::from_value(one.clone()).ok())
            .collect()
    }

    /// It, as the pool of this name, for who tells of it.
    pub(super) fn pool(&self, name: &str) -> ObjectRef {
        ObjectRef {
            api_version: "nadmit.io/v1alpha1",
            kind: "AddressPool",
            namespace: String::new(),
            name: name.to_owned(),
            uid: self.uid.clone(),
        }
    }

    /// The status, if it is not what the object has: conditions of types that are not `own` count for
    /// nothing.
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
    /// Those of a kind, everywhere. Asks nothing yet.
    pub(super) fn of<K: Resource<DynamicType = ()>>(client: Client) -> Self {
        Self {
            client,
            kind: ApiResource::erase::<K>(&()),
            known: BTreeMap::new(),
            last_error: None,
        }
    }

    /// Those that are known, by namespace and name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&StatusKey, &StatusObject)> {
        self.known.iter()
    }

    /// Lists them all. Whether they are known now.
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
            Err(answer) => {
                let plural = &self.kind.plural;
                self.warn_once(format!("{plural} are not known for their status"), answer);
                false
            }
        }
    }

    async fn all(&self) -> Result<Vec<DynamicObject>, Answer> {
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &self.kind);
        let mut params = ListParams::default().limit(PAGE_SIZE);
        let mut all = Vec::new();
        loop {
            let page = match call(Patience::default(), || api.list(&params)).await {
                Ok(page) => page,
                // A kind that is not there has no objects.
                Err(Answer::Unserved(_)) => return Ok(all),
                Err(answer) => return Err(answer),
            };
            all.extend(page.items);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => return Ok(all),
            }
        }
    }

    /// Writes a status.
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
            // Of another object of that name nothing is known.
            "metadata": {"name": name, "uid": known.uid},
            "status": status,
        });
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let patch = Patch::Apply(&body);
        let patched = call(Patience::default(), || {
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
            Err(Answer::NotFound(_) | Answer::Conflict(_)) => {
                known.not_before = Some(Instant::now() + MIN_WRITE_INTERVAL);
                WriteOutcome::Stale
            }
            Err(answer) => {
                let refused = matches!(answer, Answer::Refused { .. } | Answer::Unserved(_));
                if refused {
                    known.not_before = Some(Instant::now() + REJECTED_BACKOFF);
                }
                let kind = &self.kind.kind;
                self.warn_once(format!("no status of {kind} {name} is written"), answer);
                if refused {
                    WriteOutcome::Done
                } else {
                    WriteOutcome::Unavailable
                }
            }
        }
    }

    /// Says once what is wrong.
    fn warn_once(&mut self, what: String, answer: Answer) {
        if self.last_error.as_ref() != Some(&answer) {
            tracing::warn!("{what}: {answer}");
            self.last_error = Some(answer);
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
