//! The slices that can be deleted, because no node uses them any more.

use nadmit_allocation::{
    Index,
    reconcile::{IdleReason, IdleSlice, NodeState, idle_slices as idle_slices_of},
};
use nadmit_catalog::{Catalog, Existence, LiveRead};

/// Returns the slices whose nodes are gone, or which do not match their pools, and in which the index
/// has no record.
pub fn idle_slices(index: &Index, catalog: &Catalog) -> Vec<IdleSlice> {
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
    idle_slices_of(index.slices(), records, catalog.pool_config(), state)
}

/// Returns the live read that the deletion of a slice depends on, if any.
pub fn slice_dependency(idle: &IdleSlice) -> Option<LiveRead> {
    (idle.reason == IdleReason::NodeGone).then(|| LiveRead::node(&*idle.slice.node))
}
