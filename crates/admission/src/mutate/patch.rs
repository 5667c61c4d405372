//! The changes to an object's annotations, as a JSON patch.

use json_patch::{AddOperation, Patch, PatchOperation, RemoveOperation, jsonptr::PointerBuf};
use serde_json::{Map, Value};

use super::desired::DesiredAnnotations;
use crate::object::ReviewAnnotations;
use nadmit_cni::annotations;

/// Returns the patch that turns the current annotations into the desired ones; empty if they are
/// equal.
pub(crate) fn patch(current: &ReviewAnnotations<'_>, desired: &DesiredAnnotations) -> Patch {
    let mut operations = Vec::new();
    let multus = [
        (annotations::NETWORKS, &desired.networks),
        (annotations::DEFAULT_NETWORK, &desired.default_network),
    ];
    for (key, now) in multus {
        operations.extend(now.as_ref().map(|text| add(key, text)));
    }
    let own = [
        (
            annotations::REQUESTED_NETWORKS,
            &current.requested_networks,
            &desired.requested_networks,
        ),
        (
            annotations::REQUESTED_DEFAULT_NETWORK,
            &current.requested_default_network,
            &desired.requested_default_network,
        ),
        (
            annotations::HOLDER_TOKEN,
            &current.holder_token,
            &desired.token,
        ),
    ];
    for (key, before, now) in own {
        match (before, now) {
            (Some(before), Some(now)) if **before == **now => {}
            (_, Some(now)) => operations.push(add(key, now)),
            (Some(_), None) => operations.push(PatchOperation::Remove(RemoveOperation {
                path: pointer(key),
            })),
            (None, None) => {}
        }
    }
    if current.present {
        return Patch(operations);
    }
    // There is no parent to add to: it is added with all its members.
    let all: Map<String, Value> = operations
        .into_iter()
        .filter_map(|operation| match operation {
            PatchOperation::Add(add) => Some((add.path.last()?.decoded().into_owned(), add.value)),
            _ => None,
        })
        .collect();
    if all.is_empty() {
        return Patch::default();
    }
    Patch(vec![PatchOperation::Add(AddOperation {
        path: PointerBuf::from_tokens(["metadata", "annotations"]),
        value: Value::Object(all),
    })])
}

/// Returns the total size of the annotations after the patch, in bytes.
pub(crate) fn annotation_bytes(
    current: &ReviewAnnotations<'_>,
    desired: &DesiredAnnotations,
) -> usize {
    let all = [
        (annotations::NETWORKS, &current.networks, &desired.networks),
        (
            annotations::DEFAULT_NETWORK,
            &current.default_network,
            &desired.default_network,
        ),
        (
            annotations::REQUESTED_NETWORKS,
            &current.requested_networks,
            &desired.requested_networks,
        ),
        (
            annotations::REQUESTED_DEFAULT_NETWORK,
            &current.requested_default_network,
            &desired.requested_default_network,
        ),
        (
            annotations::HOLDER_TOKEN,
            &current.holder_token,
            &desired.token,
        ),
    ];
    let mut size = current.size.0;
    for (key, before, now) in all {
        let Some(now) = now else { continue };
        let before = before.as_ref().map(|before| key.len() + before.len());
        size = (size + key.len() + now.len()).saturating_sub(before.unwrap_or(0));
    }
    size
}

/// Returns an `add` operation, which replaces an existing value.
fn add(key: &str, text: &str) -> PatchOperation {
    PatchOperation::Add(AddOperation {
        path: pointer(key),
        value: Value::from(text),
    })
}

fn pointer(key: &str) -> PointerBuf {
    PointerBuf::from_tokens(["metadata", "annotations", key])
}
