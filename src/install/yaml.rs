//! YAML for `kubectl apply -f` and for manifests in git.

use serde_json::Value;

use super::InstallError;

/// Serializes the objects as a stream of documents.
///
/// # Errors
/// When an object cannot be serialized, which is a bug in this program.
pub fn yaml(objects: &[Value]) -> Result<String, InstallError> {
    let mut text = String::new();
    for object in objects {
        text.push_str("---\n");
        let written = serde_saphyr::to_string(object).map_err(|error| InstallError::Manifest {
            file: String::new(),
            reason: error.to_string(),
        })?;
        text.push_str(&written);
        if !text.ends_with('\n') {
            text.push('\n');
        }
    }
    Ok(text)
}

/// Parses all documents of a text.
pub(super) fn documents(file: &str, text: &str) -> Result<Vec<Value>, InstallError> {
    serde_saphyr::from_multiple(text).map_err(|error| InstallError::Manifest {
        file: file.to_owned(),
        reason: error.to_string(),
    })
}
