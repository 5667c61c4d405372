//! The nodes that pods run on: their state decides whether a container may still run there.

use super::{
    Existence,
    shared_map::{HasName, SharedMap},
};
use nadmit_allocation::Timestamp;

/// The relevant state of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Node {
    /// Set if the condition `Ready` is `True`: the kubelet responds.
    pub ready: bool,
    /// The time of the condition's last transition, by the cluster's clock; `None` if it is absent.
    pub since: Option<Timestamp>,
    /// Set if an administrator has confirmed that nothing runs there any more, by the taint
    /// `node.kubernetes.io/out-of-service`.
    pub out_of_service: bool,
}

/// The known nodes.
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
    /// Returns the node of this name.
    pub fn node(&self, name: &str) -> Existence<Node> {
        match self.all.get(name) {
            Some(entry) => Existence::Present(entry.node),
            None if self.known => Existence::Absent,
            None => Existence::Unknown,
        }
    }

    /// Returns the known nodes, in an order that depends only on names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Node)> {
        let all = self.all.values();
        all.map(|entry| (&*entry.name, entry.node))
    }

    /// Returns true if all nodes are known.
    pub fn are_known(&self) -> bool {
        self.known
    }

    /// Sets whether all nodes are known; returns true if that changes.
    pub fn set_known(&mut self, known: bool) -> bool {
        std::mem::replace(&mut self.known, known) != known
    }

    /// Adds, replaces or, with `None`, removes a node; returns true if that changes anything.
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
    fn a_node_is_absent_only_if_all_are_known() {
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
