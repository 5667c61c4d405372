//! Garbage collection of slices that no node uses any more.
//!
//! A slice is deleted when its node is gone, which is read live, and the index has no record in it.
//! Another replica may allocate from it at the same moment, for a pod on a new node of the same name.
//! That does no harm: the address's own record keeps two pods from having one address, and it stays;
//! the address counts as borrowed, and the node claims a slice for its next pod.

use std::collections::BTreeSet;

use super::{Inner, live_reads::refresh_all, report::ReconcileReport};
use crate::ReadTarget;
use nadmit_allocation::reconcile::{IdleReason, IdleSlice, NodeState, idle_slices};
use nadmit_catalog::{Catalog, Existence};
use nadmit_ledger::WriteError;

impl Inner {
    /// Deletes idle slices.
    pub(super) async fn collect_idle_slices(
        &self,
        catalog: &Catalog,
        report: &mut ReconcileReport,
    ) {
        let Some(slices) = &self.slices else { return };
        let found = self.idle_slices_now(catalog);
        if found.is_empty() {
            return;
        }
        let nodes: BTreeSet<ReadTarget> = found.iter().filter_map(node_target).collect();
        let failed = refresh_all(&*self.live, &nodes).await;
        for error in failed.values() {
            report.error(error.clone());
        }
        let Some(fresh) = self.catalog.load_full() else {
            return;
        };
        let still = self.idle_slices_now(&fresh).into_iter().filter(|one| {
            let target = node_target(one);
            target.is_none_or(|target| nodes.contains(&target) && !failed.contains_key(&target))
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
                        "slice deleted"
                    );
                    self.index.lock().apply_slice_delete(&name, one.version);
                    self.metrics.add("slice-released");
                }
                // The next pass decides again, once the index has received the change.
                Err(WriteError::Changed { .. } | WriteError::Exists(_)) => {}
                Err(error) => report.error(error.to_string()),
            }
        }
    }

    fn idle_slices_now(&self, catalog: &Catalog) -> Vec<IdleSlice> {
        let index = self.index.lock();
        if index.slices().next().is_none() {
            return Vec::new();
        }
        let records = index.allocations().map(|(record, _)| record);
        let state = |node: &str| match catalog.nodes().node(node) {
            Existence::Present(node) if node.ready => NodeState::Ready,
            Existence::Present(_) => NodeState::NotReady,
            Existence::Absent => NodeState::Gone,
            Existence::Unknown => NodeState::Unknown,
        };
        idle_slices(index.slices(), records, catalog.pool_config(), state)
    }
}

fn node_target(one: &IdleSlice) -> Option<ReadTarget> {
    (one.reason == IdleReason::NodeGone).then(|| ReadTarget::Node((&*one.slice.node).into()))
}
