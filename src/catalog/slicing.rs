//! What is known of Whereabouts's slices ("Fast IPAM"): where its controller runs, and which pools
//! it has cut.

use std::collections::{BTreeMap, BTreeSet};

/// The controllers and the pools that there are.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct WhereaboutsSlicing {
    /// By namespace: whether it has a pod to run in.
    controllers: BTreeMap<Box<str>, bool>,
    /// Namespace and name.
    pools: BTreeSet<(Box<str>, Box<str>)>,
}

impl WhereaboutsSlicing {
    /// Takes note of a controller's Deployment; with no replicas it does not run.
    pub fn add_controller(&mut self, namespace: Box<str>, runs: bool) {
        self.controllers.insert(namespace, runs);
    }

    /// Takes note of a `NodeSlicePool`.
    pub fn add_pool(&mut self, namespace: Box<str>, name: Box<str>) {
        self.pools.insert((namespace, name));
    }

    /// Whether a controller of this namespace runs; `None` if none is known there.
    pub fn controller(&self, namespace: &str) -> Option<bool> {
        self.controllers.get(namespace).copied()
    }

    /// Whether any pool is known: then that of a network should be, too.
    pub fn has_pools(&self) -> bool {
        !self.pools.is_empty()
    }

    /// Whether this pool is known.
    pub fn has_pool(&self, namespace: &str, name: &str) -> bool {
        self.pools.contains(&(namespace.into(), name.into()))
    }
}
