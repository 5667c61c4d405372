//! The numbers of objects of a cluster, and which of them belong together.

use std::{net::Ipv4Addr, ops::Range};

/// The replicas of each StatefulSet.
pub(crate) const REPLICAS: usize = 50;
/// The pods of each namespace.
const NAMESPACE_PODS: usize = 1250;
/// The first address of the pool that all namespaces share, `10.0.0.0/12`.
const SHARED: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 16);
/// The first address of the pools of single namespaces.
const OWN: Ipv4Addr = Ipv4Addr::new(172, 16, 0, 0);
/// The first address of pods on networks without a pool.
const WITHOUT_POOL: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 16);
/// The addresses of the pool of a namespace, a /20.
const OWN_ADDRESSES: usize = 4096;
/// The namespace whose networks have no pool.
pub(crate) const PLAIN: &str = "plain";
/// The greatest number of StatefulSets that are restarted.
const MAX_RESTARTED: usize = 20;
/// The addresses at the beginning of each pool that the bench does not use.
const UNUSED: usize = 16;

/// The size of a cluster.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClusterSize {
    /// The number of pods of StatefulSets, each with two networks.
    pub(crate) pods: usize,
}

/// A StatefulSet.
#[derive(Debug, Clone)]
pub(crate) struct BenchSet {
    pub(crate) name: String,
    pub(crate) namespace: String,
    /// The network of the shared pool, and that of the pool of the namespace.
    pub(crate) networks: [String; 2],
    /// The addresses of the first replica.
    first: [Ipv4Addr; 2],
}

/// The pod of a replica.
#[derive(Debug, Clone)]
pub(crate) struct BenchPod {
    pub(crate) name: String,
    /// The addresses on both networks.
    pub(crate) addresses: [Ipv4Addr; 2],
    pub(crate) node: usize,
}

impl ClusterSize {
    /// Returns the number of nodes.
    pub(crate) fn nodes(self) -> usize {
        (self.pods / 10).max(1)
    }

    /// Returns the number of StatefulSets.
    pub(crate) fn sets(self) -> usize {
        (self.pods / REPLICAS).max(2)
    }

    /// Returns the number of namespaces, which is that of their pools.
    pub(crate) fn namespaces(self) -> usize {
        (self.pods / NAMESPACE_PODS).max(2)
    }

    /// Returns the number of networks of each namespace. Every second one is of the shared pool.
    pub(crate) fn networks_of_namespace(self) -> usize {
        let networks = self.pods / 5 / self.namespaces();
        networks.max(2 * self.sets().div_ceil(self.namespaces()))
    }

    /// Returns the number of networks.
    pub(crate) fn networks(self) -> usize {
        self.networks_of_namespace() * self.namespaces()
    }

    /// Returns a StatefulSet. Successive ones are in different namespaces.
    pub(crate) fn set(self, number: usize) -> BenchSet {
        let (home, within) = (number % self.namespaces(), number / self.namespaces());
        let own = home * OWN_ADDRESSES + UNUSED + within * REPLICAS;
        BenchSet {
            name: format!("set-{number}"),
            namespace: namespace(home),
            networks: [network(2 * within), network(2 * within + 1)],
            first: [plus(SHARED, number * REPLICAS), plus(OWN, own)],
        }
    }

    /// Returns the StatefulSets that are restarted, each in a namespace of its own as far as there are
    /// enough.
    pub(crate) fn restarted_sets(self) -> Vec<BenchSet> {
        let number = (self.sets() / 4).clamp(2, MAX_RESTARTED);
        (0..number).map(|number| self.set(number)).collect()
    }

    /// Returns as many StatefulSets, on networks without a pool.
    pub(crate) fn plain_sets(self) -> Vec<BenchSet> {
        let sets = (0..self.restarted_sets().len()).map(|number| BenchSet {
            name: format!("plain-{number}"),
            namespace: PLAIN.to_owned(),
            networks: [network(0), network(1)],
            first: [0, 1].map(|at| plus(WITHOUT_POOL, (2 * number + at) * REPLICAS)),
        });
        sets.collect()
    }

    /// Returns all StatefulSets.
    pub(crate) fn all_sets(self) -> impl Iterator<Item = BenchSet> {
        (0..self.sets()).map(move |number| self.set(number))
    }

    /// Returns a replica of a StatefulSet.
    pub(crate) fn pod(self, set: &BenchSet, ordinal: usize) -> BenchPod {
        let addresses = set.first.map(|first| plus(first, ordinal));
        let [shared, _] = addresses;
        BenchPod {
            name: format!("{}-{ordinal}", set.name),
            addresses,
            node: shared.to_bits() as usize % self.nodes(),
        }
    }
}

/// Returns the numbers of a StatefulSet's replicas.
pub(crate) fn ordinals() -> Range<usize> {
    0..REPLICAS
}

/// Returns the name of a namespace.
pub(crate) fn namespace(number: usize) -> String {
    format!("ns-{number}")
}

/// Returns the name of a network of a namespace.
pub(crate) fn network(number: usize) -> String {
    format!("net-{number}")
}

/// Returns the range of the pool of a namespace.
pub(crate) fn own_range(number: usize) -> String {
    format!("{}/20", plus(OWN, number * OWN_ADDRESSES))
}

fn plus(first: Ipv4Addr, more: usize) -> Ipv4Addr {
    let more = u32::try_from(more).unwrap_or(u32::MAX);
    Ipv4Addr::from_bits(first.to_bits().saturating_add(more))
}
