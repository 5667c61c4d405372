//! The IPAM section of a CNI configuration: the IPAM plugin and its options.
//!
//! Options are stored as written; rules check them in depth.

use std::net::IpAddr;

use super::{
    address::parse_address,
    json::{JsonMember, JsonNode, find},
    range::{IpRange, Subnet},
};

/// The name of the Deployment of Whereabouts's controller, upstream and on OpenShift. It divides
/// ranges into node slices.
pub const SLICE_CONTROLLER: &str = "whereabouts-controller";

/// The `ipam` object of a plugin, by its `type`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ipam {
    /// Addresses that are configured or requested by the pod.
    Static(StaticIpam),
    /// Addresses of a DHCP server outside of the cluster, through a daemon on each node.
    Dhcp(DhcpIpam),
    /// Addresses of a range, tracked on each node separately.
    HostLocal(HostLocalIpam),
    /// Addresses of a range, tracked for the whole cluster.
    Whereabouts(WhereaboutsIpam),
    /// A plugin unknown to nadmit.
    Other(Box<str>),
}

/// The options of `static`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StaticIpam {
    pub addresses: Box<[ConfiguredAddress]>,
    /// The ranges in Whereabouts's words, which static ignores and nadmit can take as a pool; `None`
    /// without `range` and `ipRanges`.
    pub inline_pool: Option<Box<WhereaboutsIpam>>,
    /// The routes that can be parsed.
    pub routes: Box<[IpamRoute]>,
}

/// A route of an IPAM configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IpamRoute {
    /// The index in `routes`; routes that cannot be parsed count.
    pub index: usize,
    /// The destination.
    pub dst: Subnet,
    /// The route's own gateway; an IPv4-mapped IPv6 address is converted to IPv4.
    pub gateway: Option<IpAddr>,
    /// `scope`, of which Linux uses the last byte; 0 by default.
    pub scope: u8,
    /// `table`; the main table by default.
    pub table: i64,
    /// `priority`; 0 by default.
    pub priority: i64,
}

/// A configured address of `static` or `whereabouts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfiguredAddress {
    /// The address with its prefix, as written.
    pub address: Box<str>,
    /// The gateway, as written.
    pub gateway: Option<Box<str>>,
}

/// The options of `dhcp`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DhcpIpam {
    /// The socket of the daemon on the node; the plugin's default if absent.
    pub daemon_socket_path: Option<Box<str>>,
}

/// The options of `host-local`: it assigns one address of each set of ranges.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostLocalIpam {
    /// The sets; the older top-level `subnet` is the first.
    pub sets: Box<[Box<[HostLocalRange]>]>,
    /// The routes that can be parsed.
    pub routes: Box<[IpamRoute]>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostLocalRange {
    /// The subnet in CIDR notation, as written.
    pub subnet: Box<str>,
    /// The first address to assign.
    pub range_start: Option<Box<str>>,
    /// The last address to assign.
    pub range_end: Option<Box<str>>,
    pub gateway: Option<Box<str>>,
}

impl HostLocalRange {
    /// Returns the addresses that host-local assigns of the range; `None` if the range is not valid.
    /// IPv6 has no broadcast address: the last one is assigned. Source: host-local, Range.Canonicalize.
    pub fn window(&self) -> Option<IpRange> {
        let subnet = Subnet::parse(&self.subnet).ok()?;
        let hosts = subnet.hosts()?;
        let last = match hosts.is_ipv4() {
            true => hosts.last(),
            false => subnet.range().last(),
        };
        IpRange::new(
            Self::bound(&self.range_start, hosts.first())?,
            Self::bound(&self.range_end, last)?,
        )
    }

    /// Returns the gateway: by default the first host of the subnet.
    pub fn gateway(&self) -> Option<IpAddr> {
        let hosts = Subnet::parse(&self.subnet).ok()?.hosts()?;
        Self::bound(&self.gateway, hosts.first())
    }

    /// Returns an address as written, or the default if none is.
    fn bound(text: &Option<Box<str>>, default: IpAddr) -> Option<IpAddr> {
        match text.as_deref() {
            None | Some("") => Some(default),
            Some(text) => parse_address(text)
                .ok()
                .map(|address| address.to_canonical()),
        }
    }
}

/// The options of `whereabouts`: it assigns one address of each range.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WhereaboutsIpam {
    /// The ranges; a top-level `range` is the first.
    pub ranges: Box<[WhereaboutsRange]>,
    /// Configured addresses, assigned in addition to those of the ranges.
    pub addresses: Box<[ConfiguredAddress]>,
    /// The name of the scope within which addresses are unique.
    pub network_name: Option<Box<str>>,
    pub gateway: Option<Box<str>>,
    /// The size of a node's slice, as written (`/28`).
    pub node_slice_size: Option<Box<str>>,
    /// True if an address is unique across all ranges with the same `network_name`.
    pub overlapping_ranges: bool,
    /// The routes that can be parsed.
    pub routes: Box<[IpamRoute]>,
    /// The key of another plugin, or a misspelt key, that contains a range but that Whereabouts
    /// does not read.
    pub misnamed_range: Option<Box<str>>,
    /// True if a file on the node is configured, from which Whereabouts reads options that are
    /// absent here.
    pub has_file: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WhereaboutsRange {
    /// The CIDR, or `first-last/prefix`, as written.
    pub range: Box<str>,
    /// The first address to assign.
    pub range_start: Option<Box<str>>,
    /// The last address to assign.
    pub range_end: Option<Box<str>>,
    /// CIDRs and addresses that are never assigned.
    pub exclude: Box<[Box<str>]>,
}

impl Ipam {
    /// Reads the `ipam` object. `None` if it has no `type`: then the plugin assigns no address.
    pub fn read(members: &[JsonMember<'_>]) -> Option<Self> {
        let kind = text(members, "type").filter(|kind| !kind.is_empty())?;
        Some(match &*kind {
            "static" => Self::Static(StaticIpam {
                addresses: addresses(members),
                inline_pool: inline_pool(members),
                routes: routes(members),
            }),
            "dhcp" => Self::Dhcp(DhcpIpam {
                daemon_socket_path: text(members, "daemonSocketPath"),
            }),
            "host-local" => Self::HostLocal(HostLocalIpam {
                sets: host_local_sets(members),
                routes: routes(members),
            }),
            "whereabouts" => Self::Whereabouts(whereabouts(members)),
            _ => Self::Other(kind),
        })
    }

    /// Returns the routes that can be parsed, in their order.
    pub fn routes(&self) -> &[IpamRoute] {
        match self {
            Self::Static(found) => &found.routes,
            Self::HostLocal(found) => &found.routes,
            Self::Whereabouts(found) => &found.routes,
            Self::Dhcp(_) | Self::Other(_) => &[],
        }
    }

    /// Returns the plugin's name.
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

fn text(members: &[JsonMember<'_>], name: &str) -> Option<Box<str>> {
    find(members, name)?
        .value
        .string()
        .map(|text| text.into_owned().into_boxed_str())
}

/// Returns the elements of a list of objects; other elements are ignored.
fn objects<'a>(members: &[JsonMember<'a>], name: &str) -> Vec<Vec<JsonMember<'a>>> {
    let elements = find(members, name)
        .and_then(|m| m.value.elements())
        .unwrap_or_default();
    elements.into_iter().filter_map(JsonNode::members).collect()
}

fn addresses(members: &[JsonMember<'_>]) -> Box<[ConfiguredAddress]> {
    let read = |object: Vec<JsonMember<'_>>| {
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

fn routes(members: &[JsonMember<'_>]) -> Box<[IpamRoute]> {
    let elements = find(members, "routes")
        .and_then(|m| m.value.elements())
        .unwrap_or_default();
    let read = |(index, node): (usize, JsonNode<'_>)| {
        let object = node.members()?;
        let number = |name| find(&object, name).and_then(|m| m.value.integer());
        let gateway = text(&object, "gw").filter(|text| !text.is_empty());
        let gateway = match gateway {
            Some(text) => Some(parse_address(&text).ok()?.to_canonical()),
            None => None,
        };
        Some(IpamRoute {
            index,
            dst: Subnet::parse(&text(&object, "dst")?).ok()?,
            gateway,
            scope: number("scope").map_or(0, |scope| scope.to_le_bytes()[0]),
            table: number("table").unwrap_or(0),
            priority: number("priority").unwrap_or(0),
        })
    };
    elements.into_iter().enumerate().filter_map(read).collect()
}

/// Keys that users write in place of Whereabouts's `range`: those of host-local, and misspelt ones.
const MISNAMED: [&str; 4] = ["subnet", "ranges", "ipRange", "cidr"];

fn host_local_sets(members: &[JsonMember<'_>]) -> Box<[Box<[HostLocalRange]>]> {
    let range = |object: &[JsonMember<'_>]| {
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
    let sets = lists.into_iter().filter_map(JsonNode::elements).map(|set| {
        set.into_iter()
            .filter_map(JsonNode::members)
            .filter_map(|object| range(&object))
            .collect()
    });
    old_form.into_iter().chain(sets).collect()
}

fn inline_pool(members: &[JsonMember<'_>]) -> Option<Box<WhereaboutsIpam>> {
    let read = whereabouts(members);
    (!read.ranges.is_empty()).then(|| Box::new(read))
}

fn whereabouts(members: &[JsonMember<'_>]) -> WhereaboutsIpam {
    let range = |object: &[JsonMember<'_>]| {
        let excluded = find(object, "exclude")
            .and_then(|m| m.value.elements())
            .unwrap_or_default();
        let exclude = excluded.into_iter().filter_map(JsonNode::string);
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
        routes: routes(members),
        misnamed_range: MISNAMED
            .into_iter()
            .find(|name| find(members, name).is_some())
            .map(Into::into),
        has_file: text(members, "configuration_path").is_some_and(|path| !path.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ipam(text: &str) -> Option<Ipam> {
        Ipam::read(&JsonNode::document(text).ok()?.members()?)
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
        assert_eq!(ipam_static.inline_pool, None);
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
    fn static_with_ranges_has_the_pool_of_whereabouts() {
        let keys = r#""range":"192.0.2.192/27","exclude":["192.0.2.192/30"],"network_name":"n""#;
        let read = |kind: &str| ipam(&format!(r#"{{"type":"{kind}",{keys}}}"#));
        let (Some(Ipam::Static(by_static)), Some(Ipam::Whereabouts(by_whereabouts))) =
            (read("static"), read("whereabouts"))
        else {
            panic!("another type")
        };
        assert_eq!(by_static.inline_pool.as_deref(), Some(&by_whereabouts));
        // Without a range the other keys define nothing.
        let Some(Ipam::Static(plain)) = ipam(r#"{"type":"static","exclude":["192.0.2.1/32"]}"#)
        else {
            panic!("another type")
        };
        assert_eq!(plain.inline_pool, None);
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
