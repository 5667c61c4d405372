//! Which pods use a network: an index by what their annotations name.

use std::{collections::HashMap, sync::Arc};

use super::Pod;
use crate::network::Annotation;

/// The namespace of names in the default network's annotation that have none: which one is meant
/// is a matter of settings. No real namespace is called so.
const UNQUALIFIED: &str = "";

/// By namespace and name, the pods that name the network.
#[derive(Debug, Clone, Default)]
pub(super) struct NetworkUserIndex(HashMap<Box<str>, ByName>);

type ByName = HashMap<Box<str>, Vec<Arc<Pod>>>;

impl NetworkUserIndex {
    /// Who uses what, of these pods.
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

    /// The pods that use a network; one may be there twice. `multus_namespace` is where the default
    /// network's name is looked up.
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

/// Pods ordered by namespace and name, each once.
pub(super) fn in_order<'p>(pods: impl Iterator<Item = &'p Arc<Pod>>) -> Vec<&'p Arc<Pod>> {
    let mut found: Vec<_> = pods.collect();
    found.sort_unstable_by_key(|pod| (&pod.namespace, &pod.name));
    found.dedup_by(|a, b| Arc::ptr_eq(a, b));
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allocation::Holder;

    #[test]
    fn a_pod_uses_what_either_annotation_names() {
        let pod = |name: &str, networks: Option<&str>, default_network: Option<&str>| {
            Arc::new(Pod {
                requested: crate::catalog::RequestedAnnotations::default(),
                node: None,
                terminating: false,
                mirror: false,
                migration: None,
                namespace: "db".into(),
                name: name.into(),
                uid: None,
                holder: Holder::Pod {
                    namespace: "db".into(),
                    name: name.into(),
                },
                host_network: name == "host",
                networks: networks.map(Into::into),
                default_network: default_network.map(Into::into),
                network_status: None,
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
