//! How Multus is set in a cluster: nadmit has to judge by the same.

use kube::{Client, ResourceExt as _, api::ListParams};
use serde_json::Value;

use super::object::api_of;

/// Where Multus runs: upstream's manifests, and OpenShift.
const HOMES: [&str; 2] = ["kube-system", "openshift-multus"];

/// Whether pods are kept to the networks of their own namespace (Multus's `namespaceIsolation`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Isolation {
    /// Whether they are.
    pub isolates: bool,
    /// The namespaces whose networks all may use (`globalNamespaces`); empty for Multus's default.
    pub global: Vec<String>,
    /// Where that was read.
    pub source: String,
}

impl Isolation {
    /// Reads it where Multus reads it: the configuration of its daemon, that of its shim, or the
    /// arguments of its DaemonSet. `None` if none of them is found or may be read.
    pub async fn read(client: &Client) -> Option<Self> {
        for home in HOMES {
            let configs = api_of(client, "v1", "ConfigMap", Some(home));
            let listed = configs.list(&ListParams::default()).await;
            for config in listed.into_iter().flatten() {
                if !config.name_any().contains("multus") {
                    continue;
                }
                let data = config.data["data"].as_object();
                let found = data
                    .into_iter()
                    .flatten()
                    .find_map(|(_, text)| Self::of_json(text.as_str()?));
                if let Some(found) = found {
                    let source = format!("ConfigMap {home}/{}", config.name_any());
                    return Some(Self { source, ..found });
                }
            }
        }
        for home in HOMES {
            let sets = api_of(client, "apps/v1", "DaemonSet", Some(home));
            let listed = sets.list(&ListParams::default()).await;
            for set in listed.into_iter().flatten() {
                if let Some(found) = Self::of_arguments(&set.data) {
                    let source = format!("DaemonSet {home}/{}", set.name_any());
                    return Some(Self { source, ..found });
                }
            }
        }
        None
    }

    /// Of a configuration of Multus; of any other text nothing.
    fn of_json(text: &str) -> Option<Self> {
        let config: Value = serde_json::from_str(text).ok()?;
        let is_of_multus = config["type"] == "multus"
            || config["type"] == "multus-shim"
            || [
                "socketDir",
                "readinessindicatorfile",
                "multusConfigFile",
                "namespaceIsolation",
            ]
            .iter()
            .any(|key| config.get(key).is_some());
        is_of_multus.then(|| Self {
            isolates: config["namespaceIsolation"].as_bool().unwrap_or_default(),
            global: split(config["globalNamespaces"].as_str().unwrap_or_default()),
            source: String::new(),
        })
    }

    /// Of the containers of a DaemonSet; of any other than Multus's nothing.
    fn of_arguments(set: &Value) -> Option<Self> {
        let containers = set["spec"]["template"]["spec"]["containers"].as_array()?;
        let multus = containers.iter().find(|container| {
            let image = container["image"].as_str().unwrap_or_default();
            let name = container["name"].as_str().unwrap_or_default();
            image.contains("multus-cni") || name == "kube-multus"
        })?;
        let words = ["command", "args"].into_iter().flat_map(|key| {
            let words = multus[key].as_array().into_iter().flatten();
            words
                .filter_map(Value::as_str)
                .flat_map(str::split_whitespace)
        });
        let words: Vec<&str> = words.collect();
        let flag = |name: &str| {
            words.iter().find_map(|word| {
                word.trim_start_matches('-')
                    .strip_prefix(name)?
                    .strip_prefix('=')
            })
        };
        Some(Self {
            isolates: flag("namespace-isolation") == Some("true"),
            global: split(flag("global-namespaces").unwrap_or_default()),
            source: String::new(),
        })
    }
}

fn split(names: &str) -> Vec<String> {
    let names = names
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_daemons_configuration_is_read() {
        let text = r#"{"chrootDir": "/hostroot", "socketDir": "/host/run/multus", "namespaceIsolation": true,
            "globalNamespaces": "default, openshift-multus"}"#;
        let found = Isolation::of_json(text).expect("one of Multus");
        assert!(found.isolates);
        assert_eq!(found.global, ["default", "openshift-multus"]);
        let found = Isolation::of_json(r#"{"type": "multus-shim"}"#).expect("one of Multus");
        assert!(!found.isolates && found.global.is_empty());
        assert_eq!(Isolation::of_json(r#"{"type": "bridge"}"#), None);
        assert_eq!(Isolation::of_json("no JSON"), None);
    }

    #[test]
    fn the_arguments_of_the_daemon_set_are_read() {
        let set = |args: Value| {
            let container =
                json!({"name": "kube-multus", "image": "x/multus-cni:snapshot", "args": args});
            json!({"spec": {"template": {"spec": {"containers": [container]}}}})
        };
        let found = Isolation::of_arguments(&set(json!([
            "-cni-version=0.3.1",
            "--namespace-isolation=true"
        ])));
        assert!(found.expect("Multus").isolates);
        let found =
            Isolation::of_arguments(&set(json!(["--global-namespaces=a,b"]))).expect("Multus");
        assert!(!found.isolates);
        assert_eq!(found.global, ["a", "b"]);
        assert_eq!(Isolation::of_arguments(&json!({})), None);
    }
}
