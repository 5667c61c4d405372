//! A network of OVN-Kubernetes, reduced to the options that must agree in two configurations of the
//! same name (OVN-Kubernetes, `AreNetworksCompatible`).

use std::collections::BTreeSet;

use super::{
    json::{JsonMember, JsonNode, find},
    range::Subnet,
};

/// The plugin's name.
pub const PLUGIN: &str = "ovn-k8s-cni-overlay";

/// The topology of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topology {
    /// One switch for all nodes.
    Layer2,
    /// A subnet for each node, with routes between them.
    Layer3,
    /// A switch on a physical network.
    Localnet,
}

impl Topology {
    /// Parses the value in a configuration.
    pub fn read(text: &str) -> Option<Self> {
        Some(match text {
            "layer2" => Self::Layer2,
            "layer3" => Self::Layer3,
            "localnet" => Self::Localnet,
            _ => return None,
        })
    }
}

/// A network of OVN-Kubernetes, with the values that it compares.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OvnNetwork {
    pub topology: Topology,
    /// True if it is the primary network of its namespaces.
    pub primary: bool,
    /// True if addresses outlive pods (`allowPersistentIPs`).
    pub persistent: bool,
    /// True if it has subnets, from which OVN-Kubernetes assigns addresses.
    pub has_subnets: bool,
    /// `mtu`; if absent, the cluster's.
    mtu: Option<i64>,
    vlan: i64,
    /// The valid subnets; another rule reports the others.
    subnets: Subnets,
    excludes: Subnets,
    joins: Subnets,
    transits: Subnets,
    /// The values of [`TEXT_OPTIONS`].
    texts: [Option<Box<str>>; TEXT_OPTIONS.len()],
}

/// Subnets without their host bits, independent of their order.
type Subnets = BTreeSet<Box<str>>;

/// The options that are compared as texts.
const TEXT_OPTIONS: [&str; 4] = ["physicalNetworkName", "transport", "outboundSNAT", "uplink"];
/// The default join subnets: each applies if the configuration has none of its address family.
pub const JOIN_SUBNETS: [&str; 2] = ["100.65.0.0/16", "fd99::/64"];

/// An option in which two configurations of a network differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OvnDifference {
    /// The option's key.
    pub key: &'static str,
    /// True if it depends on the cluster's settings whether the values differ.
    pub depends_on_cluster: bool,
}

impl OvnNetwork {
    /// Reads a plugin's options; `None` for another plugin or an unknown topology.
    pub(super) fn read(kind: &str, members: &[JsonMember<'_>]) -> Option<Self> {
        if kind != PLUGIN {
            return None;
        }
        let topology = Topology::read(&text_option(members, "topology")?)?;
        let is = |key| find(members, key).and_then(|m| m.value.boolean()) == Some(true);
        let number = |key| find(members, key).and_then(|m| m.value.integer());
        let l2 = topology == Topology::Layer2;
        let l3 = topology == Topology::Layer3;
        let localnet = topology == Topology::Localnet;
        let list = |key| {
            text_option(members, key)
                .map(|text| subnets(&text, l3))
                .unwrap_or_default()
        };
        let primary = !localnet && text_option(members, "role").as_deref() == Some("primary");
        // Options that the topology ignores are not compared.
        let texts = TEXT_OPTIONS.map(|key| {
            let read = match key {
                "physicalNetworkName" => localnet,
                "outboundSNAT" => l3,
                "transport" => !localnet,
                _ => true,
            };
            text_option(members, key).filter(|_| read)
        });
        Some(Self {
            topology,
            primary,
            persistent: !l3 && is("allowPersistentIPs"),
            has_subnets: text_option(members, "subnets").is_some(),
            mtu: number("mtu"),
            vlan: number("vlanID").filter(|_| localnet).unwrap_or_default(),
            subnets: list("subnets"),
            excludes: if l3 {
                Subnets::new()
            } else {
                list("excludeSubnets")
            },
            joins: if localnet {
                Subnets::new()
            } else {
                joins(list("joinSubnet"))
            },
            transits: if l2 && primary {
                list("transitSubnet")
            } else {
                Subnets::new()
            },
            texts,
        })
    }

    /// Returns true if OVN-Kubernetes itself assigns the addresses.
    pub fn assigns_addresses(&self) -> bool {
        self.topology == Topology::Layer3 || self.has_subnets
    }

    /// Returns the options for which OVN-Kubernetes finds the two incompatible, the most obvious
    /// first.
    pub fn differences(&self, other: &Self) -> Vec<OvnDifference> {
        let mut found = Vec::new();
        let mut compare = |key, differs: bool, perhaps: bool| {
            if differs {
                found.push(OvnDifference {
                    key,
                    depends_on_cluster: perhaps,
                });
            }
        };
        compare("topology", self.topology != other.topology, false);
        compare("role", self.primary != other.primary, false);
        // Layer 3 networks may get additional subnets.
        let subnets = self.topology != Topology::Layer3 && self.subnets != other.subnets;
        compare("subnets", subnets, false);
        compare("excludeSubnets", self.excludes != other.excludes, false);
        compare("joinSubnet", self.joins != other.joins, false);
        compare("vlanID", self.vlan != other.vlan, false);
        compare(
            "allowPersistentIPs",
            self.persistent != other.persistent,
            false,
        );
        for (key, [own, theirs]) in TEXT_OPTIONS
            .into_iter()
            .zip(pairs(&self.texts, &other.texts))
        {
            compare(key, own != theirs, false);
        }
        // If absent, the cluster's MTU applies.
        let perhaps = self.mtu.is_none() || other.mtu.is_none();
        compare("mtu", self.mtu != other.mtu, perhaps);
        // If absent, OVN-Kubernetes chooses one.
        let perhaps = self.transits.is_empty() || other.transits.is_empty();
        compare("transitSubnet", self.transits != other.transits, perhaps);
        found
    }
}

fn pairs<'w>(
    own: &'w [Option<Box<str>>],
    theirs: &'w [Option<Box<str>>],
) -> impl Iterator<Item = [&'w Option<Box<str>>; 2]> {
    own.iter().zip(theirs).map(|(own, theirs)| [own, theirs])
}

/// Adds the default join subnet of each family that has none.
fn joins(subnets: Subnets) -> Subnets {
    let mut joins = subnets;
    for default in JOIN_SUBNETS {
        #[allow(clippy::borrowed_box)] // The type that the iterator has.
        let same = |text: &&Box<str>| text.contains(':') == default.contains(':');
        if joins.iter().all(|text| !same(&text)) {
            joins.insert(default.into());
        }
    }
    joins
}

/// Parses a list of subnets; with `by_node`, each may be followed by the prefix length of a node's
/// subnet.
fn subnets(list: &str, by_node: bool) -> Subnets {
    let one = |text: &str| {
        let text = text.trim();
        let (subnet, part) = match text.rsplit_once('/') {
            Some((subnet, part)) if by_node && subnet.contains('/') => (subnet, Some(part)),
            _ => (text, None),
        };
        let subnet = Subnet::parse(subnet).ok()?.to_string();
        Some(match part {
            Some(part) => format!("{subnet}/{part}").into(),
            None => subnet.into(),
        })
    };
    list.split(',').filter_map(one).collect()
}

fn text_option(members: &[JsonMember<'_>], key: &str) -> Option<Box<str>> {
    let text = find(members, key)
        .map(|member| member.value)
        .and_then(JsonNode::string)?;
    (!text.trim().is_empty()).then(|| text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(options: &str) -> OvnNetwork {
        let text = format!("{{{options}}}");
        let members = JsonNode::document(&text).ok().and_then(JsonNode::members);
        OvnNetwork::read(PLUGIN, &members.unwrap_or_default()).unwrap_or_else(|| panic!("{text}"))
    }

    fn differ(one: &str, other: &str) -> Vec<&'static str> {
        let found = network(one).differences(&network(other));
        found.into_iter().map(|difference| difference.key).collect()
    }

    #[test]
    fn one_network_in_two_configurations() {
        const L2: &str = r#""topology": "layer2", "subnets": "10.0.0.0/24, fd00::/64""#;
        let same = [
            (
                L2,
                r#""subnets": "fd00:0::/64,10.0.0.9/24", "TOPOLOGY": "layer2""#,
            ),
            (
                L2,
                r#""topology": "layer2", "subnets": "10.0.0.0/24,fd00::/64", "netAttachDefName": "a/b", "logLevel": "5""#,
            ),
            (
                L2,
                r#""topology": "layer2", "subnets": "10.0.0.0/24,fd00::/64", "joinSubnet": "100.65.0.0/16", "role": "secondary", "vlanID": 5"#,
            ),
            (
                r#""topology": "layer3", "subnets": "10.128.0.0/16/24""#,
                r#""topology": "layer3", "subnets": "10.128.0.0/16/24,10.129.0.0/16/24""#,
            ),
        ];
        for (one, other) in same {
            assert_eq!(differ(one, other), [""; 0], "{other}");
        }
        for (one, other, keys) in [
            (
                L2,
                r#""topology": "layer3", "subnets": "10.0.0.0/24, fd00::/64""#,
                &["topology"][..],
            ),
            (
                L2,
                r#""topology": "layer2", "subnets": "10.0.1.0/24, fd00::/64""#,
                &["subnets"],
            ),
            (
                L2,
                r#""topology": "layer2", "subnets": "10.0.0.0/24, fd00::/64", "role": "primary", "mtu": 1300"#,
                &["role", "mtu"],
            ),
            (
                L2,
                r#""topology": "layer2", "subnets": "10.0.0.0/24, fd00::/64", "excludeSubnets": "10.0.0.0/30""#,
                &["excludeSubnets"],
            ),
            (
                r#""topology": "localnet", "vlanID": 5"#,
                r#""topology": "localnet", "vlanID": 6, "physicalNetworkName": "p""#,
                &["vlanID", "physicalNetworkName"],
            ),
        ] {
            assert_eq!(differ(one, other), keys, "{other}");
        }
    }

    #[test]
    fn an_absent_mtu_may_be_equal() {
        let differences = network(r#""topology": "layer2""#)
            .differences(&network(r#""topology": "layer2", "mtu": 1400"#));
        assert_eq!(
            differences,
            [OvnDifference {
                key: "mtu",
                depends_on_cluster: true
            }]
        );
    }
}
