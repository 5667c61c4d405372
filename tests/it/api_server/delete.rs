//! Delete: preconditions, finalizers, and the grace period of pods.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::{
    Shared,
    admission::Admission,
    kinds::Kind,
    prepare::{metadata, text},
    read::no_such_resource,
    resource_request::Asked,
    response::{Answer, Refusal},
    selectors::Selector,
    store::{Key, State, Table},
    time,
};

/// The options of a delete, from the body or the query.
#[derive(Debug, Default)]
pub(super) struct Options {
    uid: Option<String>,
    version: Option<String>,
    grace: Option<u64>,
    dry_run: bool,
}

impl Options {
    pub(super) fn of(asked: &Asked) -> Result<Self, Refusal> {
        Ok(Self::read(&asked.json()?, asked))
    }

    pub(super) fn read(body: &Value, asked: &Asked) -> Self {
        let text = |key: &str| body["preconditions"][key].as_str().map(str::to_owned);
        let grace = asked
            .query("gracePeriodSeconds")
            .and_then(|s| s.parse().ok());
        let all = |dry: &Value| *dry == json!(["All"]);
        Self {
            uid: text("uid"),
            version: text("resourceVersion"),
            grace: body["gracePeriodSeconds"].as_u64().or(grace),
            dry_run: asked.is_dry_run() || all(&body["dryRun"]),
        }
    }

    /// Checks the preconditions against the current object.
    fn met(&self, object: &Value, kind: &Kind) -> Result<(), Refusal> {
        let wanted = [
            (
                "UID",
                &self.uid,
                text(object, "uid"),
                "been deleted and then recreated",
            ),
            (
                "ResourceVersion",
                &self.version,
                text(object, "resourceVersion"),
                "been modified",
            ),
        ];
        for (what, wanted, found, why) in wanted {
            let Some(wanted) = wanted.as_deref().filter(|wanted| *wanted != found) else {
                continue;
            };
            let why = format!(
                "the {what} in the precondition ({wanted}) does not match the {what} in record \
                 ({found}). The object might have {why}"
            );
            let name = text(object, "name");
            return Err(Refusal::conflict(&kind.kind, &kind.group, name, &why));
        }
        Ok(())
    }
}

/// The outcome of a delete.
pub(super) struct Deleted {
    pub(super) object: Arc<Value>,
    /// Set if the object was removed.
    pub(super) gone: bool,
}

impl Shared {
    pub(super) async fn delete(&self, asked: &Asked) -> Result<Answer, Refusal> {
        let kind = self.kind(asked)?;
        let key = (asked.namespace().to_owned(), asked.name().to_owned());
        let options = Options::of(asked)?;
        let (deleted, warnings) = self.delete_one(asked, &kind, &key, &options).await?;
        let whole =
            !deleted.gone || matches!(kind.qualified().as_str(), "pods" | "serviceaccounts");
        if whole {
            return Ok(Answer::new(200, &deleted.object).warned(warnings));
        }
        let mut details = json!({
            "name": key.1, "group": kind.group, "kind": kind.plural,
            "uid": text(&deleted.object, "uid"),
        });
        if let Some(members) = details.as_object_mut().filter(|_| kind.group.is_empty()) {
            members.remove("group");
        }
        let status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
            "details": details,
        });
        Ok(Answer::new(200, &status).warned(warnings))
    }

    /// Deletes the objects that match a selector, one after another.
    pub(super) async fn delete_all(&self, asked: &Asked) -> Result<Answer, Refusal> {
        let kind = self.kind(asked)?;
        let options = Options::of(asked)?;
        let selector = Selector::of(asked, &kind)?;
        let wanted: Vec<(Key, Arc<Value>)> = {
            let state = self.state();
            let all = state.table(asked)?.objects.iter();
            let wanted = all.filter(|(_, object)| selector.wants(object));
            wanted
                .map(|(key, object)| (key.clone(), object.clone()))
                .collect()
        };
        let mut items = Vec::new();
        for (key, object) in wanted {
            match self.delete_one(asked, &kind, &key, &options).await {
                Ok(_) => items.push(object),
                // Another client deleted it in between.
                Err(refusal) if refusal.code == 404 => {}
                Err(refusal) => return Err(refusal),
            }
        }
        let list = json!({
            "apiVersion": kind.api_version(), "kind": format!("{}List", kind.kind),
            "metadata": {"resourceVersion": self.state().revision.to_string()},
            "items": items.iter().map(|item| Value::clone(item)).collect::<Vec<Value>>(),
        });
        Ok(Answer::new(200, &list))
    }

    /// Deletes one object after its webhooks were called.
    async fn delete_one(
        &self,
        asked: &Asked,
        kind: &Kind,
        key: &Key,
        options: &Options,
    ) -> Result<(Deleted, Vec<String>), Refusal> {
        let old = self.current(kind, key)?;
        options.met(&old, kind)?;
        let admission = Admission::new(asked, kind, "DELETE", Value::Null, Value::clone(&old));
        let mut admission = admission.with_options(&asked.json()?, options.dry_run);
        self.mutate(&mut admission).await?;
        self.validate(&mut admission).await?;
        let deleted = self.remove(asked, kind, key, options)?;
        Ok((deleted, admission.warnings))
    }

    /// Removes an object, or marks it for deletion.
    pub(super) fn remove(
        &self,
        asked: &Asked,
        kind: &Kind,
        key: &Key,
        options: &Options,
    ) -> Result<Deleted, Refusal> {
        let mut state = self.state();
        let table = state
            .tables
            .get(&kind.qualified())
            .ok_or_else(no_such_resource)?;
        let object = table.objects.get(key).cloned();
        let object = object.ok_or_else(|| Refusal::not_found(kind, &key.1))?;
        options.met(&object, kind)?;
        let now = (self.clock)();
        let Some(dying) = dying(&object, kind, options, now) else {
            if options.dry_run {
                return Ok(Deleted { object, gone: true });
            }
            let object = self.commit(&mut state, asked, kind, key, None)?;
            return Ok(Deleted { object, gone: true });
        };
        let object = if options.dry_run {
            Arc::new(dying)
        } else if dying == *object {
            object
        } else {
            self.commit(&mut state, asked, kind, key, Some(dying))?
        };
        if kind.qualified() == "namespaces" && !options.dry_run {
            self.empty(&mut state, asked, &key.1, now);
        }
        Ok(Deleted {
            object,
            gone: false,
        })
    }

    /// Deletes the contents of a namespace, as the namespace controller does, and then the
    /// namespace.
    fn empty(&self, state: &mut State, asked: &Asked, namespace: &str, now: jiff::Timestamp) {
        let tables = state.tables.values();
        let inside: Vec<(Arc<Kind>, Key, Arc<Value>)> = tables
            .flat_map(|table| {
                let all = table.objects.iter();
                all.map(|(key, object)| (table.kind.clone(), key.clone(), object.clone()))
            })
            .filter(|(_, key, _)| key.0 == namespace)
            .collect();
        for (kind, key, object) in inside {
            let dying = dying(&object, &kind, &Options::default(), now);
            // The object exists: it was read under the same lock.
            let _ = self.commit(state, asked, &kind, &key, dying);
        }
        self.leave(state, asked, namespace);
    }

    /// Removes a terminating namespace once the last object in it is gone.
    pub(super) fn leave(&self, state: &mut State, asked: &Asked, namespace: &str) {
        let key = (String::new(), namespace.to_owned());
        let Some(namespaces) = state.tables.get("namespaces") else {
            return;
        };
        let kind = Arc::clone(&namespaces.kind);
        let found = namespaces.objects.get(&key);
        if found.is_none_or(|found| text(found, "deletionTimestamp").is_empty()) {
            return;
        }
        let inside = |table: &Table| table.objects.keys().any(|key| key.0 == namespace);
        if !state.tables.values().any(inside) {
            // The object exists: it was read under the same lock.
            let _ = self.commit(state, asked, &kind, &key, None);
        }
    }
}

/// Returns the object marked for deletion; `None` if nothing keeps it.
fn dying(object: &Value, kind: &Kind, options: &Options, now: jiff::Timestamp) -> Option<Value> {
    let mut object = object.clone();
    let pod = kind.qualified() == "pods";
    let finished = matches!(
        object["status"]["phase"].as_str(),
        Some("Succeeded" | "Failed")
    );
    let bound = object["spec"]["nodeName"]
        .as_str()
        .is_some_and(|node| !node.is_empty());
    let default = object["spec"]["terminationGracePeriodSeconds"].as_u64();
    let mut grace = if pod && bound && !finished {
        options.grace.or(default).unwrap_or(30)
    } else {
        0
    };
    let held = object["metadata"]["finalizers"]
        .as_array()
        .is_some_and(|finalizers| !finalizers.is_empty());
    let namespace = kind.qualified() == "namespaces";
    let before = object["metadata"]["deletionGracePeriodSeconds"].as_u64();
    if let Some(before) = before {
        // A later delete can only shorten the grace period.
        grace = if options.grace.is_some() {
            grace.min(before)
        } else {
            before
        };
    }
    if grace == 0 && !held && !namespace {
        return None;
    }
    if before.is_some_and(|before| before <= grace) {
        return Some(object);
    }
    let generation = object["metadata"]["generation"].as_u64();
    let members = metadata(&mut object);
    let end = time::after(now, Duration::from_secs(grace));
    members.insert(
        "deletionTimestamp".to_owned(),
        Value::from(time::written(end)),
    );
    members.insert("deletionGracePeriodSeconds".to_owned(), Value::from(grace));
    if let Some(generation) = generation {
        members.insert("generation".to_owned(), Value::from(generation + 1));
    }
    if namespace {
        object["status"]["phase"] = Value::from("Terminating");
    }
    Some(object)
}
