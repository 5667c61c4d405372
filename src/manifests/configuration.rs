//! CNI configurations that stand alone, as files on nodes have them.

use crate::document::Node;

use super::{Located, Manifest};

/// A document that is no object of Kubernetes, but a CNI configuration in JSON.
pub(super) fn read(node: &Node<'_>, text: &str) -> Option<Manifest> {
    let has = |name| node.get(name).is_some();
    let is_one = has("cniVersion") && (has("type") || has("plugins")) && !has("kind");
    let (start, end) = (node.place.span.start as usize, node.place.span.end as usize);
    let json = text.get(start..end).filter(|json| json.starts_with('{'));
    json.filter(|_| is_one).map(|json| {
        Manifest::Configuration(Located {
            value: json.into(),
            place: node.place,
        })
    })
}
