//! L2 segments, as far as configurations name them.

use nadmit_cni::{Network, cni::Plugin, ipam::Ipam};

/// An L2 segment. Interfaces on equal segments see each other's frames, unless the segment is in one
/// node ([`is_in_node`]).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Segment<'s> {
    /// A link that configurations name, and the device plugin resource behind it; see
    /// [`Network::shares_link`].
    Link(&'s str, Option<&'s str>),
    /// A network of OVN-Kubernetes, by the name in its configurations: that of a ClusterUserDefinedNetwork
    /// has one in each of its namespaces.
    Ovn(&'s str),
    /// A network whose link is not named: namespace and name.
    Network(&'s str, &'s str),
}

/// Plugins whose interfaces see only those of their own node, unless somebody connects the bridge.
const IN_NODE: &[&str] = &["bridge", "ptp", "dummy", "tap", "loopback"];

impl<'s> Segment<'s> {
    /// Returns the segment of a network.
    pub(crate) fn of(network: &'s Network) -> Self {
        let resource = network.resource_name.as_deref();
        let config = network.config.loaded();
        let name = config.and_then(|config| config.name.as_deref());
        if let (Some(name), Some(true)) = (name, main(network).map(|main| main.ovn.is_some())) {
            return Self::Ovn(name);
        }
        match main(network).map(|main| &*main.link) {
            Some(link) if !link.starts_with("plugin ") || resource.is_some() => {
                Self::Link(link, resource)
            }
            _ => Self::Network(&network.namespace, &network.name),
        }
    }
}

/// Returns the plugin that creates a network's interfaces.
fn main(network: &Network) -> Option<&Plugin> {
    network.config.loaded()?.main()
}

/// Returns true if interfaces of the network may see only those of their own node.
pub(crate) fn is_in_node(network: &Network) -> bool {
    main(network).is_some_and(|main| IN_NODE.contains(&main.family()))
}

/// Returns true if one allocator gives the network's addresses for all nodes, so that they are unique
/// whatever the link is.
pub(crate) fn is_cluster_wide(network: &Network) -> bool {
    let ipam = network.config.loaded().and_then(|config| config.ipam());
    network.address_pool.is_some() || matches!(ipam, Some(Ipam::Whereabouts(_)))
}

/// Returns true if all interfaces of the network have the MAC of the node's interface.
pub(crate) fn has_mac_of_node(network: &Network) -> bool {
    main(network).is_some_and(|main| main.family() == "ipvlan")
}
