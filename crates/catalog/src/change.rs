//! In-place changes of a catalog, one object at a time.
//!
//! Each change returns true if the catalog differs afterwards. A no-op change copies nothing.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    AllLabels, Catalog, Namespace, NamespaceLabels, NetworkNamespaces, Nodes, Pod, Workloads,
};
use nadmit_cni::{Network, operator::Daemons};

impl Catalog {
    /// Changes a namespace, which is added if missing.
    pub(super) fn change_namespace(&mut self, name: &str, change: impl FnOnce(&mut Namespace)) {
        if self.namespaces.get(name).is_none() {
            self.namespaces.insert(Arc::new(Namespace::new(name)));
        }
        if let Some(namespace) = self.namespaces.get_mut(name) {
            change(Arc::make_mut(namespace));
        }
    }

    fn forget_if_empty(&mut self, name: &str) {
        let namespace = self.namespaces.get(name);
        if namespace.is_some_and(|namespace| namespace.is_unused()) {
            self.namespaces.remove(name);
        }
    }

    /// Adds or replaces a Namespace object.
    pub fn put_namespace(
        &mut self,
        name: &str,
        labels: NamespaceLabels,
        all: Arc<AllLabels>,
    ) -> bool {
        let known = self.namespaces.get(name);
        let same = known.is_some_and(|known| {
            known.declared && known.labels == labels && known.all_labels.as_ref() == Some(&all)
        });
        if !same {
            self.change_namespace(name, |namespace| {
                namespace.declared = true;
                namespace.labels = labels;
                namespace.all_labels = Some(all);
            });
            self.derive_namespace(name);
        }
        !same
    }

    /// Removes a Namespace object. The networks and pods in it stay.
    pub fn remove_namespace(&mut self, name: &str) -> bool {
        if !self
            .namespaces
            .get(name)
            .is_some_and(|known| known.declared)
        {
            return false;
        }
        self.change_namespace(name, |namespace| {
            namespace.declared = false;
            namespace.labels = NamespaceLabels::default();
            namespace.all_labels = None;
        });
        self.derive_namespace(name);
        self.forget_if_empty(name);
        true
    }

    /// Adds a network, or replaces the one of that name.
    pub fn put_network(&mut self, network: Arc<Network>) -> bool {
        let network = self.with_derived_pool(network);
        if self.network(&network.namespace, &network.name) == Some(&network) {
            return false;
        }
        self.forget_what_follows_from_networks();
        let (home, name) = (network.namespace.clone(), network.name.clone());
        let mut before = None;
        self.change_namespace(&home, |namespace| {
            namespace.names = Arc::default();
            before = namespace.networks.insert(network);
        });
        if before.is_none() {
            self.networks += 1;
            self.change_namespaces_of(&name, |homes| homes.insert(home));
        }
        true
    }

    pub fn remove_network(&mut self, namespace: &str, name: &str) -> bool {
        if self.network(namespace, name).is_none() {
            return false;
        }
        self.forget_what_follows_from_networks();
        self.networks -= 1;
        self.change_namespace(namespace, |home| {
            home.names = Arc::default();
            home.networks.remove(name);
        });
        self.forget_if_empty(namespace);
        self.change_namespaces_of(name, |homes| homes.remove(namespace));
        true
    }

    fn forget_what_follows_from_networks(&mut self) {
        self.assignable_ranges = Arc::default();
        self.network_index = Arc::default();
        self.named_settings = Arc::default();
        self.pool_uses = Arc::default();
    }

    fn change_namespaces_of(
        &mut self,
        network: &str,
        change: impl FnOnce(&mut BTreeSet<Box<str>>) -> bool,
    ) {
        if self.namespaces_by_network.get(network).is_none() {
            self.namespaces_by_network
                .insert(Arc::new(NetworkNamespaces {
                    network: network.into(),
                    namespaces: BTreeSet::new(),
                }));
        }
        let Some(homes) = self.namespaces_by_network.get_mut(network) else {
            return;
        };
        let homes = Arc::make_mut(homes);
        change(&mut homes.namespaces);
        if homes.namespaces.is_empty() {
            self.namespaces_by_network.remove(network);
        }
    }

    /// Adds a pod, or replaces the one of that name.
    pub fn put_pod(&mut self, pod: Arc<Pod>) -> bool {
        if self.pod(&pod.namespace, &pod.name) == Some(&pod) {
            return false;
        }
        let home = pod.namespace.clone();
        let mut before = None;
        self.change_namespace(&home, |namespace| {
            namespace.users = Arc::default();
            before = namespace.pods.insert(Arc::clone(&pod));
        });
        self.update_carriers(before.as_deref(), Some(&pod));
        self.pods += usize::from(before.is_none());
        true
    }

    pub fn remove_pod(&mut self, namespace: &str, name: &str) -> bool {
        if self.pod(namespace, name).is_none() {
            return false;
        }
        self.pods -= 1;
        let mut before = None;
        self.change_namespace(namespace, |home| {
            home.users = Arc::default();
            before = home.pods.remove(name);
        });
        self.update_carriers(before.as_deref(), None);
        self.forget_if_empty(namespace);
        true
    }

    /// Sets the daemons that OpenShift's network operator runs; `None` without such an operator.
    pub fn set_operator(&mut self, daemons: Option<Daemons>) -> bool {
        let differs = self.operator != daemons;
        self.operator = daemons;
        differs
    }

    /// Sets whether Whereabouts's slice controller of a namespace runs; `None` if it has none.
    pub fn set_slice_controller(&mut self, namespace: &str, runs: Option<bool>) -> bool {
        if self.slicing.controller(namespace) == runs {
            return false;
        }
        Arc::make_mut(&mut self.slicing).set_controller(namespace, runs);
        true
    }

    /// Adds or removes a slice pool of the state of Whereabouts's node slices.
    pub fn set_slice_pool(&mut self, (namespace, name): (&str, &str), exists: bool) -> bool {
        if self.slicing.has_pool(namespace, name) == exists {
            return false;
        }
        Arc::make_mut(&mut self.slicing).set_pool(namespace, name, exists);
        true
    }

    /// Returns the StatefulSets and virtual machines for changes.
    pub fn workloads_mut(&mut self) -> &mut Workloads {
        &mut self.workloads
    }

    /// Returns the nodes for changes.
    pub fn nodes_mut(&mut self) -> &mut Nodes {
        &mut self.nodes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::all_labels;

    fn pod(namespace: &str, name: &str, networks: &str) -> Arc<Pod> {
        Arc::new(Pod {
            networks: Some(networks.into()),
            ..Pod::new(namespace, name)
        })
    }

    fn network(namespace: &str, name: &str) -> Arc<Network> {
        Arc::new(Network::new(namespace, name, None))
    }

    fn users(catalog: &Catalog, name: &str) -> String {
        let found = catalog.users("db", name, "kube-system");
        let found: Vec<_> = found.iter().map(|pod| &*pod.name).collect();
        found.join(" ")
    }

    #[test]
    fn published_catalogs_stay_unchanged() {
        let mut catalog = Catalog::default();
        catalog.put_network(network("db", "a-net"));
        catalog.put_pod(pod("db", "a", "a-net"));
        let published = catalog.clone();
        assert_eq!(users(&published, "a-net"), "a");
        assert!(catalog.put_pod(pod("db", "b", "a-net")));
        assert!(catalog.remove_network("db", "a-net"));
        assert!(catalog.put_network(network("web", "a-net")));
        assert_eq!(users(&published, "a-net"), "a");
        assert_eq!(users(&catalog, "a-net"), "a b");
        let homes = |catalog: &Catalog| {
            catalog
                .namespaces_of("a-net")
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            (homes(&published), homes(&catalog)),
            (vec!["db".to_owned()], vec!["web".to_owned()])
        );
        assert_eq!((published.pod_count(), catalog.pod_count()), (1, 2));
        assert_eq!(
            (published.namespace_count(), catalog.namespace_count()),
            (1, 2)
        );
    }

    #[test]
    fn no_op_changes_are_reported_as_such() {
        let mut catalog = Catalog::default();
        let labels = || all_labels("db", [("team".into(), "db".into())]);
        assert!(catalog.put_namespace("db", NamespaceLabels::default(), labels()));
        assert!(!catalog.put_namespace("db", NamespaceLabels::default(), labels()));
        assert!(catalog.put_pod(pod("db", "a", "a-net")));
        assert!(!catalog.put_pod(pod("db", "a", "a-net")));
        assert!(!catalog.remove_pod("db", "b"));
        assert!(!catalog.remove_network("db", "a-net"));
        assert!(!catalog.set_operator(None));
    }

    #[test]
    fn a_namespace_exists_while_declared_or_not_empty() {
        let mut catalog = Catalog::default();
        catalog.put_namespace("db", NamespaceLabels::default(), all_labels("db", []));
        catalog.put_pod(pod("db", "a", "a-net"));
        assert!(catalog.remove_namespace("db"));
        assert!(catalog.namespace("db").is_some_and(|db| !db.declared));
        assert!(catalog.remove_pod("db", "a"));
        assert!(catalog.namespace("db").is_none());
        assert_eq!(catalog.namespaces_of("a-net").count(), 0);
    }

    #[test]
    fn caches_survive_unrelated_changes() {
        let mut catalog = Catalog::default();
        catalog.put_network(network("db", "a-net"));
        catalog.put_pod(pod("db", "a", "a-net"));
        catalog.put_pod(pod("web", "b", "db/a-net"));
        assert_eq!(users(&catalog, "a-net"), "a b");
        let before = catalog.clone();
        catalog.put_pod(pod("web", "c", "db/a-net"));
        assert!(Arc::ptr_eq(
            &before.assignable_ranges,
            &catalog.assignable_ranges
        ));
        let cache =
            |catalog: &Catalog, name| catalog.namespaces.get(name).map(|n| Arc::clone(&n.users));
        let caches = |name| cache(&before, name).zip(cache(&catalog, name));
        assert!(caches("db").is_some_and(|(then, now)| Arc::ptr_eq(&then, &now)));
        assert!(caches("web").is_some_and(|(then, now)| !Arc::ptr_eq(&then, &now)));
        assert_eq!(users(&catalog, "a-net"), "a b c");
    }
}
