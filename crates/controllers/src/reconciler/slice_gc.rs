//! Garbage collection of slices that no node uses any more.
//!
//! A slice is deleted when its node is gone, which is read live, and the index has no record in it.
//! Another replica may allocate from it at the same moment, for a pod on a new node of the same name.
//! This is harmless: the address's own record, which stays, keeps two pods from having one address. The
//! address counts as borrowed, and the node claims a slice for its next pod.

use std::collections::BTreeSet;

use super::{Inner, ReconcileError, ReconcileReport, verify::refresh_all};
use nadmit_catalog::{Catalog, LiveRead};
use nadmit_ledger::WriteError;
use nadmit_reconcile::{idle_slices, slice_dependency};

impl Inner {
    /// Deletes idle slices.
    pub(super) async fn collect_idle_slices(
        &self,
        catalog: &Catalog,
        report: &mut ReconcileReport,
    ) {
        let Some(slices) = &self.slices else { return };
        let found = idle_slices(&self.index.lock(), catalog);
        if found.is_empty() {
            return;
        }
        let nodes: BTreeSet<LiveRead> = found.iter().filter_map(slice_dependency).collect();
        let failed = refresh_all(&*self.live, &nodes).await;
        for (read, source) in failed.clone() {
            report.error(ReconcileError::LiveRead { read, source });
        }
        let Some(fresh) = self.catalog.load_full() else {
            return;
        };
        let still = idle_slices(&self.index.lock(), &fresh);
        let still = still.into_iter().filter(|one| {
            let node = slice_dependency(one);
            node.is_none_or(|node| nodes.contains(&node) && !failed.contains_key(&node))
        });
        for one in still {
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
                Err(error) => report.error(ReconcileError::SliceRelease(error)),
            }
        }
    }
}
