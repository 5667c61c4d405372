//! Slices that nobody draws from any more are deleted.
//!
//! A slice goes when its node is gone, which is looked at live, and nothing is recorded in it as far as
//! the index knows. Another replica may give an address of it at that moment, to a pod that is bound
//! to a node of the same name, which has just come. That does no harm: what keeps two pods from having
//! one address is the address's own record, which stays; the address counts as lent, and the node
//! claims a slice when its next pod comes.

use std::collections::BTreeSet;

use super::{Inner, live_reads::look_at, report::ReconcileReport};
use crate::{
    allocation::reconcile::{Idle, IdleSlice, NodeState, idle_slices},
    catalog::{Catalog, Existence},
    controllers::ReadTarget,
    ledger::WriteError,
};

impl Inner {
    /// Deletes idle slices.
    pub(super) async fn release_slices(&self, catalog: &Catalog, report: &mut ReconcileReport) {
        let Some(slices) = &self.slices else { return };
        let found = self.idle(catalog);
        if found.is_empty() {
            return;
        }
        let nodes: BTreeSet<ReadTarget> = found.iter().filter_map(look).collect();
        let failed = look_at(&*self.live, &nodes).await;
        for error in failed.values() {
            report.error(error.clone());
        }
        let Some(fresh) = self.catalog.load_full() else {
            return;
        };
        let still = self.idle(&fresh).into_iter().filter(|one| {
            let look = look(one);
            look.is_none_or(|look| nodes.contains(&look) && !failed.contains_key(&look))
        });
        for one in still.collect::<Vec<_>>() {
            let outcome = slices.release(&one.slice, one.version).await;
            report.count("slice-released", outcome.is_ok());
            match outcome {
                Ok(()) => {
                    let name = one.slice.record_name();
                    tracing::info!(
                        slice = name,
                        node = &*one.slice.node,
                        reason = one.reason.name(),
                        "a slice is free"
                    );
                    self.index.lock().forget_slice(&name, one.version);
                    self.metrics.add("slice-released");
                }
                // It is judged anew when the index has heard of it.
                Err(WriteError::Changed { .. } | WriteError::Exists(_)) => {}
                Err(error) => report.error(error.to_string()),
            }
        }
    }

    fn idle(&self, catalog: &Catalog) -> Vec<IdleSlice> {
        let index = self.index.lock();
        if index.slices().next().is_none() {
            return Vec::new();
        }
        let records = index.known().map(|(record, _)| record);
        let state = |node: &str| match catalog.nodes().node(node) {
            Existence::Present(node) if node.ready => NodeState::Ready,
            Existence::Present(_) => NodeState::NotReady,
            Existence::Absent => NodeState::Gone,
            Existence::Unknown => NodeState::Unknown,
        };
        idle_slices(index.slices(), records, catalog.layout(), state)
    }
}

fn look(one: &IdleSlice) -> Option<ReadTarget> {
    (one.reason == Idle::NodeGone).then(|| ReadTarget::Node((&*one.slice.node).into()))
}
