//! Lists of objects: `kind: List`, as kubectl writes it, and typed lists, as the API server returns
//! them.

use nadmit_cni::document::DocumentNode;

use super::kinds::{KINDS, KnownKind};

/// Returns the kind of the elements of a list: `None` if the object is not a list or its elements
/// are not read, `Some(None)` if each element has its own kind.
pub(super) fn element_kind(
    kind: &str,
    node: &DocumentNode<'_>,
) -> Option<Option<&'static KnownKind>> {
    if kind == "List" {
        let version = node.get("apiVersion").and_then(DocumentNode::string);
        return version
            .is_none_or(|version| version == "v1")
            .then_some(None);
    }
    let element = kind.strip_suffix("List")?;
    let known = KINDS.iter().find(|known| known.name == element)?;
    let version = node.get("apiVersion").and_then(DocumentNode::string);
    // A list of another group is ignored.
    version
        .is_none_or(|version| version == known.api_version)
        .then_some(Some(known))
}
