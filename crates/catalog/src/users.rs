//! An index of the pods that use a network, by the names in their annotations.

use std::{collections::HashMap, sync::Arc};

use super::Pod;
use nadmit_cni::Annotation;

/// The namespace recorded for unqualified names of default networks, which depends on Multus's
/// settings. No real namespace has this name.
const UNQUALIFIED: &str = "";

/// The pods that name a network, by the network's namespace and name.
#[derive(Debug, Clone, Default)]
pub(super) struct NetworkUserIndex(HashMap<Box<str>, ByName>);

type ByName = HashMap<Box<str>, Vec<Arc<Pod>>>;

impl NetworkUserIndex {
    /// Builds the index of these pods.
    pub(super) fn of<'p>(pods: impl Iterator<Item = &'p Arc<Pod>>) -> Self {
        let mut users = Self::default();
        for pod in pods.filter(|pod| !pod.host_network) {
            let named = [
                (pod.networks.as_deref(), &*pod.namespace),
                (pod.default_network.as_deref(), UNQUALIFIED),
            ];
            for (text, home) in named {
                if let Some(text) = text.filter(|text| !text.is_empty()) {
                    users.add(pod, text, home);
                }
            }
        }
        users
    }

    fn add(&mut self, pod: &Arc<Pod>, text: &str, home: &str) {
        for selection in &Annotation::parse(text).selections {
            let Some(name) = selection.network_name() else {
                continue;
            };
            let namespace = self
                .0
                .entry(selection.namespace_or(home).into())
                .or_default();
            let pods = namespace.entry(name.into()).or_default();
            if !pods.last().is_some_and(|last| Arc::ptr_eq(last, pod)) {
                pods.push(Arc::clone(pod));
            }
        }
    }

    /// Returns the pods that use a network, possibly with duplicates. `multus_namespace` is the
    /// namespace in which Multus looks up default networks.
    pub(super) fn of_network(
        &self,
        namespace: &str,
        name: &str,
        multus_namespace: &str,
    ) -> impl Iterator<Item = &Arc<Pod>> {
        let pods = |namespace: &str| {
            let found = self.0.get(namespace).and_then(|names| names.get(name));
            found.into_iter().flatten()
        };
        let unqualified = (namespace == multus_namespace).then(|| pods(UNQUALIFIED));
        pods(namespace).chain(unqualified.into_iter().flatten())
    }
}

/// Sorts pods by namespace and name, and removes duplicates.
pub(super) fn in_order<'p>(pods: impl Iterator<Item = &'p Arc<Pod>>) -> Vec<&'p Arc<Pod>> {
    let mut found: Vec<_> = pods.collect();
    found.sort_unstable_by_key(|pod| (&pod.namespace, &pod.name));
    found.dedup_by(|a, b| Arc::ptr_eq(a, b));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_uses_what_either_annotation_names() {
        let pod = |name: &str, networks: Option<&str>, default_network: Option<&str>| {
            Arc::new(Pod {
                host_network: name == "host",
                networks: networks.map(Into::into),
                default_network: default_network.map(Into::into),
                ..Pod::new("db", name)
            })
        };
        let pods = [
            pod("b", Some("a-net,a-net"), Some("up")),
            pod(
                "a",
                Some(r#"[{"name":"a-net","namespace":"db"},{"name":"front","namespace":"web"}]"#),
                None,
            ),
            pod("host", Some("a-net"), None),
            pod("none", Some("[{"), Some("")),
            pod("c", None, Some("kube-system/up")),
        ];
        let users = NetworkUserIndex::of(pods.iter());
        let found = |namespace, name| {
            let found = in_order(users.of_network(namespace, name, "kube-system"));
            found
                .iter()
                .map(|pod| &*pod.name)
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(found("db", "a-net"), "a b");
        assert_eq!(found("web", "front"), "a");
        assert_eq!(found("kube-system", "up"), "b c");
        assert_eq!(found("db", "up"), "");
    }
}
