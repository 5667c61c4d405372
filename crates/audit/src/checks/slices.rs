//! `exhausted-slice` and `slice-of-missing-node`: the slices of Whereabouts's `NodeSlicePool`s.

use std::collections::BTreeSet;

use crate::{
    AuditCode, AuditFinding, AuditLevel, NodeSlicePool, ObjectRef, RecordKind, fix, view::View,
};

pub(crate) fn check(view: &View<'_>, findings: &mut Vec<AuditFinding>) {
    for pool in &view.snapshot.slice_pools {
        let object = ObjectRef::new(RecordKind::NodeSlicePool, &pool.namespace, &pool.name);
        if view.snapshot.is_complete(RecordKind::Node) {
            findings.extend(missing_nodes(view, pool, &object));
        }
        findings.extend(exhausted(view, pool, &object));
    }
}

fn missing_nodes(view: &View<'_>, pool: &NodeSlicePool, object: &ObjectRef) -> Vec<AuditFinding> {
    let taken = pool.slices.iter().enumerate();
    let taken = taken.filter(|(_, slice)| !slice.node.is_empty());
    let lost = taken.filter(|(_, slice)| !view.snapshot.nodes.contains(&slice.node));
    let finding = |(index, slice): (usize, &crate::NodeSlice)| {
        let (range, node) = (&slice.range, &slice.node);
        let message =
            format!("slice {range} of {object} belongs to node {node}, which does not exist");
        let path = format!("/status/allocations/{index}/nodeName");
        let operations = [fix::test(&path, &**node), fix::replace(&path, "")];
        AuditFinding::new(AuditCode::SliceOfMissingNode, message)
            .with(
                object.clone(),
                format!("status.allocations[{index}] is {range} of node {node}"),
            )
            .with(ObjectRef::new(RecordKind::Node, "", node), "does not exist")
            .command(fix::patch(object, &operations))
    };
    lost.map(finding).collect()
}

/// Returns the finding about a pool without a free slice: a new node gets none, and nothing says so.
fn exhausted(view: &View<'_>, pool: &NodeSlicePool, object: &ObjectRef) -> Option<AuditFinding> {
    let taken: BTreeSet<&str> = pool.slices.iter().map(|slice| &*slice.node).collect();
    if pool.slices.is_empty() || taken.contains("") {
        return None;
    }
    let count = pool.slices.len();
    let nodes = view.snapshot.nodes.iter();
    let without: Vec<&str> = nodes
        .map(|node| &**node)
        .filter(|node| !taken.contains(node))
        .collect();
    let message = match without.as_slice() {
        [] => format!("{object} has no free slice, so a new node gets no addresses"),
        nodes => format!("{object} has no free slice for node {}", nodes.join(", ")),
    };
    let mut finding = AuditFinding::new(AuditCode::ExhaustedSlice, message).with(
        object.clone(),
        format!("status.allocations has {count} slices, each with a node"),
    );
    for node in without {
        finding.level = AuditLevel::Deny;
        finding = finding.with(ObjectRef::new(RecordKind::Node, "", node), "has no slice");
    }
    Some(
        finding
            .help("write a wider range or a longer node_slice_size into the networks of the pool"),
    )
}
