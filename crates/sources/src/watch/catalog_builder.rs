//! Builds the catalog from the watched objects, and keeps the inputs that the catalog itself does not
//! contain.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use nadmit_allocation::Reservation;
use nadmit_catalog::{Catalog, NamedPool, PoolDerivation};
use nadmit_cni::{Network, operator::Daemons};

use super::{kinds::WatchedKind, progress::ObjectKey, read::DecodedObject};

/// The catalog under construction.
#[derive(Default)]
pub(super) struct CatalogBuilder {
    catalog: Catalog,
    /// True if the catalog differs from the one taken last.
    changed: bool,
    /// True if pools, reservations, or the pools of networks changed, and with them the layout.
    layout_changed: bool,
    pools: BTreeMap<Box<str>, NamedPool>,
    /// The valid reservations.
    reservations: BTreeMap<ObjectKey, Arc<Reservation>>,
    /// The networks that exist as objects; others are planned by an operator.
    networks: BTreeSet<ObjectKey>,
    operators: BTreeMap<Box<str>, Vec<Arc<Network>>>,
    planned: BTreeMap<ObjectKey, Arc<Network>>,
    /// The UIDs of the unbound pods without additional networks.
    plain_pods: BTreeMap<ObjectKey, Box<str>>,
    /// The bound pods with nadmit's label, which may be in any namespace.
    replicas: BTreeSet<ObjectKey>,
}

impl CatalogBuilder {
    /// Returns the catalog if it has changed since the last call.
    pub(super) fn take(&mut self) -> Option<Arc<Catalog>> {
        if std::mem::take(&mut self.layout_changed) {
            let pools = self.pools.values().cloned();
            let reservations = self.reservations.values().cloned();
            self.changed |= self.catalog.set_pools(pools, reservations);
        }
        std::mem::take(&mut self.changed).then(|| Arc::new(self.catalog.clone()))
    }

    /// Returns true if [`Self::take`] may return a catalog.
    pub(super) fn is_changed(&self) -> bool {
        self.changed || self.layout_changed
    }

    /// Returns the present catalog, whether taken or not.
    pub(super) fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Returns the number of objects of a kind that are known and not in the catalog.
    pub(super) fn left_out(&self, watched: WatchedKind) -> usize {
        match watched {
            WatchedKind::Pods => self.plain_pods.len() + self.replicas.len(),
            _ => 0,
        }
    }

    /// Returns true if the pod of this UID was observed, with additional networks or unbound.
    pub(super) fn has_observed(&self, key: &ObjectKey, uid: &str) -> bool {
        let pod = self.catalog.pod(&key.0, &key.1);
        pod.is_some_and(|pod| pod.uid.as_deref() == Some(uid))
            || self
                .plain_pods
                .get(key)
                .is_some_and(|known| **known == *uid)
    }

    /// Returns the number of nadmit's pods in a namespace that are bound and have not ended.
    pub(super) fn replicas(&self, namespace: &str) -> usize {
        let own = self.replicas.iter();
        own.filter(|(home, _)| **home == *namespace).count()
    }

    /// Sets by which settings networks define pools.
    pub(super) fn set_pool_derivation(&mut self, derivation: PoolDerivation) {
        let news = self.catalog.set_pool_derivation(derivation);
        self.changed |= news;
        self.layout_changed |= news;
    }

    /// Adds or replaces an object.
    pub(super) fn put(&mut self, key: &ObjectKey, decoded: DecodedObject) {
        let (namespace, name) = (&*key.0, &*key.1);
        match decoded {
            DecodedObject::Namespace(found) => {
                let news = self
                    .catalog
                    .put_namespace(name, found.labels, found.all_labels);
                self.namespace_changed(news);
            }
            DecodedObject::Network(network) => {
                self.networks.insert(key.clone());
                self.put_network(network);
            }
            DecodedObject::Pool(found) => {
                self.layout_changed = true;
                self.pools.insert(name.into(), (found.name, found.pool));
            }
            DecodedObject::Reservation(found) => {
                self.layout_changed = true;
                match found.reservation {
                    Some(made) => drop(self.reservations.insert(key.clone(), made)),
                    None => drop(self.reservations.remove(key)),
                }
            }
            DecodedObject::Pod(pod) => {
                self.plain_pods.remove(key);
                self.replicas.remove(key);
                self.changed |= self.catalog.put_pod(pod);
            }
            DecodedObject::Replica => {
                self.plain_pods.remove(key);
                self.changed |= self.catalog.remove_pod(namespace, name);
                self.replicas.insert(key.clone());
            }
            DecodedObject::PlainPod(uid) => {
                self.replicas.remove(key);
                self.changed |= self.catalog.remove_pod(namespace, name);
                self.plain_pods.insert(key.clone(), uid);
            }
            DecodedObject::Operator(networks) => {
                self.operators.insert(name.into(), networks);
                self.refresh_planned();
            }
            DecodedObject::Controller(runs) => {
                self.changed |= self.catalog.set_slice_controller(namespace, Some(runs));
            }
            DecodedObject::Known(content) => {
                self.changed |= content.apply(&mut self.catalog, key);
            }
        }
    }

    pub(super) fn remove(&mut self, watched: WatchedKind, key: &ObjectKey) {
        let (namespace, name) = (&*key.0, &*key.1);
        match watched {
            WatchedKind::Namespaces => {
                let news = self.catalog.remove_namespace(name);
                self.namespace_changed(news);
            }
            WatchedKind::Networks => {
                self.networks.remove(key);
                match self.planned.get(key) {
                    Some(planned) => self.put_network(Arc::clone(planned)),
                    None => self.remove_network(key),
                }
            }
            WatchedKind::Pools => self.layout_changed |= self.pools.remove(name).is_some(),
            WatchedKind::Reservations => {
                self.layout_changed |= self.reservations.remove(key).is_some();
            }
            WatchedKind::Pods => {
                self.plain_pods.remove(key);
                self.replicas.remove(key);
                self.changed |= self.catalog.remove_pod(namespace, name);
            }
            WatchedKind::Operators => {
                self.operators.remove(name);
                self.refresh_planned();
            }
            WatchedKind::Controllers => {
                self.changed |= self.catalog.set_slice_controller(namespace, None);
            }
            _ => {
                if let Some(objects) = watched.known_objects() {
                    self.changed |= (objects.remove)(&mut self.catalog, key);
                }
            }
        }
    }

    /// Notes that a namespace changed: its labels decide which pools serve it and its reservations, and
    /// whether its networks define pools.
    fn namespace_changed(&mut self, news: bool) {
        self.changed |= news;
        let matters = !self.reservations.is_empty() || self.catalog.derives_pools();
        self.layout_changed |= news && matters;
    }

    /// Sets whether all objects of a kind are known, for kinds whose absence matters.
    pub(super) fn set_known(&mut self, watched: WatchedKind, known: bool) {
        if let Some(objects) = watched.known_objects() {
            self.changed |= (objects.set_known)(&mut self.catalog, known);
        }
    }

    fn put_network(&mut self, network: Arc<Network>) {
        let news = self.catalog.put_network(network);
        self.changed |= news;
        self.layout_changed |= news;
    }

    fn remove_network(&mut self, key: &ObjectKey) {
        let news = self.catalog.remove_network(&key.0, &key.1);
        self.changed |= news;
        self.layout_changed |= news;
    }

    /// Rebuilds the planned networks: those that operators list and are about to create. A network that
    /// exists takes precedence.
    fn refresh_planned(&mut self) {
        let planned = self.operators.values().flatten();
        let key = |network: &Network| (network.namespace.clone(), network.name.clone());
        let planned: BTreeMap<ObjectKey, _> = planned.map(|n| (key(n), Arc::clone(n))).collect();
        let before = std::mem::replace(&mut self.planned, planned.clone());
        for gone in before.into_keys().filter(|key| !planned.contains_key(key)) {
            if !self.networks.contains(&gone) {
                self.remove_network(&gone);
            }
        }
        for (key, network) in planned {
            if !self.networks.contains(&key) {
                self.put_network(network);
            }
        }
        let networks = self.operators.values().flatten();
        let daemons = Daemons::of(networks.map(|network| &**network));
        let daemons = (!self.operators.is_empty()).then_some(daemons);
        self.changed |= self.catalog.set_operator(daemons);
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

    fn pool_of(builder: &mut CatalogBuilder) -> Option<Option<Box<str>>> {
        builder.take();
        let found = builder.catalog().network("db", "a-net");
        found.map(|network| network.address_pool.clone())
    }

    #[test]
    fn existing_networks_take_precedence_over_planned_ones() {
        let (mut builder, key) = (CatalogBuilder::default(), ("db".into(), "a-net".into()));
        let operator: ObjectKey = ("".into(), "cluster".into());
        let planned = || DecodedObject::Operator(vec![network(None)]);
        builder.put(&operator, planned());
        assert_eq!(pool_of(&mut builder), Some(None));
        assert!(builder.catalog().operator().is_some());
        builder.put(&key, DecodedObject::Network(network(Some("p"))));
        assert_eq!(pool_of(&mut builder), Some(Some("p".into())));
        builder.remove(WatchedKind::Networks, &key);
        assert_eq!(pool_of(&mut builder), Some(None));
        // The operator creates it unchanged; it stays when the operator's object is removed.
        builder.put(&key, DecodedObject::Network(network(None)));
        builder.remove(WatchedKind::Operators, &operator);
        assert_eq!(pool_of(&mut builder), Some(None));
        assert!(builder.catalog().operator().is_none());
        builder.remove(WatchedKind::Networks, &key);
        assert_eq!(pool_of(&mut builder), None);
    }

    #[test]
    fn replicas_are_the_pods_of_one_namespace() {
        let mut builder = CatalogBuilder::default();
        let key = |namespace: &str, name: &str| -> ObjectKey { (namespace.into(), name.into()) };
        for (namespace, name) in [("nadmit", "a"), ("nadmit", "b"), ("web", "c")] {
            builder.put(&key(namespace, name), DecodedObject::Replica);
        }
        assert_eq!(
            (builder.replicas("nadmit"), builder.replicas("web")),
            (2, 1)
        );
        assert_eq!(builder.left_out(WatchedKind::Pods), 3);
        assert!(!builder.is_changed());
        builder.remove(WatchedKind::Pods, &key("nadmit", "a"));
        builder.put(&key("nadmit", "b"), DecodedObject::PlainPod("u".into()));
        assert_eq!(builder.replicas("nadmit"), 0);
    }

    #[test]
    fn a_no_op_change_makes_no_catalog() {
        let (mut builder, key) = (CatalogBuilder::default(), ("db".into(), "a-net".into()));
        builder.put(&key, DecodedObject::Network(network(None)));
        assert!(builder.take().is_some());
        builder.put(&key, DecodedObject::Network(network(None)));
        builder.remove(WatchedKind::SlicePools, &key);
        assert!(!builder.is_changed() && builder.take().is_none());
    }
}
