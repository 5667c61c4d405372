//! Create.

use std::sync::Arc;

use serde_json::Value;

use super::{
    Shared,
    answer::{Answer, Refusal},
    asked::Asked,
    kinds::Kind,
    prepare,
    read::no_such_resource,
    store::Key,
};

/// An object that shall be, and what its manager applied.
pub(super) struct New {
    pub(super) object: Value,
    pub(super) applied: Option<(String, Value)>,
}

impl Shared {
    pub(super) fn kind(&self, asked: &Asked) -> Result<Arc<Kind>, Refusal> {
        Ok(Arc::clone(&self.state().table(asked)?.kind))
    }

    pub(super) async fn create(&self, asked: &Asked) -> Result<Answer, Refusal> {
        let kind = self.kind(asked)?;
        if !asked.subresource.is_empty() || asked.name.is_some() {
            return Err(no_such_resource());
        }
        let object = asked.json()?;
        let new = New {
            object,
            applied: None,
        };
        self.create_new(asked, &kind, new).await
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
        let warnings = prepare::prune(&mut object, kind, asked)?;
        prepare::begin(&mut object, kind);
        self.finish(&mut object, kind)?;
        prepare::check(&object, kind)?;
        let created = self.store_new(asked, kind, object, new.applied)?;
        Ok(Answer::new(201, &created).warned(warnings))
    }

    fn store_new(
        &self,
        asked: &Asked,
        kind: &Kind,
        object: Value,
        applied: Option<(String, Value)>,
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
        if let Some((manager, applied)) = applied {
            let managers = table.applied.entry(key.clone()).or_default();
            managers.insert(manager, applied);
        }
        self.commit(&mut state, asked, kind, &key, Some(object))
    }
}
