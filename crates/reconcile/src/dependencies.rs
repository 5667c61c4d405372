//! The live reads that a decision depends on.

use std::collections::{BTreeMap, BTreeSet};

use nadmit_allocation::{
    Allocation, Holder, Index, Write,
    reconcile::{Action, ActionReason},
};
use nadmit_catalog::{Catalog, LiveRead};

use crate::PlannedAction;

/// The number of pods of a namespace from which on all its pods are listed in one read.
const BATCH_THRESHOLD: usize = 16;

impl PlannedAction {
    /// Returns the live reads that the action requires if it revokes an address: those behind the
    /// record, and the pod that gets the address. `record` is the present record of the address.
    pub fn dependencies(&self, record: &Allocation, catalog: &Catalog) -> BTreeSet<LiveRead> {
        let Action { write, reason } = &self.action;
        let mut dependencies = record_dependencies(record, catalog);
        let heir = write.as_ref().map(Write::allocation);
        if let Some(heir) = heir.filter(|_| *reason == ActionReason::Transferred)
            && let Some(pod) = &heir.pod
        {
            let home: Box<str> = (&**heir.holder.namespace()).into();
            dependencies.insert(LiveRead::pod(home, &*pod.name));
        }
        dependencies
    }
}

/// Returns the live reads behind the state of a record. Kinds that may not be read are left out:
/// nothing is concluded from them.
fn record_dependencies(record: &Allocation, catalog: &Catalog) -> BTreeSet<LiveRead> {
    let mut dependencies = BTreeSet::new();
    let home = || -> Box<str> { (&**record.holder.namespace()).into() };
    let workloads = catalog.workloads();
    match &record.holder {
        // That the reservation was gone remains true, even if there is a new one by now.
        Holder::Reservation { .. } => return dependencies,
        Holder::Network { name, .. } => {
            dependencies.insert(LiveRead::network(home(), &**name));
            return dependencies;
        }
        Holder::Pod { name, .. } => {
            dependencies.insert(LiveRead::pod(home(), &**name));
        }
        Holder::Replica {
            stateful_set,
            ordinal,
            ..
        } => {
            dependencies.insert(LiveRead::pod(home(), format!("{stateful_set}-{ordinal}")));
            if workloads.knows_stateful_sets() {
                dependencies.insert(LiveRead::stateful_set(home(), &**stateful_set));
            }
        }
        Holder::VirtualMachine { name, .. } => {
            dependencies.insert(LiveRead::pods_of(home()));
            if workloads.knows_machines() {
                dependencies.insert(LiveRead::virtual_machine(home(), &**name));
            }
        }
        Holder::Unnamed { .. } => {
            dependencies.insert(LiveRead::pods_of(home()));
        }
    }
    if let Some(pod) = &record.pod {
        dependencies.insert(LiveRead::pod(home(), &*pod.name));
    }
    let on = record.pod.as_ref().and_then(|pod| pod.node.as_ref());
    if catalog.nodes().are_known() {
        let nodes = on.into_iter().chain(&record.former_nodes);
        dependencies.extend(nodes.map(|node| LiveRead::node(&**node)));
    }
    dependencies
}

/// Returns the live reads of a full resync: the pods, nodes and networks behind records and pools.
pub fn resync_dependencies(catalog: &Catalog, index: &Index) -> BTreeSet<LiveRead> {
    let mut dependencies = BTreeSet::new();
    let served = catalog.pool_config().served.values().flatten();
    for network in served {
        let home: Box<str> = (&*network.namespace).into();
        dependencies.insert(LiveRead::network(home.clone(), &*network.name));
        dependencies.insert(LiveRead::pods_of(home));
    }
    let nodes_known = catalog.nodes().are_known();
    for (record, _) in index.allocations() {
        let home: Box<str> = (&**record.holder.namespace()).into();
        if !matches!(
            record.holder,
            Holder::Reservation { .. } | Holder::Network { .. }
        ) {
            dependencies.insert(LiveRead::pods_of(home));
        }
        let node = record.pod.as_ref().and_then(|pod| pod.node.as_deref());
        if let Some(node) = node.filter(|_| nodes_known) {
            dependencies.insert(LiveRead::node(node));
        }
    }
    dependencies
}

/// Returns the reads to perform, each with the dependencies it serves: many pods of one namespace are
/// listed together.
pub fn batches(all: &BTreeSet<LiveRead>) -> BTreeMap<LiveRead, BTreeSet<LiveRead>> {
    let mut pods: BTreeMap<&str, usize> = BTreeMap::new();
    for dependency in all {
        match dependency {
            LiveRead::Pod { namespace, .. } => *pods.entry(namespace).or_default() += 1,
            LiveRead::PodsOf { namespace } => {
                *pods.entry(namespace).or_default() += BATCH_THRESHOLD
            }
            _ => {}
        }
    }
    let is_listed = |namespace: &str| pods.get(namespace).is_some_and(|n| *n >= BATCH_THRESHOLD);
    let mut batches: BTreeMap<LiveRead, BTreeSet<LiveRead>> = BTreeMap::new();
    for dependency in all {
        let read = match dependency {
            LiveRead::Pod { namespace, .. } if is_listed(namespace) => {
                LiveRead::pods_of(namespace.clone())
            }
            other => other.clone(),
        };
        batches.entry(read).or_default().insert(dependency.clone());
    }
    batches
}
