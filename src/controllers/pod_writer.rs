//! Annotations of pods that exist, written late.

use futures_util::{FutureExt as _, future::BoxFuture};
use json_patch::{Patch, jsonptr::PointerBuf};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client,
    api::{Patch as Change, PatchParams},
};
use serde_json::{Value, json};

use crate::{
    api::call::{Answer, Patience, call},
    catalog,
    network::annotations,
};

/// Annotations to write into a pod, if it is as it was judged.
#[derive(Debug, Clone, PartialEq)]
pub struct AnnotationPatch {
    /// The pod's namespace.
    pub namespace: Box<str>,
    /// Its name.
    pub name: Box<str>,
    /// What to do: `test` operations on its UID and on what was judged, then `add` operations.
    pub patch: Patch,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PatchOutcome {
    /// It is written.
    Applied,
    /// The pod is another one by now, or has changed: judge it anew.
    Conflict(String),
    /// It may or may not be written.
    Failed(String),
}

/// Who writes into pods.
pub trait PodWriter: Send + Sync {
    /// Writes annotations into a pod.
    fn annotate(&self, patch: AnnotationPatch) -> BoxFuture<'_, PatchOutcome>;
}

/// The pods of a cluster. It needs `patch` on `pods`.
#[derive(Clone)]
pub struct ClusterPodWriter {
    client: Client,
    patience: Patience,
}

impl std::fmt::Debug for ClusterPodWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClusterPods")
    }
}

impl ClusterPodWriter {
    /// The pods of the cluster that `client` leads to.
    pub fn new(client: Client, patience: Patience) -> Self {
        Self { client, patience }
    }
}

impl PodWriter for ClusterPodWriter {
    fn annotate(&self, patch: AnnotationPatch) -> BoxFuture<'_, PatchOutcome> {
        async move {
            let pods: Api<Pod> = Api::namespaced(self.client.clone(), &patch.namespace);
            let params = PatchParams::default();
            let change = Change::Json::<()>(patch.patch);
            // Done twice, the second finds that the text is another: judged anew, nothing is lacking.
            let asked = call(self.patience, || pods.patch(&patch.name, &params, &change));
            match asked.await {
                Ok(_) => PatchOutcome::Applied,
                Err(answer @ (Answer::NotFound(_) | Answer::Conflict(_))) => {
                    PatchOutcome::Conflict(answer.to_string())
                }
                // What a test operation that fails is answered with.
                Err(answer @ Answer::Refused { code: 422, .. }) => {
                    PatchOutcome::Conflict(answer.to_string())
                }
                Err(answer @ Answer::Refused { code: 403, .. }) => PatchOutcome::Failed(format!(
                    "{answer}; give nadmit's ServiceAccount the verb \"patch\" on \"pods\", in \
                     a ClusterRole"
                )),
                Err(answer) => PatchOutcome::Failed(answer.to_string()),
            }
        }
        .boxed()
    }
}

impl AnnotationPatch {
    /// These annotations in the place of those of a pod that is as it was judged; `None` for a pod
    /// without UID or annotations.
    pub fn for_pod(pod: &catalog::Pod, annotations: &[(&'static str, String)]) -> Option<Self> {
        let uid = pod.uid.as_deref()?;
        let mut operations = vec![json!({"op": "test", "path": "/metadata/uid", "value": uid})];
        let judged = [
            (annotations::NETWORKS, &pod.networks),
            (annotations::DEFAULT_NETWORK, &pod.default_network),
        ];
        // Without annotations there is nothing that asks for a network, and no place to add to.
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

/// The place of an annotation, as a JSON pointer.
fn path(key: &str) -> String {
    PointerBuf::from_tokens(["metadata", "annotations", key]).to_string()
}
