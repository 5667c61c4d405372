//! Combines base, overlay and components like kustomize.
//!
//! Supports only the features that `deploy/` uses: `resources`, `components`, and `patches` of JSON 6902
//! operations. A test compares the result with `kubectl kustomize`.

use serde::Deserialize;
use serde_json::Value;

use super::{
    InstallError, InstallSettings, files::embedded_file, object, settings, yaml::documents,
};

/// File name of a kustomization.
const KUSTOMIZATION: &str = "kustomization.yaml";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Kustomization {
    #[serde(rename = "apiVersion")]
    _api_version: String,
    #[serde(rename = "kind")]
    _kind: String,
    #[serde(default)]
    resources: Vec<String>,
    #[serde(default)]
    components: Vec<String>,
    #[serde(default)]
    patches: Vec<PatchFile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PatchFile {
    path: String,
    target: PatchTarget,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PatchTarget {
    kind: String,
    name: String,
}

/// Returns all objects of an installation, in the order of creation.
///
/// # Errors
/// When a file of `deploy/` is invalid, which is a bug in this program, or the settings are invalid.
pub fn manifests(settings: &InstallSettings) -> Result<Vec<Value>, InstallError> {
    let mut objects = Vec::new();
    add("crds", &mut objects)?;
    add(
        &format!("overlays/{}", settings.certificates().name()),
        &mut objects,
    )?;
    if settings.monitoring == Some(true) {
        add("components/monitoring", &mut objects)?;
    }
    if settings.fail_closed == Some(true) {
        add("components/fail-closed", &mut objects)?;
    }
    if settings.injects_at_creation() {
        add("components/injection-at-creation", &mut objects)?;
    }
    if settings.serves_whereabouts() {
        add("components/whereabouts", &mut objects)?;
    }
    settings::apply(settings, &mut objects)?;
    objects.sort_by_key(object::apply_order);
    Ok(objects)
}

/// Returns the objects that `--monitoring` adds.
pub(super) fn monitoring_objects() -> Result<Vec<Value>, InstallError> {
    let mut objects = Vec::new();
    add("components/monitoring", &mut objects)?;
    Ok(objects)
}

/// Adds the objects of a kustomization, and applies its patches to all objects.
fn add(folder: &str, objects: &mut Vec<Value>) -> Result<(), InstallError> {
    let path = format!("{folder}/{KUSTOMIZATION}");
    let kustomization: Kustomization = read(&path)?;
    for resource in &kustomization.resources {
        let path = join_path(folder, resource);
        match embedded_file(&path) {
            Some(text) => objects.extend(documents(&path, text)?),
            None => add(&path, objects)?,
        }
    }
    for component in &kustomization.components {
        add(&join_path(folder, component), objects)?;
    }
    for patch in &kustomization.patches {
        apply_patch(&join_path(folder, &patch.path), &patch.target, objects)?;
    }
    Ok(())
}

fn apply_patch(
    path: &str,
    target: &PatchTarget,
    objects: &mut [Value],
) -> Result<(), InstallError> {
    let operations: json_patch::Patch = read(path)?;
    let mut hit = false;
    for one in objects {
        if one["kind"] == *target.kind && one["metadata"]["name"] == *target.name {
            json_patch::patch(one, &operations).map_err(|error| manifest_error(path, error))?;
            hit = true;
        }
    }
    match hit {
        true => Ok(()),
        false => Err(manifest_error(
            path,
            format!(
                "it patches {} {}, which does not exist",
                target.kind, target.name
            ),
        )),
    }
}

fn read<T: serde::de::DeserializeOwned>(path: &str) -> Result<T, InstallError> {
    let text = embedded_file(path).ok_or_else(|| manifest_error(path, "it does not exist"))?;
    let value: Value = serde_saphyr::from_str(text).map_err(|error| manifest_error(path, error))?;
    serde_json::from_value(value).map_err(|error| manifest_error(path, error))
}

fn manifest_error(path: &str, reason: impl std::fmt::Display) -> InstallError {
    InstallError::Manifest {
        file: path.to_owned(),
        reason: reason.to_string(),
    }
}

/// Joins paths: `overlays/a` and `../../base` become `base`.
fn join_path(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').collect();
    for part in path.split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}
