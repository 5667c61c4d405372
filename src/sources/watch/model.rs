//! The catalog that is kept up to date, and what it is made of where it does not say so itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    allocation::Reservation,
    catalog::{Catalog, NamedPool, Slicing},
    network::{Network, operator::Daemons},
};

use super::{kinds::Watched, progress::Key, read::What};

/// The state of the cluster as a catalog.
#[derive(Default)]
pub(super) struct Model {
    catalog: Catalog,
    /// Whether it differs from the one that was taken last.
    changed: bool,
    /// Whether the layout may: pools, reservations, and which pools networks name.
    layout_is_old: bool,
    pools: BTreeMap<Box<str>, NamedPool>,
    /// Those that make sense.
    reservations: BTreeMap<Key, Arc<Reservation>>,
    /// The networks of the cluster's own; others are made of what an operator lists.
    networks: BTreeSet<Key>,
    operators: BTreeMap<Box<str>, Vec<Arc<Network>>>,
    listed: BTreeMap<Key, Arc<Network>>,
    controllers: BTreeMap<Box<str>, bool>,
    slice_pools: BTreeSet<Key>,
}

impl Model {
    /// The catalog, if it is another one than that which was taken before.
    pub(super) fn take(&mut self) -> Option<Arc<Catalog>> {
        if std::mem::take(&mut self.layout_is_old) {
            let pools = self.pools.values().cloned();
            let reservations = self.reservations.values().cloned();
            self.changed |= self.catalog.set_pools(pools, reservations);
        }
        std::mem::take(&mut self.changed).then(|| Arc::new(self.catalog.clone()))
    }

    /// Whether there is something to take.
    pub(super) fn is_changed(&self) -> bool {
        self.changed || self.layout_is_old
    }

    /// The catalog as it is, taken or not.
    pub(super) fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Takes note of an object.
    pub(super) fn put(&mut self, watched: Watched, key: &Key, what: What) {
        let (namespace, name) = (&*key.0, &*key.1);
        match what {
            What::Namespace(found) => {
                let news = self
                    .catalog
                    .put_namespace(name, found.labels, found.all_labels);
                self.namespace_changed(news);
            }
            What::Network(network) => {
                self.networks.insert(key.clone());
                self.put_network(network);
            }
            What::Pool(found) => {
                self.layout_is_old = true;
                self.pools.insert(name.into(), (found.name, found.pool));
            }
            What::Reservation(found) => {
                self.layout_is_old = true;
                match found.reservation {
                    Some(made) => drop(self.reservations.insert(key.clone(), made)),
                    None => drop(self.reservations.remove(key)),
                }
            }
            What::Pod(pod) => self.changed |= self.catalog.put_pod(pod),
            What::Operator(networks) => {
                self.operators.insert(name.into(), networks);
                self.list_again();
            }
            What::Controller(runs) => {
                self.controllers.insert(namespace.into(), runs);
                self.slice_again();
            }
            What::StatefulSet(ordinals) => {
                let workloads = self.catalog.workloads_mut();
                self.changed |= workloads.set_stateful_set((namespace, name), Some(ordinals));
            }
            What::Migration(migration) => {
                let workloads = self.catalog.workloads_mut();
                self.changed |= workloads.set_migration((namespace, name), Some(migration));
            }
            What::Node(node) => self.changed |= self.catalog.nodes_mut().set(name, Some(node)),
            What::Existing => self.exists(watched, key, true),
        }
    }

    /// Takes note that there is no such object.
    pub(super) fn remove(&mut self, watched: Watched, key: &Key) {
        let (namespace, name) = (&*key.0, &*key.1);
        match watched {
            Watched::Namespaces => {
                let news = self.catalog.remove_namespace(name);
                self.namespace_changed(news);
            }
            Watched::Networks => {
                self.networks.remove(key);
                match self.listed.get(key) {
                    Some(listed) => self.put_network(Arc::clone(listed)),
                    None => self.remove_network(key),
                }
            }
            Watched::Pools => self.layout_is_old |= self.pools.remove(name).is_some(),
            Watched::Reservations => {
                self.layout_is_old |= self.reservations.remove(key).is_some();
            }
            Watched::Pods => self.changed |= self.catalog.remove_pod(namespace, name),
            Watched::Operators => {
                self.operators.remove(name);
                self.list_again();
            }
            Watched::Controllers => {
                self.controllers.remove(namespace);
                self.slice_again();
            }
            Watched::StatefulSets => {
                let workloads = self.catalog.workloads_mut();
                self.changed |= workloads.set_stateful_set((namespace, name), None);
            }
            Watched::Migrations => {
                let workloads = self.catalog.workloads_mut();
                self.changed |= workloads.set_migration((namespace, name), None);
            }
            Watched::Nodes => self.changed |= self.catalog.nodes_mut().set(name, None),
            Watched::SlicePools | Watched::Machines | Watched::Instances => {
                self.exists(watched, key, false);
            }
        }
    }

    /// Takes note that a namespace is another: by its labels a pool serves it, and its reservations.
    fn namespace_changed(&mut self, news: bool) {
        self.changed |= news;
        self.layout_is_old |= news && !self.reservations.is_empty();
    }

    /// Says whether all objects of a kind are known, where their absence tells something.
    pub(super) fn set_known(&mut self, watched: Watched, known: bool) {
        self.changed |= match watched {
            Watched::StatefulSets => self.catalog.workloads_mut().set_stateful_sets_known(known),
            Watched::Machines => self.catalog.workloads_mut().set_machines_known(known),
            Watched::Instances => self.catalog.workloads_mut().set_instances_known(known),
            Watched::Migrations => self.catalog.workloads_mut().set_migrations_known(known),
            Watched::Nodes => self.catalog.nodes_mut().set_known(known),
            _ => false,
        };
    }

    fn exists(&mut self, watched: Watched, key: &Key, exists: bool) {
        let id = (&*key.0, &*key.1);
        match watched {
            Watched::Machines => {
                self.changed |= self.catalog.workloads_mut().set_machine(id, exists);
            }
            Watched::Instances => {
                self.changed |= self.catalog.workloads_mut().set_instance(id, exists);
            }
            _ => {
                if exists {
                    self.slice_pools.insert(key.clone());
                } else {
                    self.slice_pools.remove(key);
                }
                self.slice_again();
            }
        }
    }

    fn put_network(&mut self, network: Arc<Network>) {
        let news = self.catalog.put_network(network);
        self.changed |= news;
        self.layout_is_old |= news;
    }

    fn remove_network(&mut self, key: &Key) {
        let news = self.catalog.remove_network(&key.0, &key.1);
        self.changed |= news;
        self.layout_is_old |= news;
    }

    /// What the operators list are networks that they are about to make; one that is there counts
    /// more.
    fn list_again(&mut self) {
        let listed = self.operators.values().flatten();
        let key = |network: &Network| (network.namespace.clone(), network.name.clone());
        let listed: BTreeMap<Key, _> = listed.map(|n| (key(n), Arc::clone(n))).collect();
        let before = std::mem::replace(&mut self.listed, listed.clone());
        for gone in before.into_keys().filter(|key| !listed.contains_key(key)) {
            if !self.networks.contains(&gone) {
                self.remove_network(&gone);
            }
        }
        for (key, network) in listed {
            if !self.networks.contains(&key) {
                self.put_network(network);
            }
        }
        let networks = self.operators.values().flatten();
        let daemons = Daemons::of(networks.map(|network| &**network));
        let daemons = (!self.operators.is_empty()).then_some(daemons);
        self.changed |= self.catalog.set_operator(daemons);
    }

    fn slice_again(&mut self) {
        let mut slicing = Slicing::default();
        for (namespace, runs) in &self.controllers {
            slicing.add_controller(namespace.clone(), *runs);
        }
        for (namespace, name) in &self.slice_pools {
            slicing.add_pool(namespace.clone(), name.clone());
        }
        self.changed |= self.catalog.set_slicing(slicing);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(pool: Option<&str>) -> Arc<Network> {
        let mut network = Network::new("db", "a-net", None);
        network.address_pool = pool.map(Into::into);
        Arc::new(network)
    }

    fn pool_of(model: &mut Model) -> Option<Option<Box<str>>> {
        model.take();
        let found = model.catalog().network("db", "a-net");
        found.map(|network| network.address_pool.clone())
    }

    #[test]
    fn a_network_that_is_there_counts_more_than_one_that_is_listed() {
        let (mut model, key) = (Model::default(), ("db".into(), "a-net".into()));
        let operator: Key = ("".into(), "cluster".into());
        let listed = || What::Operator(vec![network(None)]);
        model.put(Watched::Operators, &operator, listed());
        assert_eq!(pool_of(&mut model), Some(None));
        assert!(model.catalog().operator().is_some());
        model.put(Watched::Networks, &key, What::Network(network(Some("p"))));
        assert_eq!(pool_of(&mut model), Some(Some("p".into())));
        model.remove(Watched::Networks, &key);
        assert_eq!(pool_of(&mut model), Some(None));
        // The operator makes it word for word; it stays when the operator goes.
        model.put(Watched::Networks, &key, What::Network(network(None)));
        model.remove(Watched::Operators, &operator);
        assert_eq!(pool_of(&mut model), Some(None));
        assert!(model.catalog().operator().is_none());
        model.remove(Watched::Networks, &key);
        assert_eq!(pool_of(&mut model), None);
    }

    #[test]
    fn what_changes_nothing_makes_no_catalog() {
        let (mut model, key) = (Model::default(), ("db".into(), "a-net".into()));
        model.put(Watched::Networks, &key, What::Network(network(None)));
        assert!(model.take().is_some());
        model.put(Watched::Networks, &key, What::Network(network(None)));
        model.remove(Watched::SlicePools, &key);
        assert!(!model.is_changed() && model.take().is_none());
    }
}
