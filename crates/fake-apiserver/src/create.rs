//! Create: defaults, the mutating webhooks, a name and a UID, the validating webhooks, the store.

use std::sync::Arc;

use serde_json::Value;

use super::{
    ServerState,
    admission::AdmissionChain,
    kinds::ResourceKind,
    prepare::{self, AppliedAfter, NewObject},
    read::no_such_resource,
    resource_request::ResourceRequest,
    response::{ApiStatus, JsonResponse},
    store::NamespacedName,
};

impl ServerState {
    pub(super) fn kind(&self, request: &ResourceRequest) -> Result<Arc<ResourceKind>, ApiStatus> {
        Ok(Arc::clone(&self.state().table(request)?.kind))
    }

    pub(super) async fn create(
        &self,
        request: &ResourceRequest,
    ) -> Result<JsonResponse, ApiStatus> {
        let kind = self.kind(request)?;
        match (kind.qualified().as_str(), request.subresource.as_str()) {
            ("bindings", "") | ("pods", "binding") => return self.bind(request).await,
            ("pods", "eviction") => return self.evict(request).await,
            (_, "") if request.name.is_none() => {}
            _ => return Err(no_such_resource()),
        }
        self.create_new(request, &kind, NewObject::of(request.json()?))
            .await
    }

    pub(super) async fn create_new(
        &self,
        request: &ResourceRequest,
        kind: &ResourceKind,
        new: NewObject,
    ) -> Result<JsonResponse, ApiStatus> {
        let mut object = new.object;
        prepare::identify(&mut object, kind, request)?;
        if !prepare::text(&object, "resourceVersion").is_empty() {
            return Err(ApiStatus::internal(
                "resourceVersion should not be set on objects to be created",
            ));
        }
        self.lives(request, kind)?;
        let mut warnings = prepare::prune(&mut object, kind, request)?;
        prepare::begin(&mut object, kind);
        let mut admission = AdmissionChain::new(request, kind, "CREATE", object, Value::Null);
        self.mutate(&mut admission).await?;
        let mut object = std::mem::take(&mut admission.object);
        prepare::prune(&mut object, kind, request)?;
        self.finish(&mut object, kind)?;
        prepare::check(&object, kind)?;
        admission.object = object;
        self.validate(&mut admission).await?;
        warnings.append(&mut admission.warnings);
        let created = self.store_new(request, kind, admission.object, new.applied)?;
        Ok(JsonResponse::new(201, &created).warned(warnings))
    }

    fn store_new(
        &self,
        request: &ResourceRequest,
        kind: &ResourceKind,
        object: Value,
        applied: AppliedAfter,
    ) -> Result<Arc<Value>, ApiStatus> {
        let key: NamespacedName = (
            request.namespace().to_owned(),
            prepare::text(&object, "name").to_owned(),
        );
        let mut state = self.state();
        let table = state.tables.get_mut(&kind.qualified());
        let table = table.ok_or_else(no_such_resource)?;
        if table.objects.contains_key(&key) {
            return Err(ApiStatus::already_exists(kind, &key.1));
        }
        if request.is_dry_run() {
            return Ok(Arc::new(object));
        }
        if let Some(applied) = applied {
            table.applied.insert(key.clone(), applied);
        }
        self.commit(&mut state, request, kind, &key, Some(object))
    }
}
