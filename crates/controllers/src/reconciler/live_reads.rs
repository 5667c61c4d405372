//! The live reads required before a record is freed.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, stream};

use crate::{LiveReader, ReadTarget};
use nadmit_allocation::{
    Allocation, Holder, Write,
    reconcile::{Action, ActionReason},
};
use nadmit_catalog::Catalog;

/// The number of concurrent reads.
const CONCURRENCY: usize = 16;
/// The number of pods of a namespace from which on all its pods are listed in one read.
const BATCH_THRESHOLD: usize = 16;

/// Returns true if the action revokes an address. Re-pointing a virtual machine's record to another
/// launcher counts, because the record is what blocks a second launcher.
pub(super) fn is_release(action: &Action) -> bool {
    let takes = match action.reason {
        ActionReason::ReturnedToReservation | ActionReason::Transferred => true,
        ActionReason::PodIdentified => action.write.as_ref().is_some_and(|write| {
            matches!(write.allocation().holder, Holder::VirtualMachine { .. })
        }),
        _ => false,
    };
    takes || matches!(action.write, Some(Write::Delete(..)))
}

/// Returns the live reads that a revoking action requires: those behind the record, and the pod that
/// gets the address.
pub(super) fn dependencies(
    action: &Action,
    record: &Allocation,
    catalog: &Catalog,
) -> BTreeSet<ReadTarget> {
    let mut dependencies = record_dependencies(record, catalog);
    let heir = action.write.as_ref().map(Write::allocation);
    if let Some(heir) = heir.filter(|_| action.reason == ActionReason::Transferred)
        && let Some(pod) = &heir.pod
    {
        let home: Box<str> = (&**heir.holder.namespace()).into();
        dependencies.insert(ReadTarget::Pod(home, (&*pod.name).into()));
    }
    dependencies
}

/// Returns the live reads behind the state of a record. Kinds that may not be read are left out:
/// nothing is concluded from them.
fn record_dependencies(record: &Allocation, catalog: &Catalog) -> BTreeSet<ReadTarget> {
    let mut dependencies = BTreeSet::new();
    let home = || -> Box<str> { (&**record.holder.namespace()).into() };
    let workloads = catalog.workloads();
    match &record.holder {
        // That the reservation was gone remains true, even if there is a new one by now.
        Holder::Reservation { .. } => return dependencies,
        Holder::Network { name, .. } => {
            dependencies.insert(ReadTarget::Network(home(), (&**name).into()));
            return dependencies;
        }
        Holder::Pod { name, .. } => {
            dependencies.insert(ReadTarget::Pod(home(), (&**name).into()));
        }
        Holder::Replica {
            stateful_set,
            ordinal,
            ..
        } => {
            dependencies.insert(ReadTarget::Pod(
                home(),
                format!("{stateful_set}-{ordinal}").into(),
            ));
            if workloads.knows_stateful_sets() {
                dependencies.insert(ReadTarget::StatefulSet(home(), (&**stateful_set).into()));
            }
        }
        Holder::VirtualMachine { name, .. } => {
            dependencies.insert(ReadTarget::PodsOf(home()));
            if workloads.knows_machines() {
                dependencies.insert(ReadTarget::VirtualMachine(home(), (&**name).into()));
            }
        }
        Holder::Unnamed { .. } => {
            dependencies.insert(ReadTarget::PodsOf(home()));
        }
    }
    if let Some(pod) = &record.pod {
        dependencies.insert(ReadTarget::Pod(home(), (&*pod.name).into()));
    }
    let on = record.pod.as_ref().and_then(|pod| pod.node.as_ref());
    if catalog.nodes().are_known() {
        let nodes = on.into_iter().chain(&record.former_nodes);
        dependencies.extend(nodes.map(|node| ReadTarget::Node((&**node).into())));
    }
    dependencies
}

/// The failed reads, with the reason.
pub(super) type ReadFailures = BTreeMap<ReadTarget, String>;

/// Performs all reads, many pods of one namespace as one list. Returns those that failed.
pub(super) async fn refresh_all(live: &dyn LiveReader, all: &BTreeSet<ReadTarget>) -> ReadFailures {
    let mut pods: BTreeMap<&str, usize> = BTreeMap::new();
    for target in all {
        match target {
            ReadTarget::Pod(namespace, _) => *pods.entry(namespace).or_default() += 1,
            ReadTarget::PodsOf(namespace) => *pods.entry(namespace).or_default() += BATCH_THRESHOLD,
            _ => {}
        }
    }
    let together = |target: &ReadTarget| match target {
        ReadTarget::Pod(namespace, _)
            if pods
                .get(&**namespace)
                .is_some_and(|n| *n >= BATCH_THRESHOLD) =>
        {
            ReadTarget::PodsOf(namespace.clone())
        }
        target => target.clone(),
    };
    let batched: BTreeSet<ReadTarget> = all.iter().map(together).collect();
    let failed: ReadFailures = stream::iter(batched)
        .map(|target| async move {
            let refreshed = live.refresh(&target).await;
            refreshed.err().map(|error| (target, error))
        })
        .buffered(CONCURRENCY)
        .filter_map(std::future::ready)
        .collect()
        .await;
    let of = |target: &ReadTarget| Some((target.clone(), failed.get(&together(target))?.clone()));
    all.iter().filter_map(of).collect()
}
