//! Simulates which routes Linux accepts on an interface, and which gateways the interface reaches,
//! as plugins add addresses and routes one after the other.
//!
//! The behavior was observed by running the plugins on Linux 6
//! (`tests/fixtures/cases/plugins.json`).

use std::net::{IpAddr, Ipv6Addr};

use thiserror::Error;

use super::range::Subnet;

/// `RT_SCOPE_LINK`: the destination of a route of this scope, or a narrower one, is on-link.
pub(crate) const SCOPE_LINK: u8 = 253;
/// `RT_SCOPE_NOWHERE`: Linux rejects routes of this scope.
const SCOPE_NOWHERE: u8 = 255;
/// `RT_TABLE_MAIN`; 0 means this table, too.
const TABLE_MAIN: i64 = 254;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// The address with its prefix length; if it is not `exact`, any address of the subnet.
    pub subnet: Subnet,
    /// True if the address itself is known, not only its subnet.
    pub exact: bool,
}

/// A route as a plugin adds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The destination.
    pub dst: Subnet,
    /// The gateway, if it has one.
    pub gateway: Option<IpAddr>,
    /// The scope; only IPv4 routes have one.
    pub scope: u8,
    pub table: i64,
    pub priority: i64,
}

/// The reason why Linux rejects a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RouteError {
    /// No subnet of the interface and no earlier route without a gateway covers the gateway.
    #[error("the interface does not reach the gateway")]
    Unreachable,
    /// The gateway is a broadcast address.
    #[error("the gateway is the broadcast address of its subnet")]
    Broadcast,
    /// The gateway is the interface's own IPv6 address.
    #[error("the gateway is the interface's own address")]
    OwnAddress,
    /// The gateway is `::`, or a multicast address of IPv6.
    #[error("the gateway is not the address of a router")]
    NotARouter,
    /// Destination and gateway are of two families.
    #[error("the destination is of another IP family than the gateway")]
    Family,
    /// A link-scope route has a gateway.
    #[error("a route with scope 253 or 254 cannot have a gateway")]
    LinkScope,
    #[error("a route cannot have scope 255")]
    NowhereScope,
    /// An IPv4 destination has host bits.
    #[error("the destination has host bits")]
    HostBits,
    /// An identical route was added before.
    #[error("the same route was added before")]
    Duplicate,
}

impl RouteError {
    /// Returns true if the gateway is the cause.
    pub fn concerns_gateway(self) -> bool {
        match self {
            Self::Unreachable
            | Self::Broadcast
            | Self::OwnAddress
            | Self::NotARouter
            | Self::Family => true,
            Self::LinkScope | Self::NowhereScope | Self::HostBits | Self::Duplicate => false,
        }
    }
}

/// The addresses and routes of one interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InterfaceRouting {
    addresses: Vec<InterfaceAddress>,
    routes: Vec<Route>,
}

impl Route {
    /// Creates the default route through this gateway that Multus adds.
    pub fn default_via(gateway: IpAddr) -> Self {
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

    /// Returns the gateway; `0.0.0.0` counts as absent.
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

    /// Returns true if Linux searches the other route's table for this route's gateway: it searches
    /// the route's own table and the main table.
    fn looks_into(&self, other: &Self) -> bool {
        other.table() == self.table() || other.table() == TABLE_MAIN
    }

    fn is_same(&self, other: &Self) -> bool {
        let key = |route: &Self| {
            let window = route.dst.range();
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

impl InterfaceRouting {
    /// Creates an interface with these addresses and no routes except those to their subnets.
    pub fn of(addresses: impl IntoIterator<Item = InterfaceAddress>) -> Self {
        Self {
            addresses: addresses.into_iter().collect(),
            routes: Vec::new(),
        }
    }

    /// Returns the addresses.
    pub fn addresses(&self) -> &[InterfaceAddress] {
        &self.addresses
    }

    /// Replaces the addresses and keeps the routes.
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
    /// Returns the reason why Linux rejects the route, which is then not added.
    pub fn add(&mut self, route: Route) -> Result<(), RouteError> {
        self.check(&route)?;
        if self.routes.iter().any(|known| known.is_same(&route)) {
            return Err(RouteError::Duplicate);
        }
        self.routes.push(route);
        Ok(())
    }

    /// Checks a route without adding it. It does not check for duplicates.
    ///
    /// # Errors
    /// Returns the reason why Linux rejects the route.
    pub fn check(&self, route: &Route) -> Result<(), RouteError> {
        let v4 = route.dst.address.is_ipv4();
        if route.gateway.is_some_and(|gateway| gateway.is_ipv4() != v4) {
            return Err(RouteError::Family);
        }
        match route.effective_gateway() {
            Some(IpAddr::V6(gateway)) => self.check_v6(route, gateway),
            Some(gateway) => self.check_v4(route, gateway),
            None if v4 && route.scope == SCOPE_NOWHERE => Err(RouteError::NowhereScope),
            None if v4 && route.dst.has_host_bits() => Err(RouteError::HostBits),
            None => Ok(()),
        }
    }

    /// An IPv4 gateway must be on-link: in one of the subnets, or covered by a link-scope route
    /// without a gateway.
    fn check_v4(&self, route: &Route, gateway: IpAddr) -> Result<(), RouteError> {
        if route.dst.has_host_bits() {
            return Err(RouteError::HostBits);
        }
        if route.scope >= SCOPE_LINK {
            return Err(RouteError::LinkScope);
        }
        let mut near = self.addresses.iter();
        if let Some(own) = near.find(|own| own.subnet.range().contains(gateway)) {
            let window = own.subnet.range();
            let has_broadcast = own.subnet.host_bits() > 1;
            return if has_broadcast && window.last() == gateway {
                Err(RouteError::Broadcast)
            } else {
                Ok(())
            };
        }
        let on_wire = |known: &&Route| {
            known.effective_gateway().is_none()
                && known.scope >= SCOPE_LINK
                && known.dst.range().contains(gateway)
                && route.looks_into(known)
        };
        match self.routes.iter().find(on_wire) {
            Some(_) => Ok(()),
            None => Err(RouteError::Unreachable),
        }
    }

    /// The most specific route that covers an IPv6 gateway must not have a gateway itself. A
    /// link-local gateway is always reachable.
    fn check_v6(&self, route: &Route, gateway: Ipv6Addr) -> Result<(), RouteError> {
        let address = IpAddr::V6(gateway);
        if gateway.is_unspecified() || gateway.is_multicast() {
            return Err(RouteError::NotARouter);
        }
        let own = |own: &InterfaceAddress| own.exact && own.subnet.address == address;
        if self.addresses.iter().any(own) {
            return Err(RouteError::OwnAddress);
        }
        if gateway.is_unicast_link_local() {
            return Ok(());
        }
        let near = self.addresses.iter().map(|own| (own.subnet, true));
        let far = self.routes.iter().filter(|known| route.looks_into(known));
        let far = far.map(|known| (known.dst, known.gateway.is_none()));
        let covers = near
            .chain(far)
            .filter(|(subnet, _)| subnet.range().contains(address));
        match covers.max_by_key(|(subnet, is_near)| (subnet.prefix, *is_near)) {
            Some((_, true)) => Ok(()),
            _ => Err(RouteError::Unreachable),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        Subnet::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn reach(addresses: &[&str]) -> InterfaceRouting {
        let address = |text: &&str| InterfaceAddress {
            subnet: subnet(text),
            exact: true,
        };
        InterfaceRouting::of(addresses.iter().map(address))
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

    /// Returns the result of adding the last of these routes; the others must be accepted.
    fn last(addresses: &[&str], routes: &[Route]) -> Result<(), RouteError> {
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
            assert_eq!(by(far), Err(RouteError::Unreachable), "{far}");
        }
        assert_eq!(by("192.0.2.255"), Err(RouteError::Broadcast));
        assert_eq!(by("2001:db8::1"), Err(RouteError::Family));
        let narrow = |address, gateway| last(&[address], &[to("0.0.0.0/0", gateway)]);
        assert_eq!(narrow("192.0.2.4/31", "192.0.2.5"), Ok(()));
        assert_eq!(
            narrow("192.0.2.5/32", "192.0.2.1"),
            Err(RouteError::Unreachable)
        );
    }

    #[test]
    fn a_link_scope_route_of_ipv4_extends_what_is_near() {
        let far = to("10.0.0.0/8", "10.9.9.1");
        let after = |route| last(&["192.0.2.5/24"], &[route, far]);
        assert_eq!(after(on_link("10.9.9.0/24")), Ok(()));
        assert_eq!(after(on_link("0.0.0.0/0")), Ok(()));
        assert_eq!(after(to("10.9.9.0/24", "")), Err(RouteError::Unreachable));
        let tabled = |route, table| Route { table, ..route };
        assert_eq!(
            after(tabled(on_link("10.9.9.0/24"), 100)),
            Err(RouteError::Unreachable)
        );
        let both = [tabled(on_link("10.9.9.0/24"), 100), tabled(far, 100)];
        assert_eq!(last(&["192.0.2.5/24"], &both), Ok(()));
        let main = [on_link("10.9.9.0/24"), tabled(far, 100)];
        assert_eq!(last(&["192.0.2.5/24"], &main), Ok(()));
        let by = Route {
            scope: SCOPE_LINK,
            ..to("10.9.9.0/24", "192.0.2.1")
        };
        assert_eq!(last(&["192.0.2.5/24"], &[by]), Err(RouteError::LinkScope));
    }

    #[test]
    fn gateways_of_ipv6() {
        let by = |gateway| last(&["2001:db8::5/64"], &[to("2001:db8:8::/48", gateway)]);
        for taken in ["2001:db8::1", "2001:db8::", "fe80::1", ""] {
            assert_eq!(by(taken), Ok(()), "{taken}");
        }
        assert_eq!(by("2001:db8:9::1"), Err(RouteError::Unreachable));
        assert_eq!(by("2001:db8::5"), Err(RouteError::OwnAddress));
        assert_eq!(by("::"), Err(RouteError::NotARouter));
        assert_eq!(by("ff02::1"), Err(RouteError::NotARouter));
        assert_eq!(by("192.0.2.1"), Err(RouteError::Family));
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
        assert_eq!(shadowed, Err(RouteError::Unreachable));
    }

    #[test]
    fn checks_that_do_not_concern_gateways() {
        let v4 = |route| last(&["192.0.2.5/24"], &[to("10.0.0.0/8", "192.0.2.1"), route]);
        assert_eq!(
            v4(to("10.0.0.0/8", "192.0.2.1")),
            Err(RouteError::Duplicate)
        );
        assert_eq!(v4(to("10.0.0.0/8", "192.0.2.2")), Ok(()));
        let priority = Route {
            priority: 7,
            ..to("10.0.0.0/8", "192.0.2.1")
        };
        assert_eq!(v4(priority), Ok(()));
        assert_eq!(v4(to("10.0.0.1/8", "192.0.2.2")), Err(RouteError::HostBits));
        let v6 = last(
            &["2001:db8::5/64"],
            &[to("2001:db8:8::1/48", "2001:db8::1")],
        );
        assert_eq!(v6, Ok(()));
        let nowhere = Route {
            scope: 255,
            ..to("172.16.0.0/12", "")
        };
        assert_eq!(v4(nowhere), Err(RouteError::NowhereScope));
    }
}
