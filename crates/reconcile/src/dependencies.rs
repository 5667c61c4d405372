//! The live reads that a decision depends on.

use std::collections::{BTreeMap, BTreeSet};

use nadmit_allocation::{
    Allocation, Holder, Index, Write,
    reconcile::{Action, ActionReason},
};
use nadmit_catalog::Catalog;

use crate::PlannedAction;

/// The number of pods of a namespace from which on all its pods are listed in one read.
const BATCH_THRESHOLD: usize = 16;

/// An object, or several, whose state must be read live.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dependency {
    /// A node, by name.
    Node(Box<str>),
    /// A network, by namespace and name.
    Network(Box<str>, Box<str>),
    /// A StatefulSet, by namespace and name.
    StatefulSet(Box<str>, Box<str>),
    /// A virtual machine and its instance, by namespace and name.
    VirtualMachine(Box<str>, Box<str>),
    /// A pod, by namespace and name.
    Pod(Box<str>, Box<str>),
    /// All pods of a namespace.
    PodsOf(Box<str>),
}

impl PlannedAction {
    /// Returns the live reads that the action requires if it revokes an address: those behind the
    /// record, and the pod that gets the address. `record` is the present record of the address.
    pub fn dependencies(&self, record: &Allocation, catalog: &Catalog) -> BTreeSet<Dependency> {
        let Action { write, reason } = &self.action;
        let mut dependencies = record_dependencies(record, catalog);
        let heir = write.as_ref().map(Write::allocation);
        if let Some(heir) = heir.filter(|_| *reason == ActionReason::Transferred)
            && let Some(pod) = &heir.pod
        {
            let home: Box<str> = (&**heir.holder.namespace()).into();
            dependencies.insert(Dependency::Pod(home, (&*pod.name).into()));
        }
        dependencies
    }
}

/// Returns the live reads behind the state of a record. Kinds that may not be read are left out:
/// nothing is concluded from them.
fn record_dependencies(record: &Allocation, catalog: &Catalog) -> BTreeSet<Dependency> {
    let mut dependencies = BTreeSet::new();
    let home = || -> Box<str> { (&**record.holder.namespace()).into() };
    let workloads = catalog.workloads();
    match &record.holder {
        // That the reservation was gone remains true, even if there is a new one by now.
        Holder::Reservation { .. } => return dependencies,
        Holder::Network { name, .. } => {
            dependencies.insert(Dependency::Network(home(), (&**name).into()));
            return dependencies;
        }
        Holder::Pod { name, .. } => {
            dependencies.insert(Dependency::Pod(home(), (&**name).into()));
        }
        Holder::Replica {
            stateful_set,
            ordinal,
            ..
        } => {
            dependencies.insert(Dependency::Pod(
                home(),
                format!("{stateful_set}-{ordinal}").into(),
            ));
            if workloads.knows_stateful_sets() {
                dependencies.insert(Dependency::StatefulSet(home(), (&**stateful_set).into()));
            }
        }
        Holder::VirtualMachine { name, .. } => {
            dependencies.insert(Dependency::PodsOf(home()));
            if workloads.knows_machines() {
                dependencies.insert(Dependency::VirtualMachine(home(), (&**name).into()));
            }
        }
        Holder::Unnamed { .. } => {
            dependencies.insert(Dependency::PodsOf(home()));
        }
    }
    if let Some(pod) = &record.pod {
        dependencies.insert(Dependency::Pod(home(), (&*pod.name).into()));
    }
    let on = record.pod.as_ref().and_then(|pod| pod.node.as_ref());
    if catalog.nodes().are_known() {
        let nodes = on.into_iter().chain(&record.former_nodes);
        dependencies.extend(nodes.map(|node| Dependency::Node((&**node).into())));
    }
    dependencies
}

/// Returns the live reads of a full resync: the pods, nodes and networks behind records and pools.
pub fn resync_dependencies(catalog: &Catalog, index: &Index) -> BTreeSet<Dependency> {
    let mut dependencies = BTreeSet::new();
    let served = catalog.pool_config().served.values().flatten();
    for network in served {
        let home: Box<str> = (&*network.namespace).into();
        dependencies.insert(Dependency::Network(home.clone(), (&*network.name).into()));
        dependencies.insert(Dependency::PodsOf(home));
    }
    let nodes_known = catalog.nodes().are_known();
    for (record, _) in index.allocations() {
        let home: Box<str> = (&**record.holder.namespace()).into();
        if !matches!(
            record.holder,
            Holder::Reservation { .. } | Holder::Network { .. }
        ) {
            dependencies.insert(Dependency::PodsOf(home));
        }
        let node = record.pod.as_ref().and_then(|pod| pod.node.as_deref());
        if let Some(node) = node.filter(|_| nodes_known) {
            dependencies.insert(Dependency::Node(node.into()));
        }
    }
    dependencies
}

/// Returns the reads to perform, each with the dependencies it serves: many pods of one namespace are
/// listed together.
pub fn batches(all: &BTreeSet<Dependency>) -> BTreeMap<Dependency, BTreeSet<Dependency>> {
    let mut pods: BTreeMap<&str, usize> = BTreeMap::new();
    for dependency in all {
        match dependency {
            Dependency::Pod(namespace, _) => *pods.entry(namespace).or_default() += 1,
            Dependency::PodsOf(namespace) => *pods.entry(namespace).or_default() += BATCH_THRESHOLD,
            _ => {}
        }
    }
    let is_listed = |namespace: &str| pods.get(namespace).is_some_and(|n| *n >= BATCH_THRESHOLD);
    let mut batches: BTreeMap<Dependency, BTreeSet<Dependency>> = BTreeMap::new();
    for dependency in all {
        let read = match dependency {
            Dependency::Pod(namespace, _) if is_listed(namespace) => {
                Dependency::PodsOf(namespace.clone())
            }
            other => other.clone(),
        };
        batches.entry(read).or_default().insert(dependency.clone());
    }
    batches
}
