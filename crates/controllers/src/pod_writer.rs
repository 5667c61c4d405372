//! Annotations written into existing pods, by backfill.

use futures_util::{FutureExt as _, future::BoxFuture};
use json_patch::{Patch, jsonptr::PointerBuf};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client,
    api::{Patch as Change, PatchParams},
};
use serde_json::{Value, json};
use thiserror::Error;

use nadmit_api::call::{ApiError, RetryPolicy, call};
use nadmit_catalog as catalog;
use nadmit_cni::annotations;

/// A patch of a pod's annotations that applies only if the pod is unchanged.
#[derive(Debug, Clone, PartialEq)]
pub struct AnnotationPatch {
    /// The pod's namespace.
    pub namespace: Box<str>,
    /// The pod's name.
    pub name: Box<str>,
    /// `test` operations on the UID and on the annotations the decision was made on, then `add`
    /// operations.
    pub patch: Patch,
}

/// The reason why an [`AnnotationPatch`] was not applied.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PatchError {
    /// The pod was replaced or has changed; decide again.
    #[error(transparent)]
    Conflict(ApiError),
    /// nadmit may not patch pods.
    #[error("{0}; give nadmit's ServiceAccount the verb \"patch\" on \"pods\", in a ClusterRole")]
    Forbidden(#[source] ApiError),
    /// The request failed; it may have taken effect.
    #[error(transparent)]
    Failed(ApiError),
}

impl PatchError {
    fn of(error: ApiError) -> Self {
        match error {
            // 422 is the response to a failed `test` operation.
            ApiError::NotFound(_) | ApiError::Conflict(_) | ApiError::Refused { code: 422, .. } => {
                Self::Conflict(error)
            }
            ApiError::Refused { code: 403, .. } => Self::Forbidden(error),
            error => Self::Failed(error),
        }
    }
}

/// A writer of pod annotations.
pub trait PodWriter: Send + Sync {
    /// Applies a patch to a pod.
    fn annotate(&self, patch: AnnotationPatch) -> BoxFuture<'_, Result<(), PatchError>>;
}

/// Writes into the pods of a cluster. It needs `patch` on `pods`.
#[derive(Clone)]
pub struct ClusterPodWriter {
    client: Client,
    patience: RetryPolicy,
}

impl std::fmt::Debug for ClusterPodWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClusterPods")
    }
}

impl ClusterPodWriter {
    /// Creates a writer for the cluster of `client`.
    pub fn new(client: Client, patience: RetryPolicy) -> Self {
        Self { client, patience }
    }
}

impl PodWriter for ClusterPodWriter {
    fn annotate(&self, patch: AnnotationPatch) -> BoxFuture<'_, Result<(), PatchError>> {
        async move {
            let pods: Api<Pod> = Api::namespaced(self.client.clone(), &patch.namespace);
            let params = PatchParams::default();
            let change = Change::Json::<()>(patch.patch);
            // A retry of a patch that took effect fails its tests. The next decision then finds nothing
            // missing.
            let asked = call(self.patience, || pods.patch(&patch.name, &params, &change));
            asked.await.map(drop).map_err(PatchError::of)
        }
        .boxed()
    }
}

impl AnnotationPatch {
    /// Returns a patch that writes `annotations` into a pod that is still as in the catalog; `None` for
    /// a pod without a UID or without any annotation that requests networks.
    pub(crate) fn for_pod(
        pod: &catalog::Pod,
        annotations: &[(&'static str, String)],
    ) -> Option<Self> {
        let uid = pod.uid.as_deref()?;
        let mut operations = vec![json!({"op": "test", "path": "/metadata/uid", "value": uid})];
        let judged = [
            (annotations::NETWORKS, &pod.networks),
            (annotations::DEFAULT_NETWORK, &pod.default_network),
        ];
        // Without annotations the pod requests no network, and the pod lacks the map to add to.
        judged.iter().find_map(|(_, text)| text.as_deref())?;
        for (key, text) in judged {
            if let Some(text) = text {
                operations.push(json!({"op": "test", "path": path(key), "value": &**text}));
            }
        }
        for (key, text) in annotations {
            operations.push(json!({"op": "add", "path": path(key), "value": text}));
        }
        Some(Self {
            namespace: pod.namespace.clone(),
            name: pod.name.clone(),
            patch: serde_json::from_value(Value::Array(operations)).ok()?,
        })
    }
}

/// Returns the JSON pointer of an annotation.
fn path(key: &str) -> String {
    PointerBuf::from_tokens(["metadata", "annotations", key]).to_string()
}
