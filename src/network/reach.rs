//! Which gateways an interface reaches, and which routes Linux takes, in the order in which plugins
//! put addresses and routes there.
//!
//! All of it was seen by running the plugins on Linux 6 (`tests/fixtures/cases/plugins.json`).

use std::net::{IpAddr, Ipv6Addr};

use thiserror::Error;

use super::range::Subnet;

/// `RT_SCOPE_LINK`: a route of this scope or a narrower one says that its destination is on the wire.
pub const SCOPE_LINK: u8 = 253;
/// `RT_SCOPE_NOWHERE`: Linux takes no route of this scope.
const SCOPE_NOWHERE: u8 = 255;
/// `RT_TABLE_MAIN`, which is also meant by 0.
const TABLE_MAIN: i64 = 254;

/// An address of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// The address with its subnet; where it is not known which of the subnet's, any of them.
    pub subnet: Subnet,
    /// Whether the address itself is known.
    pub exact: bool,
}

/// A route as a plugin adds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The destination.
    pub dst: Subnet,
    /// The gateway, if it has one.
    pub gateway: Option<IpAddr>,
    /// The scope; only IPv4 has them.
    pub scope: u8,
    /// The table.
    pub table: i64,
    /// The priority.
    pub priority: i64,
}

/// The reason for which Linux refuses a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refused {
    /// No subnet of the interface and no earlier route without a gateway covers the gateway.
    #[error("the interface does not reach it")]
    Unreachable,
    /// The gateway is a broadcast address.
    #[error("it is the broadcast address of its subnet")]
    Broadcast,
    /// The gateway is the interface's own IPv6 address.
    #[error("it is the interface's own address")]
    Own,
    /// The gateway is `::`, or a multicast address of IPv6.
    #[error("it is not the address of a router")]
    NotARouter,
    /// Destination and gateway are of two families.
    #[error("the destination is of another IP family")]
    Family,
    /// A link-scope route has a gateway.
    #[error("a route with scope 253 or 254 cannot have a gateway")]
    LinkScope,
    /// Scope 255.
    #[error("Linux takes no route with scope 255")]
    Nowhere,
    /// An IPv4 destination has bits behind its prefix.
    #[error("the destination has host bits")]
    HostBits,
    /// The same route was added before.
    #[error("the same route was added before")]
    Repeated,
}

impl Refused {
    /// Whether it is the gateway that is wrong.
    pub fn is_of_gateway(self) -> bool {
        match self {
            Self::Unreachable | Self::Broadcast | Self::Own | Self::NotARouter | Self::Family => {
                true
            }
            Self::LinkScope | Self::Nowhere | Self::HostBits | Self::Repeated => false,
        }
    }
}

/// The addresses and routes of one interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    addresses: Vec<InterfaceAddress>,
    routes: Vec<Route>,
}

impl Route {
    /// A default route by this gateway, as Multus adds it.
    pub fn default_by(gateway: IpAddr) -> Self {
        Self {
            dst: Subnet {
                address: if gateway.is_ipv4() {
                    IpAddr::from([0; 4])
                } else {
                    IpAddr::from([0; 16])
                },
                prefix: 0,
            },
            gateway: Some(gateway),
            scope: 0,
            table: 0,
            priority: 0,
        }
    }

    /// The gateway that counts: `0.0.0.0` is none.
    fn effective_gateway(&self) -> Option<IpAddr> {
        self.gateway
            .filter(|gateway| !(gateway.is_ipv4() && gateway.is_unspecified()))
    }

    fn table(&self) -> i64 {
        if self.table == 0 {
            TABLE_MAIN
        } else {
            self.table
        }
    }

    /// Whether Linux looks into the other route's table for this one's gateway: its own and the main
    /// table.
    fn looks_into(&self, other: &Self) -> bool {
        other.table() == self.table() || other.table() == TABLE_MAIN
    }

    fn is_same(&self, other: &Self) -> bool {
        let key = |route: &Self| {
            let window = route.dst.window();
            let scope = if window.is_ipv4() { route.scope } else { 0 };
            let gateway = route.effective_gateway();
            (
                window.first(),
                route.dst.prefix,
                gateway,
                scope,
                route.table(),
                route.priority,
            )
        };
        key(self) == key(other)
    }
}

impl Reach {
    /// An interface with these addresses and no routes but their own.
    pub fn of(addresses: impl IntoIterator<Item = InterfaceAddress>) -> Self {
        Self {
            addresses: addresses.into_iter().collect(),
            routes: Vec::new(),
        }
    }

    /// The addresses.
    pub fn addresses(&self) -> &[InterfaceAddress] {
        &self.addresses
    }

    /// The same routes on an interface with other addresses.
    #[must_use]
    pub fn with_addresses(self, addresses: impl IntoIterator<Item = InterfaceAddress>) -> Self {
        Self {
            addresses: addresses.into_iter().collect(),
            ..self
        }
    }

    /// Adds a route.
    ///
    /// # Errors
    /// The reason for which Linux refuses it; then nothing is added.
    pub fn add(&mut self, route: Route) -> Result<(), Refused> {
        self.check(&route)?;
        if self.routes.iter().any(|known| known.is_same(&route)) {
            return Err(Refused::Repeated);
        }
        self.routes.push(route);
        Ok(())
    }

    /// Checks a route without adding it; whether it was added before is not looked at.
    ///
    /// # Errors
    /// The reason for which Linux refuses it.
    pub fn check(&self, route: &Route) -> Result<(), Refused> {
        let v4 = route.dst.address.is_ipv4();
        if route.gateway.is_some_and(|gateway| gateway.is_ipv4() != v4) {
            return Err(Refused::Family);
        }
        match route.effective_gateway() {
            Some(IpAddr::V6(gateway)) => self.check_v6(route, gateway),
            Some(gateway) => self.check_v4(route, gateway),
            None if v4 && route.scope == SCOPE_NOWHERE => Err(Refused::Nowhere),
            None if v4 && route.dst.has_host_bits() => Err(Refused::HostBits),
            None => Ok(()),
        }
    }

    /// Only what is on the wire counts: the subnets, and routes of link scope without a gateway.
    fn check_v4(&self, route: &Route, gateway: IpAddr) -> Result<(), Refused> {
        if route.dst.has_host_bits() {
            return Err(Refused::HostBits);
        }
        if route.scope >= SCOPE_LINK {
            return Err(Refused::LinkScope);
        }
        let mut near = self.addresses.iter();
        if let Some(own) = near.find(|own| own.subnet.window().contains(gateway)) {
            let window = own.subnet.window();
            let has_broadcast = own.subnet.host_bits() > 1;
            return if has_broadcast && window.last() == gateway {
                Err(Refused::Broadcast)
            } else {
                Ok(())
            };
        }
        let on_wire = |known: &&Route| {
            known.effective_gateway().is_none()
                && known.scope >= SCOPE_LINK
                && known.dst.window().contains(gateway)
                && route.looks_into(known)
        };
        match self.routes.iter().find(on_wire) {
            Some(_) => Ok(()),
            None => Err(Refused::Unreachable),
        }
    }

    /// The narrowest route that covers the gateway must not have one itself. A link-local gateway is on
    /// every wire.
    fn check_v6(&self, route: &Route, gateway: Ipv6Addr) -> Result<(), Refused> {
        let address = IpAddr::V6(gateway);
        if gateway.is_unspecified() || gateway.is_multicast() {
            return Err(Refused::NotARouter);
        }
        let own = |own: &InterfaceAddress| own.exact && own.subnet.address == address;
        if self.addresses.iter().any(own) {
            return Err(Refused::Own);
        }
        if gateway.is_unicast_link_local() {
            return Ok(());
        }
        let near = self.addresses.iter().map(|own| (own.subnet, true));
        let far = self.routes.iter().filter(|known| route.looks_into(known));
        let far = far.map(|known| (known.dst, known.gateway.is_none()));
        let covers = near
            .chain(far)
            .filter(|(subnet, _)| subnet.window().contains(address));
        match covers.max_by_key(|(subnet, is_near)| (subnet.prefix, *is_near)) {
            Some((_, true)) => Ok(()),
            _ => Err(Refused::Unreachable),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        Subnet::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn reach(addresses: &[&str]) -> Reach {
        let address = |text: &&str| InterfaceAddress {
            subnet: subnet(text),
            exact: true,
        };
        Reach::of(addresses.iter().map(address))
    }

    fn to(dst: &str, gateway: &str) -> Route {
        Route {
            dst: subnet(dst),
            gateway: (!gateway.is_empty())
                .then(|| gateway.parse().unwrap_or_else(|_| panic!("{gateway}"))),
            scope: 0,
            table: 0,
            priority: 0,
        }
    }

    fn on_link(dst: &str) -> Route {
        Route {
            scope: SCOPE_LINK,
            ..to(dst, "")
        }
    }

    /// What becomes of the last of these routes; those before it are taken.
    fn last(addresses: &[&str], routes: &[Route]) -> Result<(), Refused> {
        let mut reach = reach(addresses);
        let [before @ .., last] = routes else {
            return Ok(());
        };
        for route in before {
            assert_eq!(reach.add(*route), Ok(()), "{route:?}");
        }
        reach.add(*last)
    }

    #[test]
    fn gateways_of_ipv4() {
        let by = |gateway| last(&["192.0.2.5/24"], &[to("10.0.0.0/8", gateway)]);
        for taken in ["192.0.2.1", "192.0.2.0", "192.0.2.5", "0.0.0.0", ""] {
            assert_eq!(by(taken), Ok(()), "{taken}");
        }
        for far in ["10.9.9.1", "224.0.0.1", "127.0.0.1"] {
            assert_eq!(by(far), Err(Refused::Unreachable), "{far}");
        }
        assert_eq!(by("192.0.2.255"), Err(Refused::Broadcast));
        assert_eq!(by("2001:db8::1"), Err(Refused::Family));
        let narrow = |address, gateway| last(&[address], &[to("0.0.0.0/0", gateway)]);
        assert_eq!(narrow("192.0.2.4/31", "192.0.2.5"), Ok(()));
        assert_eq!(
            narrow("192.0.2.5/32", "192.0.2.1"),
            Err(Refused::Unreachable)
        );
    }

    #[test]
    fn a_link_scope_route_of_ipv4_extends_what_is_near() {
        let far = to("10.0.0.0/8", "10.9.9.1");
        let after = |route| last(&["192.0.2.5/24"], &[route, far]);
        assert_eq!(after(on_link("10.9.9.0/24")), Ok(()));
        assert_eq!(after(on_link("0.0.0.0/0")), Ok(()));
        assert_eq!(after(to("10.9.9.0/24", "")), Err(Refused::Unreachable));
        let tabled = |route, table| Route { table, ..route };
        assert_eq!(
            after(tabled(on_link("10.9.9.0/24"), 100)),
            Err(Refused::Unreachable)
        );
        let both = [tabled(on_link("10.9.9.0/24"), 100), tabled(far, 100)];
        assert_eq!(last(&["192.0.2.5/24"], &both), Ok(()));
        let main = [on_link("10.9.9.0/24"), tabled(far, 100)];
        assert_eq!(last(&["192.0.2.5/24"], &main), Ok(()));
        let by = Route {
            scope: SCOPE_LINK,
            ..to("10.9.9.0/24", "192.0.2.1")
        };
        assert_eq!(last(&["192.0.2.5/24"], &[by]), Err(Refused::LinkScope));
    }

    #[test]
    fn gateways_of_ipv6() {
        let by = |gateway| last(&["2001:db8::5/64"], &[to("2001:db8:8::/48", gateway)]);
        for taken in ["2001:db8::1", "2001:db8::", "fe80::1", ""] {
            assert_eq!(by(taken), Ok(()), "{taken}");
        }
        assert_eq!(by("2001:db8:9::1"), Err(Refused::Unreachable));
        assert_eq!(by("2001:db8::5"), Err(Refused::Own));
        assert_eq!(by("::"), Err(Refused::NotARouter));
        assert_eq!(by("ff02::1"), Err(Refused::NotARouter));
        assert_eq!(by("192.0.2.1"), Err(Refused::Family));
        let none = last(&["192.0.2.5/24"], &[to("::/0", "fe80::1")]);
        assert_eq!(none, Ok(()), "a link-local gateway needs no address");
    }

    #[test]
    fn any_route_of_ipv6_without_a_gateway_extends_what_is_near() {
        let far = to("2001:db8:8::/48", "2001:db8:9::1");
        let after = |address: &str, route| last(&[address], &[route, far]);
        assert_eq!(after("2001:db8::5/64", to("2001:db8:9::/48", "")), Ok(()));
        assert_eq!(after("2001:db8::5/64", to("::/0", "")), Ok(()));
        let shadowed = after("2001:db8::5/32", to("2001:db8:9::/48", "2001:db8::1"));
        assert_eq!(shadowed, Err(Refused::Unreachable));
    }

    #[test]
    fn what_is_no_matter_of_gateways() {
        let v4 = |route| last(&["192.0.2.5/24"], &[to("10.0.0.0/8", "192.0.2.1"), route]);
        assert_eq!(v4(to("10.0.0.0/8", "192.0.2.1")), Err(Refused::Repeated));
        assert_eq!(v4(to("10.0.0.0/8", "192.0.2.2")), Ok(()));
        let priority = Route {
            priority: 7,
            ..to("10.0.0.0/8", "192.0.2.1")
        };
        assert_eq!(v4(priority), Ok(()));
        assert_eq!(v4(to("10.0.0.1/8", "192.0.2.2")), Err(Refused::HostBits));
        let v6 = last(
            &["2001:db8::5/64"],
            &[to("2001:db8:8::1/48", "2001:db8::1")],
        );
        assert_eq!(v6, Ok(()));
        let nowhere = Route {
            scope: 255,
            ..to("172.16.0.0/12", "")
        };
        assert_eq!(v4(nowhere), Err(Refused::Nowhere));
    }
}
