//! What is kept of an object: what manifests are read for, and no more.

use serde_json::{Map, Value, value::RawValue};

use crate::network::{annotations, ipam::SLICE_CONTROLLER};

use super::{ClusterObject, kinds::ClusterKind};

/// The beginnings of the keys of annotations that are read.
const PREFIXES: [&str; 3] = ["k8s.v1.cni.cncf.io/", "v1.multus-cni.io/", "nadmit.io/"];
/// The annotations without which a pod, or a template, has nothing to do with networks.
const NETWORKS: [&str; 2] = [annotations::NETWORKS, annotations::DEFAULT_NETWORK];
/// What is made of another template that is read, so that its own need not be: kind and maker.
const MADE: [(&str, &str); 2] = [("ReplicaSet", "Deployment"), ("Job", "CronJob")];

/// What an item of a list is.
pub(in crate::sources) enum Item {
    /// An object that is kept.
    Kept(ClusterObject),
    /// One that has nothing to do with networks.
    Silent,
    /// One that is not judged at all: a pod that has ended, or what a template that is read made.
    Past,
}

/// Reads an item of a list of this kind.
pub(in crate::sources) fn item(
    kind: &ClusterKind,
    text: &RawValue,
) -> Result<Item, serde_json::Error> {
    let whole: Value = serde_json::from_str(text.get())?;
    if has_ended(kind, &whole) || is_made(kind, &whole) {
        return Ok(Item::Past);
    }
    let mut kept = Map::new();
    kept.insert("apiVersion".to_owned(), kind.api_version.into());
    kept.insert("kind".to_owned(), kind.name.into());
    let identity = ["metadata.name", "metadata.namespace"];
    for path in identity.iter().chain(kind.kept) {
        keep(&whole, path, &mut kept);
    }
    let kept = Value::Object(kept);
    if !speaks_of_networks(kind, &kept) {
        return Ok(Item::Silent);
    }
    let metadata = |key: &str| kept["metadata"][key].as_str().unwrap_or_default();
    Ok(Item::Kept(ClusterObject {
        name: name(kind.name, metadata("namespace"), metadata("name")),
        text: kept.to_string(),
    }))
}

/// How an object is called: `Pod db/db-0`, `AddressPool storage`.
pub(in crate::sources) fn name(kind: &str, namespace: &str, name: &str) -> String {
    match namespace {
        "" => format!("{kind} {name}"),
        _ => format!("{kind} {namespace}/{name}"),
    }
}

fn has_ended(kind: &ClusterKind, whole: &Value) -> bool {
    let phase = whole["status"]["phase"].as_str();
    kind.name == "Pod" && matches!(phase, Some("Succeeded" | "Failed"))
}

/// Whether a workload makes it whose own template is read.
fn is_made(kind: &ClusterKind, whole: &Value) -> bool {
    let Some((_, maker)) = MADE.iter().find(|(made, _)| *made == kind.name) else {
        return false;
    };
    let owners = whole["metadata"]["ownerReferences"].as_array();
    let mut owners = owners.into_iter().flatten();
    owners.any(|owner| owner["controller"] == true && owner["kind"] == *maker)
}

/// Copies the value at a path, if there is one.
fn keep(from: &Value, path: &str, into: &mut Map<String, Value>) {
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
                keep(value, rest, inner);
            }
        }
    }
}

/// Whether the annotation of this key is read.
pub(in crate::sources) fn is_read(key: &str) -> bool {
    let named = [annotations::MIRROR_POD, annotations::MIGRATION_NAME];
    PREFIXES.iter().any(|prefix| key.starts_with(prefix)) || named.contains(&key)
}

fn read_annotations(all: &Value) -> Value {
    let all = all.as_object().into_iter().flatten();
    let read = all.filter(|(key, _)| is_read(key));
    let read = read.map(|(key, value)| (key.clone(), value.clone()));
    Value::Object(read.collect())
}

fn speaks_of_networks(kind: &ClusterKind, kept: &Value) -> bool {
    let asks = |holder: &Value| {
        let annotations = &holder["metadata"]["annotations"];
        NETWORKS.iter().any(|key| !annotations[*key].is_null())
    };
    match kind.name {
        "Pod" => asks(kept),
        "CronJob" => asks(&kept["spec"]["jobTemplate"]["spec"]["template"]),
        "VirtualMachine" => {
            let networks = kept["spec"]["template"]["spec"]["networks"].as_array();
            let mut networks = networks.into_iter().flatten();
            networks.any(|network| !network["multus"].is_null())
        }
        "Deployment" if kept["metadata"]["name"] == SLICE_CONTROLLER => true,
        "Deployment"
        | "ReplicaSet"
        | "StatefulSet"
        | "DaemonSet"
        | "Job"
        | "ReplicationController" => asks(&kept["spec"]["template"]),
        _ => true,
    }
}
