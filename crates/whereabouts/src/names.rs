//! The address spaces of Whereabouts's records: which networks an `IPPool` serves, and what a
//! reservation's name says.
//!
//! Neither object has its `network_name` in a field; it is a part of the name. The configurations of
//! networks say which names there can be; without one the name alone decides.

use std::net::{IpAddr, Ipv6Addr};

use nadmit_cni::{
    BoundedSubnet, IpRange, Network, Subnet,
    assignable::{AssignableRange, AssignableSource, assignable_ranges},
    ipam::{Ipam, WhereaboutsIpam},
};

use super::IpPool;

/// An address in its address space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpaceAddress<'s> {
    pub space: &'s str,
    pub address: IpAddr,
}

/// A network that Whereabouts serves.
#[derive(Debug, Clone)]
pub struct WhereaboutsNetwork<'s> {
    pub network: &'s Network,
    pub ipam: &'s WhereaboutsIpam,
    /// The address space: `network_name`, or nothing.
    pub space: &'s str,
    /// The subnets of its ranges.
    pub subnets: Vec<Subnet>,
    /// The addresses that Whereabouts assigns of them.
    assignable: Vec<AssignableRange>,
}

/// The address space of an `IPPool`, and the networks whose configurations say so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolSpace<'s> {
    pub space: &'s str,
    /// The indices of the networks in the list of Whereabouts networks; empty if none uses the pool.
    pub networks: Vec<usize>,
}

impl<'s> WhereaboutsNetwork<'s> {
    /// Returns the network, if Whereabouts serves it.
    pub fn of(network: &'s Network) -> Option<Self> {
        let config = network.config.loaded()?;
        let Some(Ipam::Whereabouts(ipam)) = config.ipam() else {
            return None;
        };
        let assignable = assignable_ranges(config).into_iter();
        let assignable =
            assignable.filter(|one| matches!(one.source, AssignableSource::Range { .. }));
        let subnet = |range: &str| Some(BoundedSubnet::parse(range.trim()).ok()?.subnet);
        let ranges = ipam.ranges.iter();
        Some(Self {
            network,
            ipam,
            space: ipam.network_name.as_deref().unwrap_or_default(),
            subnets: ranges.filter_map(|one| subnet(&one.range)).collect(),
            assignable: assignable.collect(),
        })
    }

    /// Returns true if Whereabouts can assign an address on it.
    pub fn assigns(&self, address: IpAddr) -> bool {
        let mut assignable = self.assignable.iter();
        assignable.any(|one| one.range.contains(address))
    }

    /// Returns true if each node allocates from a slice of its own.
    pub fn is_sliced(&self) -> bool {
        self.ipam.node_slice_size.is_some()
    }

    /// Returns the addresses that Whereabouts assigns of the range of this subnet; nothing with slices,
    /// whose pools have a slice as their range.
    pub(super) fn assigned_of(&self, subnet: IpRange) -> impl Iterator<Item = IpRange> {
        let own = move |one: &&AssignableRange| matches!(one.source, AssignableSource::Range { pool, .. } if pool == Some(subnet));
        self.assignable.iter().filter(own).map(|one| one.range)
    }

    /// Returns true if this configuration leads to a pool of this name and range.
    fn uses(&self, name: &str, range: IpRange, masked: &str) -> bool {
        let Some(rest) = strip_space(name, self.space) else {
            return false;
        };
        let mut subnets = self.subnets.iter().map(|subnet| subnet.range());
        if !self.is_sliced() {
            return rest == masked && subnets.any(|subnet| subnet == range);
        }
        let node = rest
            .strip_suffix(masked)
            .and_then(|rest| rest.strip_suffix('-'));
        let within = |subnet: IpRange| subnet.intersection(range) == Some(range);
        node.is_some_and(|node| !node.is_empty()) && subnets.any(within)
    }
}

/// Returns a subnet as names of pools have it.
fn in_name(subnet: Subnet) -> String {
    subnet.to_string().replace([':', '/'], "-")
}

/// Returns the name of the `IPPool` of a subnet. `node` is the node whose slice it is.
pub fn ip_pool_name(space: &str, node: Option<&str>, subnet: Subnet) -> String {
    let parts = [Some(space).filter(|space| !space.is_empty()), node];
    let mut name = String::new();
    for part in parts.into_iter().flatten() {
        name.push_str(part);
        name.push('-');
    }
    name.push_str(&in_name(subnet));
    name
}

/// Returns the rest of a name after the prefix of its address space.
fn strip_space<'n>(name: &'n str, space: &str) -> Option<&'n str> {
    match space {
        "" => Some(name),
        space => name.strip_prefix(space)?.strip_prefix('-'),
    }
}

/// Returns the address space of a pool. If several configurations lead to its name, those without
/// slices count, and then those with the longest `network_name`: a node's name is the rest.
pub fn pool_space<'s>(pool: &'s IpPool, networks: &[WhereaboutsNetwork<'s>]) -> PoolSpace<'s> {
    pool_space_among(pool, networks.iter().enumerate())
}

/// Returns the address space of a pool as [`pool_space`] does, from the networks that have its range, or
/// slices; each with its index.
pub fn pool_space_among<'n, 's: 'n>(
    pool: &'s IpPool,
    networks: impl Iterator<Item = (usize, &'n WhereaboutsNetwork<'s>)> + Clone,
) -> PoolSpace<'s> {
    let (range, masked) = (pool.range.range(), in_name(pool.range));
    let matching = || {
        let all = networks.clone();
        all.filter(|(_, one)| one.uses(&pool.name, range, &masked))
    };
    let rank = |one: &WhereaboutsNetwork<'_>| (!one.is_sliced(), one.space.len());
    let Some(best) = matching().map(|(_, one)| rank(one)).max() else {
        let before = pool.name.strip_suffix(&*masked).unwrap_or_default();
        return PoolSpace {
            space: before.strip_suffix('-').unwrap_or_default(),
            networks: Vec::new(),
        };
    };
    let used: Vec<(usize, &str)> = matching()
        .filter(|(_, one)| rank(one) == best)
        .map(|(at, one)| (at, one.space))
        .collect();
    PoolSpace {
        space: used.first().map_or("", |(_, space)| space),
        networks: used.into_iter().map(|(at, _)| at).collect(),
    }
}

/// Returns true if a pool may be that of a node's slice, and `space` an address space of its addresses: the
/// `network_name` of the network that is divided or, without reservations, the name of its range.
pub fn may_be_slice(pool: &IpPool, space: &str) -> bool {
    let masked = in_name(pool.range);
    let Some(before) = pool.name.strip_suffix(&*masked) else {
        return false;
    };
    let is_of = |network_name: &str| {
        let node = strip_space(before, network_name).and_then(|rest| rest.strip_suffix('-'));
        node.is_some_and(|node| !node.is_empty())
    };
    // The last two parts of the name of a range are its address and prefix length.
    let of_range = || {
        let mut parts = space.rsplitn(3, '-');
        let (prefix, address) = (parts.next()?, parts.next()?);
        let whole = Subnet::parse(&format!("{address}/{prefix}")).ok()?.range();
        let contains = whole.intersection(pool.range.range()) == Some(pool.range.range());
        contains.then(|| parts.next().unwrap_or_default())
    };
    is_of(space) || of_range().is_some_and(is_of)
}

/// Returns what the name of a reservation can mean: an address in one of the known address spaces, or
/// else in one that only the name says.
pub fn reservation_addresses<'s>(name: &'s str, spaces: &[&'s str]) -> Vec<SpaceAddress<'s>> {
    let of = |space: &&'s str| {
        let address = address(strip_space(name, space)?)?;
        Some(SpaceAddress { space, address })
    };
    let known: Vec<SpaceAddress<'_>> = spaces.iter().filter_map(of).collect();
    if !known.is_empty() {
        return known;
    }
    if let Some(address) = address(name) {
        return vec![SpaceAddress { space: "", address }];
    }
    let mut dashes = name.match_indices('-');
    let split = dashes.find_map(|(at, _)| {
        Some(SpaceAddress {
            space: name.get(..at)?,
            address: address(name.get(at + 1..)?)?,
        })
    });
    split.into_iter().collect()
}

/// Returns the name of the reservation of an address.
pub fn reservation_name(space: &str, address: IpAddr) -> String {
    let mut name = address.to_string().replace(':', "-");
    // No object's name ends with a dash.
    if name.ends_with('-') {
        name.push('0');
    }
    match space {
        "" => name,
        space => format!("{space}-{name}"),
    }
}

/// Returns the address that a name spells, with `-` for `:`.
fn address(text: &str) -> Option<IpAddr> {
    if text.contains('.') {
        return text.parse().ok();
    }
    let address: Ipv6Addr = text.replace('-', ":").parse().ok()?;
    Some(address.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(ipam: &str) -> Network {
        let config = format!(r#"{{"type":"macvlan","ipam":{{"type":"whereabouts",{ipam}}}}}"#);
        Network::new("db", "net", Some(&config))
    }

    fn pool(name: &str, range: &str) -> IpPool {
        IpPool {
            namespace: "kube-system".into(),
            name: name.into(),
            version: None,
            range: Subnet::parse(range).unwrap_or_else(|e| panic!("{range}: {e}")),
            range_text: range.into(),
            entries: Vec::new(),
        }
    }

    #[test]
    fn names_of_pools_lead_to_spaces() {
        let sliced = r#""range":"10.8.0.0/16","node_slice_size":"/24""#;
        let table: &[(&str, &str, &str, &str, bool)] = &[
            // Configuration, name and range of the pool; its space, and if the network uses it.
            (
                r#""range":"10.0.0.0/8""#,
                "10.0.0.0-8",
                "10.0.0.0/8",
                "",
                true,
            ),
            (
                r#""range":"10.0.0.5/8""#,
                "10.0.0.0-8",
                "10.0.0.0/8",
                "",
                true,
            ),
            (
                r#""range":"10.0.0.5-10.0.0.9/8""#,
                "10.0.0.0-8",
                "10.0.0.0/8",
                "",
                true,
            ),
            (
                r#""range":"10.0.0.0/8","network_name":"test""#,
                "test-10.0.0.0-8",
                "10.0.0.0/8",
                "test",
                true,
            ),
            (
                r#""range":"10.0.0.0/8","network_name":"test""#,
                "10.0.0.0-8",
                "10.0.0.0/8",
                "",
                false,
            ),
            (
                r#""range":"10.0.0.0/8""#,
                "test-10.0.0.0-8",
                "10.0.0.0/8",
                "test",
                false,
            ),
            (
                r#""range":"10.0.0.0/9""#,
                "10.0.0.0-8",
                "10.0.0.0/8",
                "",
                false,
            ),
            (
                r#""range":"fd00:1::/64""#,
                "fd00-1---64",
                "fd00:1::/64",
                "",
                true,
            ),
            (
                r#""ipRanges":[{"range":"10.0.0.0/8"},{"range":"fd00:1::/64"}]"#,
                "fd00-1---64",
                "fd00:1::/64",
                "",
                true,
            ),
            (sliced, "n7-10.8.3.0-24", "10.8.3.0/24", "", true),
            (sliced, "10.8.3.0-24", "10.8.3.0/24", "", false),
            (sliced, "n7-10.9.3.0-24", "10.9.3.0/24", "n7", false),
        ];
        for (ipam, name, range, space, used) in table {
            let network = network(ipam);
            let networks: Vec<_> = WhereaboutsNetwork::of(&network).into_iter().collect();
            let pool = pool(name, range);
            let found = pool_space(&pool, &networks);
            assert_eq!(
                (found.space, !found.networks.is_empty()),
                (*space, *used),
                "{ipam} {name}"
            );
        }
    }

    #[test]
    fn the_longest_network_name_leaves_the_node() {
        let networks = [
            network(r#""range":"10.8.0.0/16","node_slice_size":"/24""#),
            network(r#""range":"10.8.0.0/16","node_slice_size":"/24","network_name":"neta""#),
        ];
        let networks: Vec<_> = networks.iter().filter_map(WhereaboutsNetwork::of).collect();
        let pool = pool("neta-n7-10.8.3.0-24", "10.8.3.0/24");
        let found = pool_space(&pool, &networks);
        assert_eq!((found.space, found.networks), ("neta", vec![1]));
    }

    #[test]
    fn names_of_reservations_lead_to_addresses() {
        let ip = |text: &str| -> IpAddr { text.parse().unwrap_or_else(|e| panic!("{text}: {e}")) };
        type Meanings<'t> = &'t [(&'t str, &'t str)];
        // The name, the known address spaces, and what it can mean.
        let table: &[(&str, &[&str], Meanings<'_>)] = &[
            ("198.51.100.77", &[""], &[("", "198.51.100.77")]),
            (
                "neta-198.51.100.77",
                &["", "neta"],
                &[("neta", "198.51.100.77")],
            ),
            ("neta-198.51.100.77", &[""], &[("neta", "198.51.100.77")]),
            ("a-b-198.51.100.77", &[], &[("a-b", "198.51.100.77")]),
            ("fd00-1--77", &[""], &[("", "fd00:1::77")]),
            ("fd00-1--0", &[""], &[("", "fd00:1::")]),
            ("neta-fd00-1--77", &["neta"], &[("neta", "fd00:1::77")]),
            // Both can be meant: the records of addresses decide.
            (
                "ab-fd00-1--77",
                &["", "ab"],
                &[("", "ab:fd00:1::77"), ("ab", "fd00:1::77")],
            ),
            ("nonsense", &[""], &[]),
        ];
        for (name, spaces, expected) in table {
            let expected: Vec<SpaceAddress<'_>> = expected
                .iter()
                .map(|(space, text)| SpaceAddress {
                    space,
                    address: ip(text),
                })
                .collect();
            assert_eq!(reservation_addresses(name, spaces), expected, "{name}");
            for SpaceAddress { space, address } in expected {
                assert_eq!(reservation_name(space, address), *name);
            }
        }
    }
}
