//! The nodes that pods run on: whether a container there may still run.

use super::{
    Existence,
    shared_map::{HasName, SharedMap},
};
use crate::allocation::Timestamp;

/// What is known of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Node {
    /// Whether its kubelet answers: the condition `Ready` is `True`.
    pub ready: bool,
    /// Since when the condition is as it is, by the cluster's clock; `None` if it does not say.
    pub since: Option<Timestamp>,
    /// Whether an administrator vouches that nothing runs there any more: the taint
    /// `node.kubernetes.io/out-of-service`.
    pub out_of_service: bool,
}

/// The nodes, as far as anybody knows.
#[derive(Debug, Clone, Default)]
pub struct Nodes {
    known: bool,
    all: SharedMap<NodeEntry>,
}

#[derive(Debug, Clone)]
struct NodeEntry {
    name: Box<str>,
    node: Node,
}

impl HasName for NodeEntry {
    fn name(&self) -> &str {
        &self.name
    }
}

impl Nodes {
    /// What is known of the node of this name.
    pub fn node(&self, name: &str) -> Existence<Node> {
        match self.all.get(name) {
            Some(entry) => Existence::Present(entry.node),
            None if self.known => Existence::Absent,
            None => Existence::Unknown,
        }
    }

    /// The nodes that are known, in an order that only names decide.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Node)> {
        let all = self.all.values();
        all.map(|entry| (&*entry.name, entry.node))
    }

    /// Whether all nodes are known.
    pub fn are_known(&self) -> bool {
        self.known
    }

    /// Says whether all nodes are known; whether that is news.
    pub fn set_known(&mut self, known: bool) -> bool {
        std::mem::replace(&mut self.known, known) != known
    }

    /// Takes note of a node, or that it is gone; whether that is news.
    pub fn set(&mut self, name: &str, node: Option<Node>) -> bool {
        let before = self.all.get(name).map(|entry| entry.node);
        match node {
            _ if before == node => return false,
            Some(node) => drop(self.all.insert(NodeEntry {
                name: name.into(),
                node,
            })),
            None => drop(self.all.remove(name)),
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_gone_only_if_all_are_known() {
        let mut nodes = Nodes::default();
        assert_eq!(nodes.node("n1"), Existence::Unknown);
        assert!(nodes.set_known(true));
        assert_eq!(nodes.node("n1"), Existence::Absent);
        let node = Node {
            ready: true,
            ..Node::default()
        };
        assert!(nodes.set("n1", Some(node)) && !nodes.set("n1", Some(node)));
        assert_eq!(nodes.node("n1"), Existence::Present(node));
        assert!(nodes.set("n1", None));
        assert_eq!(nodes.node("n1"), Existence::Absent);
    }
}
