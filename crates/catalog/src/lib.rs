//! The read model: networks, namespaces, address pools, pods and workloads.
//!
//! A [`Catalog`] is an immutable value once published. A source builds one and publishes it as a
//! whole, so readers never see half of a change. Look-ups needed to allow a request are by hash:
//! they cost the same at ten networks and at ten thousand. Searches, except
//! [`Catalog::namespaces_of`], only serve messages of denials.
//!
//! Copies share their common parts, and a change copies only its surroundings: a change of one pod
//! among fifty thousand costs a few hundred pointers. Iteration order is deterministic.

mod assignable_ranges;
mod carriers;
mod change;
mod configured_addresses;
mod derivation;
mod derived_pools;
mod foreign_uses;
mod in_use;
mod live_read;
mod namespace;
mod network_index;
mod network_settings;
mod nodes;
mod objects_of_kind;
mod pod;
mod pool_index;
mod pools;
mod ranked_ranges;
mod retained;
mod served;
mod shared_map;
mod slicing;
mod sorted_names;
mod users;
mod whereabouts;
mod whereabouts_groups;
mod workloads;

use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
};

use self::{
    assignable_ranges::AssignableRanges,
    carriers::Carriers,
    network_index::NetworkIndex,
    network_settings::NamedSettings,
    pools::ConfiguredPools,
    shared_map::{HasName, SharedMap},
    sorted_names::SortedNames,
    whereabouts::{PoolUses, WhereaboutsObjects},
};
pub use self::{
    assignable_ranges::ComparedNetwork,
    configured_addresses::{NetworkName, NetworkNames},
    derivation::{InlinePools, PoolDerivation, WhereaboutsMode},
    derived_pools::{INLINE_POOL_PREFIX, SERVED_POOL_PREFIX, whereabouts_space},
    live_read::{LiveCatalog, LiveRead, LiveReadError, LiveReadFuture},
    namespace::{AllLabels, Mode, Namespace, NamespaceLabels, all_labels},
    network_index::OvnConfiguration,
    network_settings::{SettingsEffect, WithoutPool},
    nodes::{Node, Nodes},
    objects_of_kind::Existence,
    pod::{MigrationRef, Pod, RequestedAnnotations},
    pool_index::ReservationScope,
    pools::{NamedPool, PoolValidity},
    slicing::WhereaboutsSlicing,
    whereabouts::{
        HeldAddress, ObservedEntry, ObservedPool, PoolCounts, PoolUse, WhereaboutsRecords,
    },
    whereabouts_groups::{
        GroupKey, RangeParts, RelatedNetworks, Relation, Segment, WhereaboutsGroups,
    },
    workloads::*,
};
use nadmit_cni::{Network, operator::Daemons};

/// The minimum similarity of two names for a suggestion (Jaro-Winkler, 0 to 1).
const MIN_SIMILARITY: f64 = 0.8;

/// The networks, namespaces, pods, pools and workloads at one point in time.
#[derive(Debug, Default, Clone)]
pub struct Catalog {
    namespaces: SharedMap<Arc<Namespace>>,
    namespaces_by_network: SharedMap<Arc<NetworkNamespaces>>,
    networks: usize,
    pods: usize,
    operator: Option<Daemons>,
    address_pools: ConfiguredPools,
    /// The settings by which networks define pools.
    derivation: PoolDerivation,
    /// The pods that carry each address.
    carriers: SharedMap<Arc<Carriers>>,
    slicing: Arc<WhereaboutsSlicing>,
    workloads: Workloads,
    nodes: Nodes,
    /// Built on first use and dropped when a network changes: most catalogs are replaced before any
    /// rule needs it.
    assignable_ranges: Arc<OnceLock<AssignableRanges>>,
    whereabouts: Arc<WhereaboutsObjects>,
    /// Dropped when a network changes.
    network_index: Arc<NetworkIndex>,
    /// Dropped when a network or settings change.
    named_settings: Arc<OnceLock<NamedSettings>>,
    /// Built on first use and dropped when a network changes, or the name or range of an `IPPool`.
    pool_uses: Arc<OnceLock<PoolUses>>,
}

/// The namespaces that have a network of one name.
#[derive(Debug, Clone)]
struct NetworkNamespaces {
    network: Box<str>,
    namespaces: BTreeSet<Box<str>>,
}

impl HasName for NetworkNamespaces {
    fn name(&self) -> &str {
        &self.network
    }
}

impl Catalog {
    /// Returns a catalog of these objects. Of two objects with one name and namespace, the later
    /// one is used.
    pub fn new(
        namespaces: impl IntoIterator<Item = (Box<str>, NamespaceLabels)>,
        networks: impl IntoIterator<Item = Arc<Network>>,
        pods: impl IntoIterator<Item = Arc<Pod>>,
    ) -> Self {
        let mut catalog = Self::default();
        for (name, labels) in namespaces {
            catalog.change_namespace(&name, |namespace| {
                namespace.declared = true;
                namespace.labels = labels;
            });
        }
        for network in networks {
            catalog.put_network(network);
        }
        for pod in pods {
            catalog.put_pod(pod);
        }
        catalog
    }

    /// Returns the catalog with these labels of namespaces (see [`all_labels`]).
    #[must_use]
    pub fn with_namespace_labels(
        mut self,
        namespaces: impl IntoIterator<Item = (Box<str>, Arc<AllLabels>)>,
    ) -> Self {
        for (name, labels) in namespaces {
            self.change_namespace(&name, |namespace| namespace.all_labels = Some(labels));
        }
        self
    }

    /// Returns all labels of a namespace, for selectors. An unknown namespace has only the label
    /// that every namespace has.
    pub fn namespace_labels(&self, name: &str) -> Arc<AllLabels> {
        let known = self.namespaces.get(name);
        match known.and_then(|namespace| namespace.all_labels.as_ref()) {
            Some(labels) => Arc::clone(labels),
            None => all_labels(name, []),
        }
    }

    /// Returns the catalog of a cluster where OpenShift's network operator runs these daemons.
    #[must_use]
    pub fn with_operator(mut self, daemons: Option<Daemons>) -> Self {
        self.set_operator(daemons);
        self
    }

    /// Returns the catalog with this state of Whereabouts's node slices.
    #[must_use]
    pub fn with_slicing(mut self, slicing: WhereaboutsSlicing) -> Self {
        self.slicing = Arc::new(slicing);
        self
    }

    /// Returns the state of Whereabouts's node slices.
    pub fn slicing(&self) -> &WhereaboutsSlicing {
        &self.slicing
    }

    /// Returns the daemons that OpenShift's network operator runs; `None` without such an operator.
    pub fn operator(&self) -> Option<Daemons> {
        self.operator
    }

    /// Returns the network `name` of `namespace`.
    pub fn network(&self, namespace: &str, name: &str) -> Option<&Arc<Network>> {
        self.namespaces.get(namespace)?.networks.get(name)
    }

    /// Returns a namespace that was declared, or that contains a network or pod.
    pub fn namespace(&self, name: &str) -> Option<&Namespace> {
        self.namespaces.get(name).map(|namespace| &**namespace)
    }

    /// Returns true if a namespace has the label `nadmit.io/injection: enabled`.
    pub fn has_injection_label(&self, namespace: &str) -> bool {
        let found = self.namespaces.get(namespace);
        found.is_some_and(|namespace| namespace.labels.injection)
    }

    /// Returns the pod `name` of `namespace`.
    pub fn pod(&self, namespace: &str, name: &str) -> Option<&Arc<Pod>> {
        self.namespaces.get(namespace)?.pods.get(name)
    }

    /// Returns the namespaces that have a network of this name, in alphabetical order.
    pub fn namespaces_of(&self, network: &str) -> impl Iterator<Item = &str> {
        let homes = self.namespaces_by_network.get(network).into_iter();
        homes.flat_map(|homes| homes.namespaces.iter().map(|namespace| &**namespace))
    }

    /// Returns the most similar name of a network in `namespace`, if one is similar enough.
    pub fn similar_network(&self, namespace: &str, name: &str) -> Option<&str> {
        self.namespaces.get(namespace)?.names().similar_to(name)
    }

    /// Returns the pods that use a network, ordered by namespace and name. `multus_namespace` is
    /// the namespace in which Multus looks up default networks.
    pub fn users(&self, namespace: &str, name: &str, multus_namespace: &str) -> Vec<&Arc<Pod>> {
        let homes = self.namespaces.values();
        let found =
            homes.flat_map(|home| home.users().of_network(namespace, name, multus_namespace));
        users::in_order(found)
    }

    /// Returns the names of a namespace's networks in alphabetical order.
    pub fn network_names(&self, namespace: &str) -> Vec<&str> {
        let names = self.namespaces.get(namespace).map(|found| found.names());
        names.into_iter().flat_map(SortedNames::iter).collect()
    }

    /// Returns the first names of a namespace's networks in alphabetical order, at most `limit`, and
    /// the number of all.
    pub fn first_network_names(&self, namespace: &str, limit: usize) -> (Vec<&str>, usize) {
        let names = self.namespaces.get(namespace).map(|found| found.names());
        let first = names.into_iter().flat_map(SortedNames::iter).take(limit);
        (first.collect(), names.map_or(0, SortedNames::len))
    }

    /// Returns true if a namespace has a network.
    pub fn has_networks(&self, namespace: &str) -> bool {
        let found = self.namespaces.get(namespace);
        found.is_some_and(|namespace| !namespace.networks.is_empty())
    }

    /// Returns true if this catalog shares its networks with another state of it.
    pub fn has_same_networks(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.assignable_ranges, &other.assignable_ranges)
    }

    /// Returns the number of networks.
    pub fn network_count(&self) -> usize {
        self.networks
    }

    /// Returns the number of namespaces.
    pub fn namespace_count(&self) -> usize {
        self.namespaces.len()
    }

    /// Returns all networks, in an order that depends only on names.
    pub fn networks(&self) -> impl Iterator<Item = &Arc<Network>> {
        let namespaces = self.namespaces.values();
        namespaces.flat_map(|namespace| namespace.networks.values())
    }

    /// Returns all pods, in an order that depends only on names.
    pub fn pods(&self) -> impl Iterator<Item = &Arc<Pod>> {
        self.namespaces
            .values()
            .flat_map(|namespace| namespace.pods())
    }

    /// Returns the StatefulSets and virtual machines.
    pub fn workloads(&self) -> &Workloads {
        &self.workloads
    }

    /// Returns the nodes.
    pub fn nodes(&self) -> &Nodes {
        &self.nodes
    }

    /// Returns the number of pods.
    pub fn pod_count(&self) -> usize {
        self.pods
    }
}

/// Returns the candidate most similar to `text`, if one is similar enough: for "did you mean".
pub fn most_similar<'a>(text: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|candidate| (strsim::jaro_winkler(candidate, text), candidate))
        .filter(|(likeness, _)| *likeness >= MIN_SIMILARITY)
        // Ties are broken by name, so that the result is deterministic.
        .max_by(|a, b| a.0.total_cmp(&b.0).then_with(|| b.1.cmp(a.1)))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog(networks: &[(&str, &str)]) -> Catalog {
        let networks = networks
            .iter()
            .map(|(ns, name)| Arc::new(Network::new(ns, name, None)));
        let labels = NamespaceLabels {
            mode: Some(Mode::Warn),
            ..NamespaceLabels::default()
        };
        Catalog::new([("db".into(), labels)], networks, [])
    }

    #[test]
    fn a_network_is_found_in_its_namespace_only() {
        let catalog = catalog(&[("db", "storage"), ("web", "storage"), ("web", "front")]);
        assert!(catalog.network("db", "storage").is_some());
        assert!(catalog.network("db", "front").is_none());
        assert_eq!(
            catalog.namespaces_of("storage").collect::<Vec<_>>(),
            ["db", "web"]
        );
        assert_eq!(catalog.network_names("web"), ["front", "storage"]);
        assert_eq!((catalog.network_count(), catalog.namespace_count()), (3, 2));
    }

    #[test]
    fn suggests_the_most_similar_name_only() {
        let catalog = catalog(&[
            ("db", "macvlan-conf"),
            ("db", "macvlan-config-2"),
            ("db", "zoo"),
        ]);
        assert_eq!(
            catalog.similar_network("db", "macvlan-cnf"),
            Some("macvlan-conf")
        );
        assert_eq!(catalog.similar_network("db", "storage"), None);
        assert_eq!(catalog.similar_network("absent", "macvlan-cnf"), None);
    }

    #[test]
    fn a_namespace_may_lower_the_levels() {
        let catalog = catalog(&[("web", "front")]);
        assert_eq!(
            catalog.namespace("db").and_then(|n| n.labels.mode),
            Some(Mode::Warn)
        );
        assert_eq!(catalog.namespace("web").and_then(|n| n.labels.mode), None);
    }
}
