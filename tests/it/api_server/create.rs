//! Create: defaults, the mutating webhooks, a name and a UID, the validating webhooks, the store.

use std::sync::Arc;

use serde_json::Value;

use super::{
    Shared,
    admission::Admission,
    kinds::Kind,
    prepare::{self, metadata},
    read::no_such_resource,
    resource_request::Asked,
    response::{Answer, Refusal},
    store::Key,
    update::Applied,
};

/// An object to be created, and what its managers applied.
pub(super) struct New {
    pub(super) object: Value,
    pub(super) applied: Applied,
}

impl New {
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

impl Shared {
    pub(super) fn kind(&self, asked: &Asked) -> Result<Arc<Kind>, Refusal> {
        Ok(Arc::clone(&self.state().table(asked)?.kind))
    }

    pub(super) async fn create(&self, asked: &Asked) -> Result<Answer, Refusal> {
        let kind = self.kind(asked)?;
        match (kind.qualified().as_str(), asked.subresource.as_str()) {
            ("bindings", "") | ("pods", "binding") => return self.bind(asked).await,
            ("pods", "eviction") => return self.evict(asked).await,
            (_, "") if asked.name.is_none() => {}
            _ => return Err(no_such_resource()),
        }
        self.create_new(asked, &kind, New::of(asked.json()?)).await
    }

    pub(super) async fn create_new(
        &self,
        asked: &Asked,
        kind: &Kind,
        new: New,
    ) -> Result<Answer, Refusal> {
        let mut object = new.object;
        prepare::identify(&mut object, kind, asked)?;
        if !prepare::text(&object, "resourceVersion").is_empty() {
            return Err(Refusal::internal(
                "resourceVersion should not be set on objects to be created",
            ));
        }
        self.lives(asked, kind)?;
        let mut warnings = prepare::prune(&mut object, kind, asked)?;
        prepare::begin(&mut object, kind);
        let mut admission = Admission::new(asked, kind, "CREATE", object, Value::Null);
        self.mutate(&mut admission).await?;
        let mut object = std::mem::take(&mut admission.object);
        prepare::prune(&mut object, kind, asked)?;
        self.finish(&mut object, kind)?;
        prepare::check(&object, kind)?;
        admission.object = object;
        self.validate(&mut admission).await?;
        warnings.append(&mut admission.warnings);
        let created = self.store_new(asked, kind, admission.object, new.applied)?;
        Ok(Answer::new(201, &created).warned(warnings))
    }

    fn store_new(
        &self,
        asked: &Asked,
        kind: &Kind,
        object: Value,
        applied: Applied,
    ) -> Result<Arc<Value>, Refusal> {
        let key: Key = (
            asked.namespace().to_owned(),
            prepare::text(&object, "name").to_owned(),
        );
        let mut state = self.state();
        let table = state.tables.get_mut(&kind.qualified());
        let table = table.ok_or_else(no_such_resource)?;
        if table.objects.contains_key(&key) {
            return Err(Refusal::already_exists(kind, &key.1));
        }
        if asked.is_dry_run() {
            return Ok(Arc::new(object));
        }
        if let Some(applied) = applied {
            table.applied.insert(key.clone(), applied);
        }
        self.commit(&mut state, asked, kind, &key, Some(object))
    }
}
