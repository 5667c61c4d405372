//! What has to be looked at live before a record is freed.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, stream};

use crate::{
    allocation::{
        Allocation, Holder, Write,
        reconcile::{Action, Reason},
    },
    catalog::Catalog,
    controllers::{LiveReader, ReadTarget},
};

/// How many things are looked at at a time.
const CONCURRENCY: usize = 16;
/// From how many pods of a namespace on all of them are looked at together.
const TOGETHER: usize = 16;

/// Whether an action takes an address from somebody: so also one by which a record of a machine names
/// another of its pods, for whom it names nobody is let in beside.
pub(super) fn is_release(action: &Action) -> bool {
    let takes = match action.reason {
        Reason::GivenBack | Reason::HandedOver => true,
        Reason::Named => action
            .write
            .as_ref()
            .is_some_and(|write| matches!(write.allocation().holder, Holder::Machine { .. })),
        _ => false,
    };
    takes || matches!(action.write, Some(Write::Delete(..)))
}

/// What an action rests on, by which a record is taken from its holder: what the judgement of the record
/// does, and who gets it.
pub(super) fn looks(action: &Action, record: &Allocation, catalog: &Catalog) -> BTreeSet<ReadTarget> {
    let mut looks = looks_behind(record, catalog);
    let heir = action.write.as_ref().map(Write::allocation);
    if let Some(heir) = heir.filter(|_| action.reason == Reason::HandedOver)
        && let Some(pod) = &heir.pod
    {
        let home: Box<str> = (&**heir.holder.namespace()).into();
        looks.insert(ReadTarget::Pod(home, (&*pod.name).into()));
    }
    looks
}

/// What the judgement of a record rests on. Kinds that may not be read are not asked for again: nothing
/// is concluded from them.
fn looks_behind(record: &Allocation, catalog: &Catalog) -> BTreeSet<ReadTarget> {
    let mut looks = BTreeSet::new();
    let home = || -> Box<str> { (&**record.holder.namespace()).into() };
    let workloads = catalog.workloads();
    match &record.holder {
        // That an object was gone is true, though there may be another by now.
        Holder::Reservation { .. } => return looks,
        Holder::Network { name, .. } => {
            looks.insert(ReadTarget::Network(home(), (&**name).into()));
            return looks;
        }
        Holder::Pod { name, .. } => {
            looks.insert(ReadTarget::Pod(home(), (&**name).into()));
        }
        Holder::Replica {
            stateful_set,
            ordinal,
            ..
        } => {
            looks.insert(ReadTarget::Pod(
                home(),
                format!("{stateful_set}-{ordinal}").into(),
            ));
            if workloads.knows_stateful_sets() {
                looks.insert(ReadTarget::StatefulSet(home(), (&**stateful_set).into()));
            }
        }
        Holder::Machine { name, .. } => {
            looks.insert(ReadTarget::PodsOf(home()));
            if workloads.knows_machines() {
                looks.insert(ReadTarget::Machine(home(), (&**name).into()));
            }
        }
        Holder::Unnamed { .. } => {
            looks.insert(ReadTarget::PodsOf(home()));
        }
    }
    if let Some(pod) = &record.pod {
        looks.insert(ReadTarget::Pod(home(), (&*pod.name).into()));
    }
    let on = record.pod.as_ref().and_then(|pod| pod.node.as_ref());
    if catalog.nodes().are_known() {
        let nodes = on.into_iter().chain(&record.former_nodes);
        looks.extend(nodes.map(|node| ReadTarget::Node((&**node).into())));
    }
    looks
}

/// What was looked at, and did not show itself: why.
pub(super) type Failed = BTreeMap<ReadTarget, String>;

/// Looks at all of these, many pods of one namespace together.
pub(super) async fn look_at(live: &dyn LiveReader, all: &BTreeSet<ReadTarget>) -> Failed {
    let mut pods: BTreeMap<&str, usize> = BTreeMap::new();
    for look in all {
        match look {
            ReadTarget::Pod(namespace, _) => *pods.entry(namespace).or_default() += 1,
            ReadTarget::PodsOf(namespace) => *pods.entry(namespace).or_default() += TOGETHER,
            _ => {}
        }
    }
    let together = |look: &ReadTarget| match look {
        ReadTarget::Pod(namespace, _) if pods.get(&**namespace).is_some_and(|n| *n >= TOGETHER) => {
            ReadTarget::PodsOf(namespace.clone())
        }
        look => look.clone(),
    };
    let asked: BTreeSet<ReadTarget> = all.iter().map(together).collect();
    let failed: Failed = stream::iter(asked)
        .map(|look| async move {
            let looked = live.look(&look).await;
            looked.err().map(|error| (look, error))
        })
        .buffered(CONCURRENCY)
        .filter_map(std::future::ready)
        .collect()
        .await;
    let of = |look: &ReadTarget| Some((look.clone(), failed.get(&together(look))?.clone()));
    all.iter().filter_map(of).collect()
}
