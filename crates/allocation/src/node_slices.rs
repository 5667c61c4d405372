//! Slices of nodes that another controller keeps: the node-slice-controller of Whereabouts.
//!
//! nadmit neither claims nor frees them. A pod gets an address of its node's slice, or none: the plugin
//! on the node looks for it in the records of that slice alone.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use nadmit_cni::{IpRange, range::Subnet};

/// The slices of a pool as the object of their controller has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSlices {
    /// The name of the object.
    object: Arc<str>,
    /// The slices by node; `None` while the object does not exist.
    by_node: Option<BTreeMap<Arc<str>, Subnet>>,
    /// The number of slices, of nodes and free.
    count: usize,
}

impl NodeSlices {
    /// Returns the slices of an object that does not exist.
    pub fn missing(object: &str) -> Self {
        Self {
            object: object.into(),
            by_node: None,
            count: 0,
        }
    }

    /// Returns the slices of an object. Of two slices of a node the first counts, as for the plugin; one
    /// without a node is free.
    pub fn new<'s>(object: &str, slices: impl IntoIterator<Item = (&'s str, Subnet)>) -> Self {
        let mut by_node = BTreeMap::new();
        let mut count = 0;
        for (node, slice) in slices {
            count += 1;
            if !node.is_empty() {
                by_node.entry(node.into()).or_insert(slice);
            }
        }
        Self {
            object: object.into(),
            by_node: Some(by_node),
            count,
        }
    }

    /// Returns the name of the object.
    pub fn object(&self) -> &Arc<str> {
        &self.object
    }

    /// Returns true if the object exists.
    pub fn exist(&self) -> bool {
        self.by_node.is_some()
    }

    /// Returns the number of slices, of nodes and free.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Returns the nodes with their slices, ordered by the names of the nodes.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, Subnet)> {
        let all = self.by_node.iter().flatten();
        all.map(|(node, slice)| (node, *slice))
    }

    /// Returns the slice of a node.
    pub fn of_node(&self, node: &str) -> Option<Subnet> {
        self.by_node.as_ref()?.get(node).copied()
    }

    /// Returns the addresses of a node's slice that the plugin assigns: neither the first nor the last.
    pub(super) fn assignable_of(&self, node: &str) -> Option<IpRange> {
        self.of_node(node)?.hosts()
    }

    /// Returns the node whose slice contains an address.
    pub fn owner(&self, address: IpAddr) -> Option<&Arc<str>> {
        let mut all = self.iter();
        let found = all.find(|(_, slice)| slice.range().contains(address));
        found.map(|(node, _)| node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        Subnet::parse(text).unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn a_node_has_the_first_slice_with_its_name() {
        let slices = NodeSlices::new(
            "net",
            [
                ("", subnet("10.5.0.0/30")),
                ("a", subnet("10.5.0.4/30")),
                ("b", subnet("10.5.0.8/31")),
                ("a", subnet("10.5.0.12/30")),
            ],
        );
        assert_eq!(slices.of_node("a"), Some(subnet("10.5.0.4/30")));
        assert_eq!(slices.of_node(""), None);
        assert_eq!((slices.count(), slices.iter().count()), (4, 2));
        let assignable = slices.assignable_of("a").map(|range| range.to_string());
        assert_eq!(assignable.as_deref(), Some("10.5.0.5-10.5.0.6"));
        assert_eq!(slices.assignable_of("b"), None);
        for (address, owner) in [
            ("10.5.0.7", Some("a")),
            ("10.5.0.1", None),
            ("10.5.0.13", None),
        ] {
            let address = address.parse().unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(slices.owner(address).map(|node| &**node), owner);
        }
        assert!(slices.exist() && !NodeSlices::missing("net").exist());
    }
}
