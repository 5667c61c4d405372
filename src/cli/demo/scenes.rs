//! Scenes of the demonstration: pods of the examples, in reviews captured from a real API server.

use std::path::Path;

use anyhow::Context as _;
use serde_json::{Map, Value, json};

use crate::{
    manifests::{self, Manifest, PodManifest, PodName},
    network::annotations::NETWORKS,
};

/// A scene: a review of one example.
pub(super) struct Scene {
    /// Title: the point of the scene.
    pub(super) title: &'static str,
    /// Path of the webhook.
    pub(super) path: &'static str,
    captured: &'static str,
    /// Ordinal of the pod in StatefulSet `db`, if it is one of its replicas.
    replica: Option<u32>,
    before: Option<&'static str>,
    pod: &'static str,
}

/// A review to send.
pub(super) struct SceneReview {
    /// The review as JSON.
    pub(super) body: Vec<u8>,
    /// Pod, as `namespace/name`.
    pub(super) pod: String,
    /// The pod's annotation with the selections.
    pub(super) annotation: String,
}

macro_rules! example {
    ($file:literal) => {
        include_str!(concat!("../../../deploy/examples/", $file))
    };
}

macro_rules! captured {
    ($file:literal) => {
        include_str!(concat!(
            "../../../tests/fixtures/reviews/",
            $file,
            ".validate.json"
        ))
    };
}

const fn create(title: &'static str, pod: &'static str) -> Scene {
    Scene {
        title,
        path: "/validate",
        captured: captured!("pod-create-name"),
        replica: None,
        before: None,
        pod,
    }
}

const fn replica(title: &'static str, ordinal: u32) -> Scene {
    Scene {
        path: "/mutate",
        replica: Some(ordinal),
        ..create(title, example!("pods/right/pooled.yaml"))
    }
}

/// The scenes, in their order.
pub(super) const SCENES: &[Scene] = &[
    create(
        "A pod requests an IP address and a MAC",
        example!("pods/right/static-ip-and-mac.yaml"),
    ),
    create(
        "A typo in the name of a network",
        example!("pods/wrong/unknown-network.yaml"),
    ),
    create(
        "A string instead of a list",
        example!("pods/wrong/malformed-annotation.yaml"),
    ),
    create(
        "An address without a prefix length",
        example!("pods/wrong/ip-without-prefix.yaml"),
    ),
    create(
        "Two interfaces with the same name",
        example!("pods/wrong/duplicate-interface.yaml"),
    ),
    create(
        "A network of another namespace",
        example!("pods/wrong/cross-namespace-network.yaml"),
    ),
    create(
        "A request with a side effect",
        example!("pods/wrong/default-route-moved.yaml"),
    ),
    Scene {
        title: "A change to the networks of a running pod",
        path: "/validate",
        replica: None,
        captured: captured!("pod-update-annotations"),
        before: Some(example!("pods/right/short-format.yaml")),
        pod: example!("pods/wrong/attachments-changed.yaml"),
    },
    replica(
        "The first replica of a StatefulSet, on a network with a pool",
        0,
    ),
    replica("The second replica", 1),
    replica("The first replica again, after its pod was deleted", 0),
];

/// Manifests of the networks and namespaces of the demonstration.
const MANIFESTS: &[(&str, &str)] = &[
    ("namespaces.yaml", example!("networks/namespaces.yaml")),
    ("bridge.yaml", example!("networks/bridge.yaml")),
    ("dhcp.yaml", example!("networks/dhcp.yaml")),
    ("host-local.yaml", example!("networks/host-local.yaml")),
    ("ipvlan.yaml", example!("networks/ipvlan.yaml")),
    ("pool.yaml", example!("networks/pool.yaml")),
    ("on-node.yaml", example!("networks/on-node.yaml")),
    (
        "overlapping-ranges.yaml",
        example!("networks/overlapping-ranges.yaml"),
    ),
    ("sriov.yaml", example!("networks/sriov.yaml")),
    ("static.yaml", example!("networks/static.yaml")),
    (
        "whereabouts-dual-stack.yaml",
        example!("networks/whereabouts-dual-stack.yaml"),
    ),
    ("whereabouts.yaml", example!("networks/whereabouts.yaml")),
];

/// Writes the networks and namespaces to a folder.
///
/// # Errors
/// When a file cannot be written.
pub(super) fn unpack(folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)?;
    for (name, text) in MANIFESTS {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

impl Scene {
    /// Returns the captured review with this scene's pod.
    ///
    /// # Errors
    /// When an example is not a pod; tests rule that out.
    pub(super) fn review(&self) -> anyhow::Result<SceneReview> {
        let pod = read_pod(self.pod)?;
        let mut review: Value = serde_json::from_str(self.captured)?;
        let request = &mut review["request"];
        insert_pod(request, "object", &pod);
        if let Some(before) = self.before {
            insert_pod(request, "oldObject", &read_pod(before)?);
        }
        let PodName::Explicit(name) = &pod.name else {
            anyhow::bail!("the pod has no name")
        };
        let replica = self.replica.map(|ordinal| format!("db-{ordinal}"));
        if let Some(name) = &replica {
            let metadata = &mut request["object"]["metadata"];
            metadata["name"] = json!(name);
            metadata["ownerReferences"] = json!([{
                "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "uid": "1",
                "controller": true,
            }]);
        }
        let name = replica.as_deref().unwrap_or(name);
        request["name"] = json!(name);
        request["namespace"] = json!(pod.namespace);
        let annotation = pod.annotation(NETWORKS).map(|text| text.value.to_string());
        Ok(SceneReview {
            body: review.to_string().into_bytes(),
            pod: format!("{}/{name}", pod.namespace),
            annotation: annotation.unwrap_or_default(),
        })
    }
}

/// Sets name, namespace and annotations of the captured object.
fn insert_pod(request: &mut Value, field: &str, pod: &PodManifest) {
    let annotations: Map<String, Value> = pod
        .annotations
        .iter()
        .map(|(key, text)| (key.to_string(), json!(text.value)))
        .collect();
    let (PodName::Explicit(name) | PodName::Generated(name)) = &pod.name;
    let metadata = &mut request[field]["metadata"];
    metadata["name"] = json!(name);
    metadata["namespace"] = json!(pod.namespace);
    metadata["annotations"] = Value::Object(annotations);
}

fn read_pod(text: &str) -> anyhow::Result<PodManifest> {
    let read = manifests::read(text, "example.yaml");
    if let Some(error) = read.errors.into_iter().next() {
        return Err(error.into());
    }
    let mut pods = read
        .objects
        .into_iter()
        .filter_map(|object| match object.value {
            Manifest::Pod(pod) => Some(pod),
            _ => None,
        });
    pods.next_back().context("the example has no pod")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scene_has_its_review() {
        for scene in SCENES {
            let asked = scene
                .review()
                .unwrap_or_else(|e| panic!("{}: {e:#}", scene.title));
            assert!(!asked.annotation.is_empty());
        }
    }
}
