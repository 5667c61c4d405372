//! Projects objects to the fields that manifests are read for.

use serde_json::{Map, Value, value::RawValue};

use nadmit_cni::{annotations, ipam::SLICE_CONTROLLER};
use nadmit_manifests::is_finished;

use super::{ClusterObject, kinds::ClusterKind};

/// The prefixes of the annotations that are read.
const ANNOTATION_PREFIXES: [&str; 3] = ["k8s.v1.cni.cncf.io/", "v1.multus-cni.io/", "nadmit.io/"];
/// The annotations without which a pod or template is unrelated to networks.
const NETWORK_ANNOTATIONS: [&str; 2] = [annotations::NETWORKS, annotations::DEFAULT_NETWORK];
/// Kinds whose objects need not be read if they are controlled by the given kind, whose template is
/// read.
const OWNED_KINDS: [(&str, &str); 2] = [("ReplicaSet", "Deployment"), ("Job", "CronJob")];

/// The projection of an item of a list.
pub(crate) enum ProjectedItem {
    Object(ClusterObject),
    /// An object that is unrelated to networks.
    Unrelated,
    /// An object that is not checked: a finished pod, or one that was created from a template that
    /// is read.
    Excluded,
}

/// Projects an item of a list of this kind.
pub(crate) fn project(
    kind: &ClusterKind,
    text: &RawValue,
) -> Result<ProjectedItem, serde_json::Error> {
    let whole: Value = serde_json::from_str(text.get())?;
    if has_ended(kind, &whole) || is_owned_by_read_kind(kind, &whole) {
        return Ok(ProjectedItem::Excluded);
    }
    let projected = fields(kind, &whole);
    if !mentions_networks(kind, &projected) {
        return Ok(ProjectedItem::Unrelated);
    }
    Ok(ProjectedItem::Object(object(kind, &projected)))
}

/// Projects an item of a list of this kind, whatever it is.
pub(crate) fn project_every(
    kind: &ClusterKind,
    text: &RawValue,
) -> Result<ProjectedItem, serde_json::Error> {
    let projected = fields(kind, &serde_json::from_str(text.get())?);
    Ok(ProjectedItem::Object(object(kind, &projected)))
}

/// Returns the fields of an object that are read of its kind.
fn fields(kind: &ClusterKind, whole: &Value) -> Value {
    let mut projected = Map::new();
    projected.insert("apiVersion".to_owned(), kind.api_version.into());
    projected.insert("kind".to_owned(), kind.name.into());
    let identity = ["metadata.name", "metadata.namespace"];
    for path in identity.iter().chain(kind.fields) {
        copy_path(whole, path, &mut projected);
    }
    Value::Object(projected)
}

fn object(kind: &ClusterKind, projected: &Value) -> ClusterObject {
    let metadata = |key: &str| projected["metadata"][key].as_str().unwrap_or_default();
    ClusterObject {
        name: object_name(kind.name, metadata("namespace"), metadata("name")),
        text: projected.to_string(),
    }
}

/// Returns the name of an object for messages: `Pod db/db-0`, `AddressPool storage`.
pub(crate) fn object_name(kind: &str, namespace: &str, name: &str) -> String {
    match namespace {
        "" => format!("{kind} {name}"),
        _ => format!("{kind} {namespace}/{name}"),
    }
}

fn has_ended(kind: &ClusterKind, whole: &Value) -> bool {
    let phase = whole["status"]["phase"].as_str();
    kind.name == "Pod" && is_finished(phase)
}

/// Returns true if the object is controlled by a workload whose own template is read.
fn is_owned_by_read_kind(kind: &ClusterKind, whole: &Value) -> bool {
    let Some((_, owner_kind)) = OWNED_KINDS
        .iter()
        .find(|(kind_name, _)| *kind_name == kind.name)
    else {
        return false;
    };
    let owners = whole["metadata"]["ownerReferences"].as_array();
    let mut owners = owners.into_iter().flatten();
    owners.any(|owner| owner["controller"] == true && owner["kind"] == *owner_kind)
}

/// Copies the value at a path, if present.
fn copy_path(from: &Value, path: &str, into: &mut Map<String, Value>) {
    let (first, rest) = match path.split_once('.') {
        Some((first, rest)) => (first, Some(rest)),
        None => (path, None),
    };
    let Some(value) = from.get(first).filter(|value| !value.is_null()) else {
        return;
    };
    match rest {
        None => {
            let value = match first {
                "annotations" => read_annotations(value),
                _ => value.clone(),
            };
            into.insert(first.to_owned(), value);
        }
        Some(rest) => {
            let inner = into.entry(first).or_insert_with(|| Map::new().into());
            if let Value::Object(inner) = inner {
                copy_path(value, rest, inner);
            }
        }
    }
}

/// Returns true if annotations with this key are read.
pub(crate) fn is_read_annotation(key: &str) -> bool {
    let named = [annotations::MIRROR_POD, annotations::MIGRATION_NAME];
    ANNOTATION_PREFIXES
        .iter()
        .any(|prefix| key.starts_with(prefix))
        || named.contains(&key)
}

fn read_annotations(all: &Value) -> Value {
    let all = all.as_object().into_iter().flatten();
    let read = all.filter(|(key, _)| is_read_annotation(key));
    let read = read.map(|(key, value)| (key.clone(), value.clone()));
    Value::Object(read.collect())
}

fn mentions_networks(kind: &ClusterKind, projected: &Value) -> bool {
    let requests_networks = |holder: &Value| {
        let annotations = &holder["metadata"]["annotations"];
        NETWORK_ANNOTATIONS
            .iter()
            .any(|key| !annotations[*key].is_null())
    };
    match kind.name {
        "Pod" => requests_networks(projected),
        "CronJob" => requests_networks(&projected["spec"]["jobTemplate"]["spec"]["template"]),
        "VirtualMachine" => {
            let networks = projected["spec"]["template"]["spec"]["networks"].as_array();
            let mut networks = networks.into_iter().flatten();
            networks.any(|network| !network["multus"].is_null())
        }
        "Deployment" if projected["metadata"]["name"] == SLICE_CONTROLLER => true,
        "Deployment"
        | "ReplicaSet"
        | "StatefulSet"
        | "DaemonSet"
        | "Job"
        | "ReplicationController" => requests_networks(&projected["spec"]["template"]),
        _ => true,
    }
}
