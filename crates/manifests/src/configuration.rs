//! CNI configurations outside of Kubernetes objects, as in files on nodes.

use nadmit_cni::document::DocumentNode;

use super::{Located, Manifest};

/// Reads a document that is a CNI configuration in JSON; `None` for other documents.
pub(super) fn read(node: &DocumentNode<'_>, text: &str) -> Option<Manifest> {
    let has = |name| node.get(name).is_some();
    let is_one = has("cniVersion") && (has("type") || has("plugins")) && !has("kind");
    let (start, end) = (
        node.location.span.start as usize,
        node.location.span.end as usize,
    );
    let json = text.get(start..end).filter(|json| json.starts_with('{'));
    json.filter(|_| is_one).map(|json| {
        Manifest::Configuration(Located {
            value: json.into(),
            location: node.location,
        })
    })
}
