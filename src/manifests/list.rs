//! Lists of objects: `kind: List`, as kubectl writes it, and typed ones, as the API server does.

use crate::document::Node;

use super::kinds::{KINDS, KnownKind};

/// What the elements of a list are: `None` if the object is no list that is read, `Some(None)` if
/// each element says what it is.
pub(super) fn element_kind(kind: &str, node: &Node<'_>) -> Option<Option<&'static KnownKind>> {
    if kind == "List" {
        let version = node.get("apiVersion").and_then(Node::string);
        return version
            .is_none_or(|version| version == "v1")
            .then_some(None);
    }
    let element = kind.strip_suffix("List")?;
    let known = KINDS.iter().find(|known| known.name == element)?;
    let version = node.get("apiVersion").and_then(Node::string);
    // Of another group it is somebody else's list.
    version
        .is_none_or(|version| version == known.api_version)
        .then_some(Some(known))
}
