//! What a plugin makes of the addresses and routes that its IPAM gives: static, host-local and
//! Whereabouts, on the plugins that put them on an interface as pkg/ipam's `ConfigureIface` does.

use std::net::IpAddr;

use thiserror::Error;

use super::{
    address::{AddressRequest, parse_address},
    cni::{BridgeGateway, Capability, Plugin},
    ipam::{ConfiguredAddress, HostLocalIpam, Ipam, IpamRoute, StaticIpam, WhereaboutsIpam},
    range::{Range, Subnet},
    reach::{InterfaceAddress, Reach, Refused, Route},
};

/// Plugins that put addresses and routes on an interface as `ConfigureIface` does.
const CONFIGURING: [&str; 16] = [
    "accelerated-bridge",
    "bond",
    "bridge",
    "cnv-bridge",
    "dummy",
    "host-device",
    "ib-sriov",
    "ib-sriov-cni",
    "ipoib",
    "ipvlan",
    "macvlan",
    "ovs",
    "ptp",
    "sriov",
    "tap",
    "vlan",
];
/// Plugins behind it that change neither addresses nor routes.
const HARMLESS: [&str; 5] = ["bandwidth", "cnv-tuning", "firewall", "portmap", "tuning"];
/// The most choices of a host-local network's ranges that are tried.
const MOST_CHOICES: usize = 4;
/// With more addresses than this nothing is said of a network.
const MOST_ADDRESSES: usize = 64;
/// The routes behind this many are not looked at.
const MOST_ROUTES: usize = 128;

/// The addresses that a pod asks for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked<'a> {
    /// By `ips`.
    pub ips: &'a [AddressRequest],
    /// By `ips` in `cni-args`.
    pub args: &'a [AddressRequest],
}

/// An address as IPAM gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GivenAddress {
    /// The address on the interface.
    pub own: InterfaceAddress,
    /// The gateway that comes with it.
    pub gateway: Option<IpAddr>,
    /// What it comes from.
    pub source: Source,
}

/// What an address comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A configured address, by its index among those that have an address.
    Configured(usize),
    /// A range: of host-local by its set and its place there, of Whereabouts by its place.
    Range {
        /// The set.
        set: usize,
        /// The place in it.
        place: usize,
    },
    /// The pod's own request, or a pool's range.
    Requested,
}

/// An interface as a plugin leaves it.
#[derive(Debug, Clone, Default)]
pub struct Configured {
    /// What it reaches.
    pub reach: Reach,
    /// Everything on which the plugin fails; each by itself is enough.
    pub failures: Vec<Failure>,
}

/// Something on which a plugin fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Linux refuses a route.
    Route {
        /// The route, by its index as written; `None` for the default route of a bridge.
        index: Option<usize>,
        /// Where it leads.
        dst: Subnet,
        /// Its gateway.
        gateway: Option<IpAddr>,
        /// The address that the gateway comes with, if it is not the route's own.
        by: Option<GivenAddress>,
        /// The reason.
        refused: Refused,
    },
    /// The plugin itself needs another gateway with an address.
    Gateway {
        /// The address.
        of: GivenAddress,
        /// The reason.
        fault: GatewayFault,
    },
}

/// The reason for which a plugin cannot work with an address's gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum GatewayFault {
    /// ptp without a gateway.
    #[error("ptp needs a gateway with each address")]
    Missing,
    /// ptp, or a bridge that is a gateway, with a gateway of another family.
    #[error("the gateway is of another IP family than the address")]
    Family,
    /// ptp, or a bridge that is a gateway, with `::`.
    #[error("\"::\" is not the address of a gateway")]
    Unspecified,
    /// A bridge that is a gateway, with a link-local gateway: it has such an address already.
    #[error("the bridge has a link-local address of its own already")]
    LinkLocal,
    /// A bridge that is a gateway, with two IPv4 gateways.
    #[error(
        "the bridge has another IPv4 address already, and takes a second one by forceAddress only"
    )]
    Second,
}

/// Whether a plugin of this type hands its IPAM what is written, and puts addresses and routes on its
/// interface as `ConfigureIface` does.
pub fn configures(kind: &str) -> bool {
    CONFIGURING.contains(&kind)
}

impl Plugin {
    /// Returns true where the plugin is certain to put addresses and routes on its interface.
    pub fn configures(&self) -> bool {
        configures(&self.kind) && !self.may_use_dpdk
    }

    /// Whether the plugin, behind another, leaves addresses and routes alone.
    pub fn is_harmless(&self) -> bool {
        HARMLESS.contains(&&*self.kind)
    }

    /// What IPAM can give, each possibility by itself; none where that is not known or cannot be read.
    pub fn possible_addresses(&self, asked: Asked<'_>) -> Vec<Vec<GivenAddress>> {
        let possible = match &self.ipam {
            Some(Ipam::Static(ipam)) => {
                let replaces = self.capabilities.has(Capability::Ips);
                of_static(ipam, replaces, asked).into_iter().collect()
            }
            Some(Ipam::HostLocal(ipam)) => of_host_local(ipam),
            Some(Ipam::Whereabouts(ipam)) => of_whereabouts(ipam, asked).into_iter().collect(),
            Some(Ipam::Dhcp(_) | Ipam::Other(_)) => Vec::new(),
            None => vec![Vec::new()],
        };
        if possible.iter().any(|given| given.len() > MOST_ADDRESSES) {
            return Vec::new();
        }
        possible
    }

    /// Puts addresses on the interface, and the routes of the plugin's IPAM.
    pub fn configure(&self, addresses: &[GivenAddress]) -> Configured {
        let routes = self.ipam.as_ref().map(Ipam::routes).unwrap_or_default();
        let addresses: Vec<GivenAddress> = addresses
            .iter()
            .map(|given| self.with_gateway(*given))
            .collect();
        let mut failures = self.gateway_failures(&addresses);
        let mut reach = Reach::of(addresses.iter().map(|given| given.own));
        // Of each family the gateway that comes first.
        let first = |v4: bool| {
            let with = |given: &&GivenAddress| given.gateway.is_some_and(|g| g.is_ipv4() == v4);
            addresses.iter().find(with).copied()
        };
        let mut add = |index, route: &IpamRoute, by: Option<GivenAddress>| {
            let gateway = route.gateway.or(by.and_then(|by| by.gateway));
            let added = reach.add(Route {
                dst: route.dst,
                gateway,
                scope: route.scope,
                table: route.table,
                priority: route.priority,
            });
            if let Err(refused) = added {
                failures.push(Failure::Route {
                    index,
                    dst: route.dst,
                    gateway,
                    by,
                    refused,
                });
            }
        };
        for route in routes.iter().take(MOST_ROUTES) {
            let by = match route.gateway {
                Some(_) => None,
                None => first(route.dst.address.is_ipv4()),
            };
            add(Some(route.index), route, by);
        }
        for by in self.default_routes(&addresses, routes) {
            let v4 = by.own.subnet.address.is_ipv4();
            add(None, &default_route(v4), Some(by));
        }
        if &*self.kind == "ptp" {
            reach = point_to_point(&addresses, reach);
        }
        Configured { reach, failures }
    }

    /// A bridge that is a gateway has the first address of a subnet where no gateway is written.
    fn with_gateway(&self, given: GivenAddress) -> GivenAddress {
        if self.bridge_gateway == BridgeGateway::No || given.gateway.is_some() {
            return given;
        }
        GivenAddress {
            gateway: next_address(given.own.subnet),
            ..given
        }
    }

    fn gateway_failures(&self, addresses: &[GivenAddress]) -> Vec<Failure> {
        let (is_ptp, force) = match self.bridge_gateway {
            BridgeGateway::Address { force } | BridgeGateway::DefaultRoute { force } => {
                (false, force)
            }
            BridgeGateway::No if &*self.kind == "ptp" => (true, false),
            BridgeGateway::No => return Vec::new(),
        };
        let mut failures = Vec::new();
        let mut on_bridge: Option<(IpAddr, u8)> = None;
        for given in addresses {
            let mut fails = |fault| failures.push(Failure::Gateway { of: *given, fault });
            let subnet = given.own.subnet;
            let v4 = subnet.address.is_ipv4();
            match given.gateway {
                None if is_ptp => fails(GatewayFault::Missing),
                None => {}
                // A bridge takes an IPv6 address of any length beside IPv4 ones.
                Some(gateway) if gateway.is_ipv4() != v4 && (is_ptp || !v4) => {
                    fails(GatewayFault::Family);
                }
                Some(IpAddr::V6(gateway)) if gateway.is_unspecified() => {
                    fails(GatewayFault::Unspecified);
                }
                Some(IpAddr::V6(gateway)) if !is_ptp && gateway.is_unicast_link_local() => {
                    fails(GatewayFault::LinkLocal);
                }
                Some(gateway) if !is_ptp && v4 && gateway.is_ipv4() => {
                    let key = (gateway, subnet.prefix);
                    if *on_bridge.get_or_insert(key) != key && !force {
                        fails(GatewayFault::Second);
                    }
                }
                Some(_) => {}
            }
        }
        failures
    }

    /// The addresses whose gateways a bridge adds a default route by: of each family the first, unless
    /// a default route has a gateway of its own.
    fn default_routes(
        &self,
        addresses: &[GivenAddress],
        routes: &[IpamRoute],
    ) -> Vec<GivenAddress> {
        let BridgeGateway::DefaultRoute { .. } = self.bridge_gateway else {
            return Vec::new();
        };
        let wanted = |v4: bool| {
            let written = routes.iter().any(|route| {
                let is_default = route.dst.prefix == 0 && !route.dst.has_host_bits();
                is_default && route.gateway.is_some() && route.dst.address.is_ipv4() == v4
            });
            let mut of_family = addresses.iter();
            of_family
                .find(|given| given.own.subnet.address.is_ipv4() == v4)
                .filter(|_| !written)
        };
        [true, false]
            .into_iter()
            .filter_map(wanted)
            .copied()
            .collect()
    }
}

fn default_route(v4: bool) -> IpamRoute {
    let address = if v4 {
        IpAddr::from([0; 4])
    } else {
        IpAddr::from([0; 16])
    };
    IpamRoute {
        index: 0,
        dst: Subnet { address, prefix: 0 },
        gateway: None,
        scope: 0,
        table: 0,
        priority: 0,
    }
}

/// ptp leaves only the gateways on the wire; the subnets are behind them.
fn point_to_point(addresses: &[GivenAddress], configured: Reach) -> Reach {
    let gateways = addresses.iter().filter_map(|given| given.gateway);
    let host = |address: IpAddr| InterfaceAddress {
        subnet: Subnet {
            address,
            prefix: if address.is_ipv4() { 32 } else { 128 },
        },
        exact: false,
    };
    configured.with_addresses(gateways.map(host))
}

/// The address behind the subnet's own.
fn next_address(subnet: Subnet) -> Option<IpAddr> {
    match subnet.window().first() {
        IpAddr::V4(v4) => v4.to_bits().checked_add(1).map(|b| IpAddr::V4(b.into())),
        IpAddr::V6(v6) => v6.to_bits().checked_add(1).map(|b| IpAddr::V6(b.into())),
    }
}

/// A gateway's text: absent, readable or not.
fn gateway(text: Option<&str>) -> Result<Option<IpAddr>, ()> {
    match text.filter(|text| !text.is_empty()) {
        None => Ok(None),
        Some(text) => match parse_address(text) {
            Ok(address) => Ok(Some(address.to_canonical())),
            Err(_) => Err(()),
        },
    }
}

fn configured(addresses: &[ConfiguredAddress]) -> Option<Vec<GivenAddress>> {
    let read = |(index, written): (usize, &ConfiguredAddress)| {
        Some(GivenAddress {
            own: InterfaceAddress {
                subnet: Subnet::parse(&written.address).ok()?,
                exact: true,
            },
            gateway: gateway(written.gateway.as_deref()).ok()?,
            source: Source::Configured(index),
        })
    };
    addresses.iter().enumerate().map(read).collect()
}

/// Requested addresses bring no gateway.
fn requested(asked: &[AddressRequest]) -> Option<Vec<GivenAddress>> {
    let read = |request: &AddressRequest| {
        Some(GivenAddress {
            own: InterfaceAddress {
                subnet: Subnet {
                    address: request.address,
                    prefix: request.prefix?,
                },
                exact: true,
            },
            gateway: None,
            source: Source::Requested,
        })
    };
    asked.iter().map(read).collect()
}

/// By the capability they replace what is configured, as those of `cni-args` do; else they are
/// appended.
fn of_static(ipam: &StaticIpam, replaces: bool, asked: Asked<'_>) -> Option<Vec<GivenAddress>> {
    let given = if replaces && !asked.ips.is_empty() {
        requested(asked.ips)?
    } else if !asked.args.is_empty() {
        requested(asked.args)?
    } else {
        let mut all = configured(&ipam.addresses)?;
        all.extend(requested(asked.ips)?);
        all
    };
    (!given.is_empty()).then_some(given)
}

/// One address of each set. Which of a set's ranges it is of changes from pod to pod: each place is
/// tried in all sets at once.
fn of_host_local(ipam: &HostLocalIpam) -> Vec<Vec<GivenAddress>> {
    let longest = ipam.sets.iter().map(|set| set.len()).max().unwrap_or(0);
    let choice = |place: usize| {
        let sets = ipam.sets.iter().enumerate();
        #[allow(clippy::borrowed_box)] // The type that the iterator has.
        let address = |(set, ranges): (usize, &Box<[_]>)| {
            let ranges: &[super::ipam::HostLocalRange] = ranges;
            let place = place.min(ranges.len().checked_sub(1)?);
            let range = &ranges[place];
            let subnet = Subnet::parse(&range.subnet).ok()?;
            let written = gateway(range.gateway.as_deref()).ok()?;
            Some(GivenAddress {
                own: InterfaceAddress {
                    subnet,
                    exact: false,
                },
                gateway: written.or_else(|| next_address(subnet)),
                source: Source::Range { set, place },
            })
        };
        sets.map(address).collect::<Option<Vec<_>>>()
    };
    (0..longest.min(MOST_CHOICES)).filter_map(choice).collect()
}

/// One address of each range, then the configured ones, then those asked for, which need a prefix.
fn of_whereabouts(ipam: &WhereaboutsIpam, asked: Asked<'_>) -> Option<Vec<GivenAddress>> {
    let common = gateway(ipam.gateway.as_deref()).ok()?;
    let of_range = |(place, range): (usize, &super::ipam::WhereaboutsRange)| {
        let subnet = Range::parse(&range.range).ok()?.subnet;
        Some(GivenAddress {
            own: InterfaceAddress {
                subnet,
                exact: false,
            },
            gateway: common,
            source: Source::Range { set: 0, place },
        })
    };
    let ranges = ipam.ranges.iter().enumerate().map(of_range);
    let mut given: Vec<GivenAddress> = ranges.collect::<Option<_>>()?;
    given.extend(configured(&ipam.addresses)?);
    given.extend(requested(asked.ips)?);
    (!given.is_empty()).then_some(given)
}

/// Addresses of a pool's ranges, which come without gateways.
pub fn of_pool(ranges: impl IntoIterator<Item = Subnet>) -> Vec<GivenAddress> {
    let address = |subnet| GivenAddress {
        own: InterfaceAddress {
            subnet,
            exact: false,
        },
        gateway: None,
        source: Source::Requested,
    };
    ranges.into_iter().map(address).collect()
}

/// The subnets of addresses, for people: three at most.
pub fn subnets_in_words(addresses: &[InterfaceAddress], v4: bool) -> String {
    let of_family = addresses
        .iter()
        .filter(|own| own.subnet.address.is_ipv4() == v4);
    let mut names: Vec<String> = of_family.map(|own| own.subnet.to_string()).collect();
    names.dedup();
    let more = names.len() > 3;
    names.truncate(3);
    let family = if v4 { "IPv4" } else { "IPv6" };
    match (names.is_empty(), more) {
        (true, _) => format!("it has no {family} address"),
        (false, true) => format!("it has {} and more", names.join(", ")),
        (false, false) => format!("it has {}", names.join(" and ")),
    }
}
