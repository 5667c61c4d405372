//! The network that OVN-Kubernetes makes of a configuration, as far as two configurations of one name
//! have to agree (OVN-Kubernetes, `AreNetworksCompatible`).

use std::collections::BTreeSet;

use super::{
    json::{Member, Node, find},
    range::Subnet,
};

/// The plugin's name.
pub const PLUGIN: &str = "ovn-k8s-cni-overlay";

/// What a network is: its topology.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topology {
    /// One switch for all nodes.
    Layer2,
    /// A subnet for each node, with routes between them.
    Layer3,
    /// A switch on a physical network.
    Localnet,
}

impl Topology {
    /// Reads the word of a configuration.
    pub fn read(word: &str) -> Option<Self> {
        Some(match word {
            "layer2" => Self::Layer2,
            "layer3" => Self::Layer3,
            "localnet" => Self::Localnet,
            _ => return None,
        })
    }
}

/// One network of OVN-Kubernetes, in the values that it compares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OvnNetwork {
    /// Its topology.
    pub topology: Topology,
    /// Whether it is its namespaces' primary network.
    pub primary: bool,
    /// Whether addresses outlive pods (`allowPersistentIPs`).
    pub persistent: bool,
    /// Whether it has subnets, from which OVN-Kubernetes gives addresses.
    pub has_subnets: bool,
    /// `mtu`; absent it is the cluster's.
    mtu: Option<i64>,
    vlan: i64,
    /// Subnets of a list that does not parse are none: another rule speaks of them.
    subnets: Subnets,
    excludes: Subnets,
    joins: Subnets,
    transits: Subnets,
    /// Texts that are compared as they are, by their keys.
    words: [Option<Box<str>>; WORDS.len()],
}

/// Subnets without their host bits, in no order that counts.
type Subnets = BTreeSet<Box<str>>;

/// Options that are compared as texts.
const WORDS: [&str; 4] = ["physicalNetworkName", "transport", "outboundSNAT", "uplink"];
/// The join subnets that a network has where its configuration names none of a family.
pub const JOIN_SUBNETS: [&str; 2] = ["100.65.0.0/16", "fd99::/64"];

/// An option in which two configurations of one network differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Difference {
    /// Its key.
    pub key: &'static str,
    /// Whether only the cluster's settings say if it is one.
    pub perhaps: bool,
}

impl OvnNetwork {
    /// Reads a plugin's options; `None` of another plugin, and where the topology is none that is known.
    pub(super) fn read(kind: &str, members: &[Member<'_>]) -> Option<Self> {
        if kind != PLUGIN {
            return None;
        }
        let topology = Topology::read(&word(members, "topology")?)?;
        let is = |key| find(members, key).and_then(|m| m.value.boolean()) == Some(true);
        let number = |key| find(members, key).and_then(|m| m.value.integer());
        let l2 = topology == Topology::Layer2;
        let l3 = topology == Topology::Layer3;
        let localnet = topology == Topology::Localnet;
        let list = |key| {
            word(members, key)
                .map(|text| subnets(&text, l3))
                .unwrap_or_default()
        };
        let primary = !localnet && word(members, "role").as_deref() == Some("primary");
        // What a topology does not read is not compared.
        let words = WORDS.map(|key| {
            let read = match key {
                "physicalNetworkName" => localnet,
                "outboundSNAT" => l3,
                "transport" => !localnet,
                _ => true,
            };
            word(members, key).filter(|_| read)
        });
        Some(Self {
            topology,
            primary,
            persistent: !l3 && is("allowPersistentIPs"),
            has_subnets: word(members, "subnets").is_some(),
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
            words,
        })
    }

    /// Whether OVN-Kubernetes itself gives its addresses.
    pub fn gives_addresses(&self) -> bool {
        self.topology == Topology::Layer3 || self.has_subnets
    }

    /// The options in which OVN-Kubernetes would find the two incompatible, from the plainest.
    pub fn differences(&self, other: &Self) -> Vec<Difference> {
        let mut found = Vec::new();
        let mut compare = |key, differs: bool, perhaps: bool| {
            if differs {
                found.push(Difference { key, perhaps });
            }
        };
        compare("topology", self.topology != other.topology, false);
        compare("role", self.primary != other.primary, false);
        // Subnets may be added to networks of layer 3.
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
        for (key, [own, theirs]) in WORDS.into_iter().zip(pairs(&self.words, &other.words)) {
            compare(key, own != theirs, false);
        }
        // Absent, it is the cluster's MTU.
        let perhaps = self.mtu.is_none() || other.mtu.is_none();
        compare("mtu", self.mtu != other.mtu, perhaps);
        // Absent, OVN-Kubernetes chooses one.
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

/// Of each family the default counts where none is given.
fn joins(given: Subnets) -> Subnets {
    let mut joins = given;
    for default in JOIN_SUBNETS {
        #[allow(clippy::borrowed_box)] // The type that the iterator has.
        let same = |text: &&Box<str>| text.contains(':') == default.contains(':');
        if joins.iter().all(|text| !same(&text)) {
            joins.insert(default.into());
        }
    }
    joins
}

/// The subnets of a list, each with the size of a node's part where that may stand behind it.
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

fn word(members: &[Member<'_>], key: &str) -> Option<Box<str>> {
    let text = find(members, key)
        .map(|member| member.value)
        .and_then(Node::string)?;
    (!text.trim().is_empty()).then(|| text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(options: &str) -> OvnNetwork {
        let text = format!("{{{options}}}");
        let members = Node::document(&text).ok().and_then(Node::members);
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
    fn an_mtu_that_is_not_given_may_be_the_same() {
        let differences = network(r#""topology": "layer2""#)
            .differences(&network(r#""topology": "layer2", "mtu": 1400"#));
        assert_eq!(
            differences,
            [Difference {
                key: "mtu",
                perhaps: true
            }]
        );
    }
}
