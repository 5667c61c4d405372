//! Nodes: whether containers on them may still run.

use serde::Deserialize;

use nadmit_allocation::Timestamp;
use nadmit_catalog::{Catalog, Node};

use super::known_objects::{DecodeError, KnownObjects};
use crate::{
    cluster::kinds::{ClusterKind, built_in},
    watch::progress::ObjectKey,
};

/// The nodes of the catalog.
pub(super) struct Nodes;

impl KnownObjects for Nodes {
    const KIND: &'static ClusterKind = &built_in("Node", "v1", "nodes", &[]);

    type Content = Node;

    fn decode(json: &str) -> Result<Node, DecodeError> {
        Ok(read(json)?)
    }

    fn set(catalog: &mut Catalog, (_, name): &ObjectKey, node: Option<Node>) -> bool {
        catalog.nodes_mut().set(name, node)
    }

    fn set_known(catalog: &mut Catalog, known: bool) -> bool {
        catalog.nodes_mut().set_known(known)
    }
}

/// The taint by which an administrator declares that nothing runs on the node any more (KEP-2268).
const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";

#[derive(Deserialize)]
struct NodeObject {
    #[serde(default)]
    spec: Option<Spec>,
    #[serde(default)]
    status: Option<Status>,
}

#[derive(Deserialize)]
struct Spec {
    #[serde(default)]
    taints: Option<Vec<Taint>>,
}

#[derive(Deserialize)]
struct Taint {
    #[serde(default)]
    key: Box<str>,
}

#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    conditions: Option<Vec<Condition>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Condition {
    #[serde(default, rename = "type")]
    kind: Box<str>,
    #[serde(default)]
    status: Box<str>,
    #[serde(default)]
    last_transition_time: Option<Box<str>>,
}

/// Decodes a node. A node without a Ready condition is not ready.
fn read(text: &str) -> Result<Node, serde_json::Error> {
    let slim: NodeObject = serde_json::from_str(text)?;
    let conditions = slim.status.and_then(|status| status.conditions);
    let mut conditions = conditions.into_iter().flatten();
    let ready = conditions.find(|condition| &*condition.kind == "Ready");
    let since = ready.as_ref().and_then(|ready| {
        let time: jiff::Timestamp = ready.last_transition_time.as_ref()?.parse().ok()?;
        Some(Timestamp(time.as_second()))
    });
    let taints = slim.spec.and_then(|spec| spec.taints);
    Ok(Node {
        ready: ready.is_some_and(|ready| &*ready.status == "True"),
        since,
        out_of_service: taints
            .into_iter()
            .flatten()
            .any(|taint| &*taint.key == OUT_OF_SERVICE),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_ready_by_its_condition() {
        let of = |text: &str| read(text).unwrap_or_else(|e| panic!("{e}"));
        let node = of(
            r#"{"metadata":{"name":"n1"},"spec":{"taints":[{"key":"node.kubernetes.io/out-of-service",
                "value":"nodeshutdown","effect":"NoExecute"}]},"status":{"images":[{}],"conditions":[
                {"type":"MemoryPressure","status":"False"},
                {"type":"Ready","status":"Unknown","lastTransitionTime":"2026-11-01T00:00:10Z"}]}}"#,
        );
        let expected = Node {
            ready: false,
            since: Some(Timestamp(1_793_491_210)),
            out_of_service: true,
        };
        assert_eq!(node, expected);
        let node = of(r#"{"status":{"conditions":[{"type":"Ready","status":"True"}]}}"#);
        assert!(node.ready && !node.out_of_service && node.since.is_none());
        assert_eq!(of(r#"{"status":{"conditions":null}}"#), Node::default());
    }
}
