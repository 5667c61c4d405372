//! The state of Whereabouts's node slices ("Fast IPAM"): running controllers and existing slice
//! pools.

use std::collections::{BTreeMap, BTreeSet};

/// The controllers and `NodeSlicePool`s in a cluster.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct WhereaboutsSlicing {
    /// By namespace: whether the controller there has replicas.
    controllers: BTreeMap<Box<str>, bool>,
    /// The slice pools, by namespace and name.
    pools: BTreeSet<(Box<str>, Box<str>)>,
}

impl WhereaboutsSlicing {
    /// Adds a controller's Deployment; without replicas it does not run.
    pub fn add_controller(&mut self, namespace: Box<str>, runs: bool) {
        self.controllers.insert(namespace, runs);
    }

    /// Adds a `NodeSlicePool`.
    pub fn add_pool(&mut self, namespace: Box<str>, name: Box<str>) {
        self.pools.insert((namespace, name));
    }

    /// Adds, changes or, with `None`, removes the controller of a namespace.
    pub(super) fn set_controller(&mut self, namespace: &str, runs: Option<bool>) {
        match runs {
            Some(runs) => drop(self.controllers.insert(namespace.into(), runs)),
            None => drop(self.controllers.remove(namespace)),
        }
    }

    /// Adds or removes a `NodeSlicePool`.
    pub(super) fn set_pool(&mut self, namespace: &str, name: &str, exists: bool) {
        let key = (namespace.into(), name.into());
        match exists {
            true => self.pools.insert(key),
            false => self.pools.remove(&key),
        };
    }

    /// Returns whether the controller in this namespace runs; `None` if the namespace has none.
    pub fn controller(&self, namespace: &str) -> Option<bool> {
        self.controllers.get(namespace).copied()
    }

    /// Returns true if any slice pool is known: then that of a network should be, too.
    pub fn has_pools(&self) -> bool {
        !self.pools.is_empty()
    }

    /// Returns true if this slice pool is known.
    pub fn has_pool(&self, namespace: &str, name: &str) -> bool {
        self.pools.contains(&(namespace.into(), name.into()))
    }
}
