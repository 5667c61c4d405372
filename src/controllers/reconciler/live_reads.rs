//! What has to be looked at live before a record is freed.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, stream};

use crate::{
    allocation::{
        Allocation, Holder, Write,
        reconcile::{Action, Reason},
    },
    catalog::Catalog,
    controllers::{Live, Look},
};

/// How many things are looked at at a time.
const AT_ONCE: usize = 16;
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
pub(super) fn looks(action: &Action, record: &Allocation, catalog: &Catalog) -> BTreeSet<Look> {
    let mut looks = looks_behind(record, catalog);
    let heir = action.write.as_ref().map(Write::allocation);
    if let Some(heir) = heir.filter(|_| action.reason == Reason::HandedOver)
        && let Some(pod) = &heir.pod
    {
        let home: Box<str> = (&**heir.holder.namespace()).into();
        looks.insert(Look::Pod(home, (&*pod.name).into()));
    }
    looks
}

/// What the judgement of a record rests on. Kinds that may not be read are not asked for again: nothing
/// is concluded from them.
fn looks_behind(record: &Allocation, catalog: &Catalog) -> BTreeSet<Look> {
    let mut looks = BTreeSet::new();
    let home = || -> Box<str> { (&**record.holder.namespace()).into() };
    let workloads = catalog.workloads();
    match &record.holder {
        // That an object was gone is true, though there may be another by now.
        Holder::Reservation { .. } => return looks,
        Holder::Network { name, .. } => {
            looks.insert(Look::Network(home(), (&**name).into()));
            return looks;
        }
        Holder::Pod { name, .. } => {
            looks.insert(Look::Pod(home(), (&**name).into()));
        }
        Holder::Replica {
            stateful_set,
            ordinal,
            ..
        } => {
            looks.insert(Look::Pod(
                home(),
                format!("{stateful_set}-{ordinal}").into(),
            ));
            if workloads.knows_stateful_sets() {
                looks.insert(Look::StatefulSet(home(), (&**stateful_set).into()));
            }
        }
        Holder::Machine { name, .. } => {
            looks.insert(Look::PodsOf(home()));
            if workloads.knows_machines() {
                looks.insert(Look::Machine(home(), (&**name).into()));
            }
        }
        Holder::Unnamed { .. } => {
            looks.insert(Look::PodsOf(home()));
        }
    }
    if let Some(pod) = &record.pod {
        looks.insert(Look::Pod(home(), (&*pod.name).into()));
    }
    let on = record.pod.as_ref().and_then(|pod| pod.node.as_ref());
    if catalog.nodes().are_known() {
        let nodes = on.into_iter().chain(&record.former_nodes);
        looks.extend(nodes.map(|node| Look::Node((&**node).into())));
    }
    looks
}

/// What was looked at, and did not show itself: why.
pub(super) type Failed = BTreeMap<Look, String>;

/// Looks at all of these, many pods of one namespace together.
pub(super) async fn look_at(live: &dyn Live, all: &BTreeSet<Look>) -> Failed {
    let mut pods: BTreeMap<&str, usize> = BTreeMap::new();
    for look in all {
        match look {
            Look::Pod(namespace, _) => *pods.entry(namespace).or_default() += 1,
            Look::PodsOf(namespace) => *pods.entry(namespace).or_default() += TOGETHER,
            _ => {}
        }
    }
    let together = |look: &Look| match look {
        Look::Pod(namespace, _) if pods.get(&**namespace).is_some_and(|n| *n >= TOGETHER) => {
            Look::PodsOf(namespace.clone())
        }
        look => look.clone(),
    };
    let asked: BTreeSet<Look> = all.iter().map(together).collect();
    let failed: Failed = stream::iter(asked)
        .map(|look| async move {
            let looked = live.look(&look).await;
            looked.err().map(|error| (look, error))
        })
        .buffered(AT_ONCE)
        .filter_map(std::future::ready)
        .collect()
        .await;
    let of = |look: &Look| Some((look.clone(), failed.get(&together(look))?.clone()));
    all.iter().filter_map(of).collect()
}
