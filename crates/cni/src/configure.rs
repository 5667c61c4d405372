//! Simulates how plugins configure the addresses and routes of their IPAM on an interface: static,
//! host-local and Whereabouts, for plugins that use `ConfigureIface` of pkg/ipam.

use std::net::IpAddr;

use thiserror::Error;

use super::{
    address::{AddressRequest, parse_address},
    cni::{BridgeGateway, Capability, Plugin},
    ipam::{ConfiguredAddress, HostLocalIpam, Ipam, IpamRoute, StaticIpam, WhereaboutsIpam},
    range::{BoundedSubnet, Subnet},
    routing::{InterfaceAddress, InterfaceRouting, Route, RouteError},
};

/// The plugins that configure addresses and routes on an interface as `ConfigureIface` does.
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
/// The chained plugins that change neither addresses nor routes.
const PASSIVE: [&str; 5] = ["bandwidth", "cnv-tuning", "firewall", "portmap", "tuning"];
/// The maximum number of combinations of host-local ranges to try.
const MAX_CHOICES: usize = 4;
/// The maximum number of addresses on an interface; with more, the network is not checked.
const MAX_ADDRESSES: usize = 64;
/// The maximum number of routes to check.
const MAX_ROUTES: usize = 128;

/// The addresses that a pod requests.
#[derive(Debug, Clone, Copy, Default)]
pub struct RequestedAddresses<'a> {
    /// The addresses requested by `ips`.
    pub ips: &'a [AddressRequest],
    /// The addresses requested by `ips` in `cni-args`.
    pub args: &'a [AddressRequest],
}

/// An address that IPAM assigns to an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AssignedAddress {
    /// The address on the interface.
    pub address: InterfaceAddress,
    /// The gateway that IPAM returns with it.
    pub gateway: Option<IpAddr>,
    /// The configuration or request that it results from.
    pub source: AddressSource,
}

/// The configuration or request that an address results from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressSource {
    /// A configured address, by its index among the entries that have an address.
    Configured(usize),
    /// A configured range, by its index in its set. Whereabouts has a single set.
    Range {
        /// The index of the set.
        set: usize,
        /// The index of the range in its set.
        index: usize,
    },
    /// A request of the pod, or a pool's range.
    Requested,
}

/// An interface after a plugin has configured it.
#[derive(Debug, Clone, Default)]
pub struct ConfiguredInterface {
    /// The interface's addresses and routes.
    pub routing: InterfaceRouting,
    /// Everything that makes the plugin fail; each is sufficient by itself.
    pub failures: Vec<ConfigureFailure>,
}

/// Something that makes a plugin fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigureFailure {
    /// Linux rejects a route.
    Route {
        /// The route's index in the configuration; `None` for the default route of a bridge.
        index: Option<usize>,
        /// The destination.
        dst: Subnet,
        /// The route's gateway.
        gateway: Option<IpAddr>,
        /// The address whose gateway the route uses, if the route has none of its own.
        gateway_source: Option<AssignedAddress>,
        /// The reason.
        error: RouteError,
    },
    /// The plugin itself cannot use the gateway of an address.
    Gateway {
        address: AssignedAddress,
        /// The reason.
        fault: GatewayFault,
    },
}

/// The reason why a plugin cannot use the gateway of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum GatewayFault {
    /// ptp has no gateway.
    #[error("ptp needs a gateway with each address")]
    Missing,
    /// The gateway of ptp, or of a bridge that is a gateway, is of another address family.
    #[error("the gateway is of another IP family than the address")]
    Family,
    /// The gateway of ptp, or of a bridge that is a gateway, is `::`.
    #[error("\"::\" is not the address of a gateway")]
    Unspecified,
    /// The gateway of a bridge is a link-local address: the bridge already has one.
    #[error("the bridge already has a link-local address")]
    LinkLocal,
    /// A bridge has two IPv4 gateways.
    #[error(
        "the bridge already has another IPv4 address, and accepts a second one only with \
         forceAddress"
    )]
    Second,
}

/// Returns true if a plugin of this type passes its configuration to its IPAM unchanged, and
/// configures addresses and routes on its interface as `ConfigureIface` does.
pub fn configures(kind: &str) -> bool {
    CONFIGURING.contains(&kind)
}

impl Plugin {
    /// Returns true if the plugin is certain to configure addresses and routes on its interface.
    pub fn configures(&self) -> bool {
        configures(&self.kind) && !self.may_use_dpdk
    }

    /// Returns true if the plugin, chained after another, changes neither addresses nor routes.
    pub fn is_passive(&self) -> bool {
        PASSIVE.contains(&&*self.kind)
    }

    /// Returns each combination of addresses that IPAM can assign; empty if they are not known or
    /// cannot be read.
    pub fn possible_addresses(
        &self,
        requested_addresses: RequestedAddresses<'_>,
    ) -> Vec<Vec<AssignedAddress>> {
        let possible = match &self.ipam {
            Some(Ipam::Static(ipam)) => {
                let replaces = self.capabilities.has(Capability::Ips);
                static_addresses(ipam, replaces, requested_addresses)
                    .into_iter()
                    .collect()
            }
            Some(Ipam::HostLocal(ipam)) => host_local_addresses(ipam),
            Some(Ipam::Whereabouts(ipam)) => whereabouts_addresses(ipam, requested_addresses)
                .into_iter()
                .collect(),
            Some(Ipam::Dhcp(_) | Ipam::Other(_)) => Vec::new(),
            None => vec![Vec::new()],
        };
        if possible
            .iter()
            .any(|assigned| assigned.len() > MAX_ADDRESSES)
        {
            return Vec::new();
        }
        possible
    }

    /// Configures the addresses and the routes of the plugin's IPAM on the interface.
    pub fn configure(&self, addresses: &[AssignedAddress]) -> ConfiguredInterface {
        let routes = self.ipam.as_ref().map(Ipam::routes).unwrap_or_default();
        let addresses: Vec<AssignedAddress> = addresses
            .iter()
            .map(|assigned| self.with_gateway(*assigned))
            .collect();
        let mut failures = self.gateway_failures(&addresses);
        let mut reach = InterfaceRouting::of(addresses.iter().map(|assigned| assigned.address));
        // The first gateway of each family counts.
        let first = |v4: bool| {
            let with =
                |assigned: &&AssignedAddress| assigned.gateway.is_some_and(|g| g.is_ipv4() == v4);
            addresses.iter().find(with).copied()
        };
        let mut add = |index, route: &IpamRoute, by: Option<AssignedAddress>| {
            let gateway = route.gateway.or(by.and_then(|by| by.gateway));
            let added = reach.add(Route {
                dst: route.dst,
                gateway,
                scope: route.scope,
                table: route.table,
                priority: route.priority,
            });
            if let Err(refused) = added {
                failures.push(ConfigureFailure::Route {
                    index,
                    dst: route.dst,
                    gateway,
                    gateway_source: by,
                    error: refused,
                });
            }
        };
        for route in routes.iter().take(MAX_ROUTES) {
            let by = match route.gateway {
                Some(_) => None,
                None => first(route.dst.address.is_ipv4()),
            };
            add(Some(route.index), route, by);
        }
        for by in self.default_routes(&addresses, routes) {
            let v4 = by.address.subnet.address.is_ipv4();
            add(None, &default_route(v4), Some(by));
        }
        if &*self.kind == "ptp" {
            reach = point_to_point(&addresses, reach);
        }
        ConfiguredInterface {
            routing: reach,
            failures,
        }
    }

    /// Adds the default gateway of a bridge that is a gateway: the first address of the subnet.
    fn with_gateway(&self, assigned: AssignedAddress) -> AssignedAddress {
        if self.bridge_gateway == BridgeGateway::No || assigned.gateway.is_some() {
            return assigned;
        }
        AssignedAddress {
            gateway: next_address(assigned.address.subnet),
            ..assigned
        }
    }

    fn gateway_failures(&self, addresses: &[AssignedAddress]) -> Vec<ConfigureFailure> {
        let (is_ptp, force) = match self.bridge_gateway {
            BridgeGateway::Address { force } | BridgeGateway::DefaultRoute { force } => {
                (false, force)
            }
            BridgeGateway::No if &*self.kind == "ptp" => (true, false),
            BridgeGateway::No => return Vec::new(),
        };
        let mut failures = Vec::new();
        let mut on_bridge: Option<(IpAddr, u8)> = None;
        for assigned in addresses {
            let mut fails = |fault| {
                failures.push(ConfigureFailure::Gateway {
                    address: *assigned,
                    fault,
                })
            };
            let subnet = assigned.address.subnet;
            let v4 = subnet.address.is_ipv4();
            match assigned.gateway {
                None if is_ptp => fails(GatewayFault::Missing),
                None => {}
                // A bridge accepts an IPv6 gateway of any prefix length for an IPv4 address.
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

    /// Returns the addresses through whose gateways a bridge adds a default route: the first of
    /// each family, unless a configured default route has a gateway of its own.
    fn default_routes(
        &self,
        addresses: &[AssignedAddress],
        routes: &[IpamRoute],
    ) -> Vec<AssignedAddress> {
        let BridgeGateway::DefaultRoute { .. } = self.bridge_gateway else {
            return Vec::new();
        };
        let gateway_of = |v4: bool| {
            let written = routes.iter().any(|route| {
                let is_default = route.dst.prefix == 0 && !route.dst.has_host_bits();
                is_default && route.gateway.is_some() && route.dst.address.is_ipv4() == v4
            });
            let mut of_family = addresses.iter();
            of_family
                .find(|assigned| assigned.address.subnet.address.is_ipv4() == v4)
                .filter(|_| !written)
        };
        [true, false]
            .into_iter()
            .filter_map(gateway_of)
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

/// Replaces the addresses for ptp: only the gateways are on-link; the subnets are reached through
/// them.
fn point_to_point(addresses: &[AssignedAddress], configured: InterfaceRouting) -> InterfaceRouting {
    let gateways = addresses.iter().filter_map(|assigned| assigned.gateway);
    let host = |address: IpAddr| InterfaceAddress {
        subnet: Subnet {
            address,
            prefix: if address.is_ipv4() { 32 } else { 128 },
        },
        exact: false,
    };
    configured.with_addresses(gateways.map(host))
}

/// Returns the address after the first address of the subnet.
fn next_address(subnet: Subnet) -> Option<IpAddr> {
    match subnet.range().first() {
        IpAddr::V4(v4) => v4.to_bits().checked_add(1).map(|b| IpAddr::V4(b.into())),
        IpAddr::V6(v6) => v6.to_bits().checked_add(1).map(|b| IpAddr::V6(b.into())),
    }
}

/// Parses a gateway: `Ok(None)` if absent, `Err` if it is not an address.
fn gateway(text: Option<&str>) -> Result<Option<IpAddr>, ()> {
    match text.filter(|text| !text.is_empty()) {
        None => Ok(None),
        Some(text) => match parse_address(text) {
            Ok(address) => Ok(Some(address.to_canonical())),
            Err(_) => Err(()),
        },
    }
}

fn configured(addresses: &[ConfiguredAddress]) -> Option<Vec<AssignedAddress>> {
    let read = |(index, written): (usize, &ConfiguredAddress)| {
        Some(AssignedAddress {
            address: InterfaceAddress {
                subnet: Subnet::parse(&written.address).ok()?,
                exact: true,
            },
            gateway: gateway(written.gateway.as_deref()).ok()?,
            source: AddressSource::Configured(index),
        })
    };
    addresses.iter().enumerate().map(read).collect()
}

/// Requested addresses have no gateway.
fn requested(requested_addresses: &[AddressRequest]) -> Option<Vec<AssignedAddress>> {
    let read = |request: &AddressRequest| {
        Some(AssignedAddress {
            address: InterfaceAddress {
                subnet: Subnet {
                    address: request.address,
                    prefix: request.prefix?,
                },
                exact: true,
            },
            gateway: None,
            source: AddressSource::Requested,
        })
    };
    requested_addresses.iter().map(read).collect()
}

/// Returns the addresses of the static IPAM. Those requested by the `ips` capability or in
/// `cni-args` replace the configured ones; `ips` without the capability are appended.
fn static_addresses(
    ipam: &StaticIpam,
    replaces: bool,
    requested_addresses: RequestedAddresses<'_>,
) -> Option<Vec<AssignedAddress>> {
    let assigned = if replaces && !requested_addresses.ips.is_empty() {
        requested(requested_addresses.ips)?
    } else if !requested_addresses.args.is_empty() {
        requested(requested_addresses.args)?
    } else {
        let mut all = configured(&ipam.addresses)?;
        all.extend(requested(requested_addresses.ips)?);
        all
    };
    (!assigned.is_empty()).then_some(assigned)
}

/// Returns one address per set. host-local may use another range of a set for each pod, so every
/// index is tried, in all sets at once.
fn host_local_addresses(ipam: &HostLocalIpam) -> Vec<Vec<AssignedAddress>> {
    let longest = ipam.sets.iter().map(|set| set.len()).max().unwrap_or(0);
    let choice = |index: usize| {
        let sets = ipam.sets.iter().enumerate();
        #[allow(clippy::borrowed_box)] // The type that the iterator has.
        let address = |(set, ranges): (usize, &Box<[_]>)| {
            let ranges: &[super::ipam::HostLocalRange] = ranges;
            let index = index.min(ranges.len().checked_sub(1)?);
            let range = &ranges[index];
            let subnet = Subnet::parse(&range.subnet).ok()?;
            let written = gateway(range.gateway.as_deref()).ok()?;
            Some(AssignedAddress {
                address: InterfaceAddress {
                    subnet,
                    exact: false,
                },
                gateway: written.or_else(|| next_address(subnet)),
                source: AddressSource::Range { set, index },
            })
        };
        sets.map(address).collect::<Option<Vec<_>>>()
    };
    (0..longest.min(MAX_CHOICES)).filter_map(choice).collect()
}

/// Returns one address per range, then the configured ones, then the requested ones, which need a
/// prefix.
fn whereabouts_addresses(
    ipam: &WhereaboutsIpam,
    requested_addresses: RequestedAddresses<'_>,
) -> Option<Vec<AssignedAddress>> {
    let common = gateway(ipam.gateway.as_deref()).ok()?;
    let of_range = |(index, range): (usize, &super::ipam::WhereaboutsRange)| {
        let subnet = BoundedSubnet::parse(&range.range).ok()?.subnet;
        Some(AssignedAddress {
            address: InterfaceAddress {
                subnet,
                exact: false,
            },
            gateway: common,
            source: AddressSource::Range { set: 0, index },
        })
    };
    let ranges = ipam.ranges.iter().enumerate().map(of_range);
    let mut assigned: Vec<AssignedAddress> = ranges.collect::<Option<_>>()?;
    assigned.extend(configured(&ipam.addresses)?);
    assigned.extend(requested(requested_addresses.ips)?);
    (!assigned.is_empty()).then_some(assigned)
}

/// Returns one address per range of a pool; they have no gateways.
pub fn pool_addresses(ranges: impl IntoIterator<Item = Subnet>) -> Vec<AssignedAddress> {
    let address = |subnet| AssignedAddress {
        address: InterfaceAddress {
            subnet,
            exact: false,
        },
        gateway: None,
        source: AddressSource::Requested,
    };
    ranges.into_iter().map(address).collect()
}

/// Describes the subnets of addresses for messages; at most three are named.
pub fn describe_subnets(addresses: &[InterfaceAddress], v4: bool) -> String {
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
