//! Objects that exist before the first request.

use std::{fs, path::Path};

use libtest_mimic::Failed;
use serde_json::{Value, json};

use super::{ApiServer, time};

/// The objects of YAML files, and the kinds that are not installed.
pub struct SeedObjects {
    objects: Vec<Value>,
    missing: Vec<String>,
}

impl SeedObjects {
    /// Loads the objects of the YAML files in a folder.
    pub fn of_folder(folder: &Path) -> Result<Self, Failed> {
        let mut files: Vec<_> = fs::read_dir(folder)?.collect::<Result<_, _>>()?;
        files.sort_by_key(fs::DirEntry::path);
        let mut all = Self::of_text("")?;
        for file in files {
            let more = Self::of_text(&fs::read_to_string(file.path())?)?;
            all.objects.extend(more.objects);
        }
        Ok(all)
    }

    /// Parses objects from YAML text.
    pub fn of_text(text: &str) -> Result<Self, Failed> {
        Ok(Self {
            objects: serde_saphyr::from_multiple(text)?,
            missing: Vec::new(),
        })
    }

    /// Omits this resource, as if its definition were missing.
    pub fn without(mut self, resource: &str) -> Self {
        self.missing.push(resource.to_owned());
        self
    }

    pub(super) fn fill(self, server: &ApiServer) {
        let missing = |plural: &str| self.missing.iter().any(|missing| missing == plural);
        // Only the objects of the files exist.
        let mut state = server.shared.state();
        state.tables.retain(|_, table| !missing(&table.kind.plural));
        if let Some(namespaces) = state.tables.get_mut("namespaces") {
            namespaces.objects.clear();
        }
        drop(state);
        for object in self.objects {
            server.put(object);
        }
    }
}

impl ApiServer {
    /// Stores an object as it is, past webhooks, faults and checks; returns false if its kind is
    /// unknown.
    pub fn put(&self, mut object: Value) -> bool {
        let now = time::written((self.shared.clock)());
        let mut state = self.shared.state();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let table = state.tables.values().find(|table| {
            object["kind"] == table.kind.kind && object["apiVersion"] == table.kind.api_version()
        });
        let Some(kind) = table.map(|table| table.kind.clone()) else {
            return false;
        };
        let uid = state.uid();
        let metadata = &mut object["metadata"];
        for (key, value) in [("uid", uid), ("creationTimestamp", now)] {
            if metadata[key].is_null() {
                metadata[key] = Value::from(value);
            }
        }
        let key = (text(&metadata["namespace"]), text(&metadata["name"]));
        state
            .commit(&kind.qualified(), &key, Some(object))
            .is_some()
    }

    /// Stores a namespace with labels.
    pub fn namespace(&self, name: &str, labels: &[(&str, &str)]) {
        let own = [("kubernetes.io/metadata.name", name)];
        let labels = own.iter().chain(labels);
        let labels: serde_json::Map<String, Value> = labels
            .map(|(key, value)| ((*key).to_owned(), Value::from(*value)))
            .collect();
        self.put(json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "labels": labels},
            "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"},
        }));
    }
}
