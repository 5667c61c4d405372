//! The IPAM section of a CNI configuration: which plugin gives the addresses, and from what.
//!
//! Each plugin's own words are kept as written; their deep checks are rules.

use super::json::{Member, Node, find};

/// The name of the Deployment of Whereabouts's controller, upstream and on OpenShift: it cuts ranges
/// into slices.
pub const SLICE_CONTROLLER: &str = "whereabouts-controller";

/// The `ipam` object of a plugin, by its `type`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ipam {
    /// Addresses written down beforehand or requested by the pod.
    Static(StaticIpam),
    /// Addresses from a DHCP server outside of the cluster, through a daemon on each node.
    Dhcp(DhcpIpam),
    /// Addresses from a range, counted on each node for itself.
    HostLocal(HostLocalIpam),
    /// Addresses from a range, counted for the whole cluster.
    Whereabouts(WhereaboutsIpam),
    /// A plugin that nadmit does not know.
    Other(Box<str>),
}

/// `static`: addresses, routes and DNS as written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StaticIpam {
    /// The configured addresses.
    pub addresses: Box<[ConfiguredAddress]>,
}

/// One configured address of `static` or `whereabouts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfiguredAddress {
    /// The address with its prefix, as written.
    pub address: Box<str>,
    /// The gateway, as written.
    pub gateway: Option<Box<str>>,
}

/// `dhcp`: where its daemon listens.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DhcpIpam {
    /// The socket of the daemon on the node; the plugin's own default if absent.
    pub daemon_socket_path: Option<Box<str>>,
}

/// `host-local`: sets of ranges, one address of each set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostLocalIpam {
    /// The sets, the older top-level `subnet` counted as one.
    pub sets: Box<[Box<[HostLocalRange]>]>,
}

/// One range of `host-local`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostLocalRange {
    /// The subnet in CIDR notation, as written.
    pub subnet: Box<str>,
    /// First address to give.
    pub range_start: Option<Box<str>>,
    /// Last address to give.
    pub range_end: Option<Box<str>>,
    /// The gateway.
    pub gateway: Option<Box<str>>,
}

/// `whereabouts`: ranges, one address of each.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WhereaboutsIpam {
    /// The ranges; a top-level `range` is the first.
    pub ranges: Box<[WhereaboutsRange]>,
    /// Configured addresses, given beside those of the ranges.
    pub addresses: Box<[ConfiguredAddress]>,
    /// The name under which addresses are unique.
    pub network_name: Option<Box<str>>,
    /// The gateway.
    pub gateway: Option<Box<str>>,
    /// The size of a node's slice, as written (`/28`).
    pub node_slice_size: Option<Box<str>>,
    /// Whether an address is unique across all ranges of one `network_name`.
    pub overlapping_ranges: bool,
}

/// One range of `whereabouts`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WhereaboutsRange {
    /// CIDR, or `first-last/prefix`, as written.
    pub range: Box<str>,
    /// First address to give.
    pub range_start: Option<Box<str>>,
    /// Last address to give.
    pub range_end: Option<Box<str>>,
    /// CIDRs and addresses never to give.
    pub exclude: Box<[Box<str>]>,
}

impl Ipam {
    /// Reads the `ipam` object. `None` if it has no `type`: then the plugin gives no address.
    pub fn read(members: &[Member<'_>]) -> Option<Self> {
        let kind = text(members, "type").filter(|kind| !kind.is_empty())?;
        Some(match &*kind {
            "static" => Self::Static(StaticIpam {
                addresses: addresses(members),
            }),
            "dhcp" => Self::Dhcp(DhcpIpam {
                daemon_socket_path: text(members, "daemonSocketPath"),
            }),
            "host-local" => Self::HostLocal(HostLocalIpam {
                sets: host_local_sets(members),
            }),
            "whereabouts" => Self::Whereabouts(whereabouts(members)),
            _ => Self::Other(kind),
        })
    }

    /// The plugin's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Static(_) => "static",
            Self::Dhcp(_) => "dhcp",
            Self::HostLocal(_) => "host-local",
            Self::Whereabouts(_) => "whereabouts",
            Self::Other(name) => name,
        }
    }
}

fn text(members: &[Member<'_>], name: &str) -> Option<Box<str>> {
    find(members, name)?
        .value
        .string()
        .map(|text| text.into_owned().into_boxed_str())
}

/// The elements of a list of objects; anything else in it is passed over.
fn objects<'a>(members: &[Member<'a>], name: &str) -> Vec<Vec<Member<'a>>> {
    let elements = find(members, name)
        .and_then(|m| m.value.elements())
        .unwrap_or_default();
    elements.into_iter().filter_map(Node::members).collect()
}

fn addresses(members: &[Member<'_>]) -> Box<[ConfiguredAddress]> {
    let read = |object: Vec<Member<'_>>| {
        let address = text(&object, "address")?;
        Some(ConfiguredAddress {
            address,
            gateway: text(&object, "gateway"),
        })
    };
    objects(members, "addresses")
        .into_iter()
        .filter_map(read)
        .collect()
}

fn host_local_sets(members: &[Member<'_>]) -> Box<[Box<[HostLocalRange]>]> {
    let range = |object: &[Member<'_>]| {
        Some(HostLocalRange {
            subnet: text(object, "subnet")?,
            range_start: text(object, "rangeStart"),
            range_end: text(object, "rangeEnd"),
            gateway: text(object, "gateway"),
        })
    };
    let old_form = range(members).map(|range| Box::from([range]));
    let lists = find(members, "ranges")
        .and_then(|m| m.value.elements())
        .unwrap_or_default();
    let sets = lists.into_iter().filter_map(Node::elements).map(|set| {
        set.into_iter()
            .filter_map(Node::members)
            .filter_map(|object| range(&object))
            .collect()
    });
    old_form.into_iter().chain(sets).collect()
}

fn whereabouts(members: &[Member<'_>]) -> WhereaboutsIpam {
    let range = |object: &[Member<'_>]| {
        let excluded = find(object, "exclude")
            .and_then(|m| m.value.elements())
            .unwrap_or_default();
        let exclude = excluded.into_iter().filter_map(Node::string);
        Some(WhereaboutsRange {
            range: text(object, "range").filter(|range| !range.is_empty())?,
            range_start: text(object, "range_start"),
            range_end: text(object, "range_end"),
            exclude: exclude
                .map(|text| text.into_owned().into_boxed_str())
                .collect(),
        })
    };
    let first = range(members);
    let listed = objects(members, "ipRanges");
    let listed = listed.iter().filter_map(|object| range(object));
    WhereaboutsIpam {
        ranges: first.into_iter().chain(listed).collect(),
        addresses: addresses(members),
        network_name: text(members, "network_name").filter(|name| !name.is_empty()),
        gateway: text(members, "gateway"),
        node_slice_size: text(members, "node_slice_size").filter(|size| !size.is_empty()),
        overlapping_ranges: find(members, "enable_overlapping_ranges")
            .and_then(|m| m.value.boolean())
            .unwrap_or(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ipam(text: &str) -> Option<Ipam> {
        Ipam::read(&Node::document(text).ok()?.members()?)
    }

    #[test]
    fn each_plugin_has_its_type() {
        let Some(Ipam::Static(ipam_static)) = ipam(
            r#"{"type":"static","addresses":[{"address":"192.0.2.5/24","gateway":"192.0.2.1"}]}"#,
        ) else {
            panic!("static")
        };
        assert_eq!(
            ipam_static.addresses[0].gateway.as_deref(),
            Some("192.0.2.1")
        );
        assert_eq!(
            ipam(r#"{"type":"dhcp"}"#),
            Some(Ipam::Dhcp(DhcpIpam::default()))
        );
        assert_eq!(
            ipam(r#"{"type":"spiderpool"}"#),
            Some(Ipam::Other("spiderpool".into()))
        );
        assert_eq!(ipam("{}"), None);
    }

    #[test]
    fn host_local_counts_its_older_form_as_a_set() {
        let Some(Ipam::HostLocal(local)) = ipam(
            r#"{"type":"host-local","subnet":"10.1.0.0/16","ranges":[[{"subnet":"10.2.0.0/16"}]]}"#,
        ) else {
            panic!("host-local")
        };
        let subnets: Vec<_> = local.sets.iter().map(|set| &*set[0].subnet).collect();
        assert_eq!(subnets, ["10.1.0.0/16", "10.2.0.0/16"]);
    }

    #[test]
    fn whereabouts_prepends_its_top_level_range() {
        let Some(Ipam::Whereabouts(found)) = ipam(
            r#"{"type":"whereabouts","range":"192.0.2.192/27","exclude":["192.0.2.192/30"],
                "ipRanges":[{"range":"2001:db8::/64"}],"network_name":"common"}"#,
        ) else {
            panic!("whereabouts")
        };
        let ranges: Vec<_> = found
            .ranges
            .iter()
            .map(|r| (&*r.range, r.exclude.len()))
            .collect();
        assert_eq!(ranges, [("192.0.2.192/27", 1), ("2001:db8::/64", 0)]);
        assert_eq!(found.network_name.as_deref(), Some("common"));
        assert!(found.overlapping_ranges);
    }
}
