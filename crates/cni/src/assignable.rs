//! The addresses that a configuration assigns: the ranges of Whereabouts, as Whereabouts allocates
//! from them, and configured addresses.
//!
//! This module does not report mistakes. What cannot be parsed assigns nothing; the rules for a
//! single network report it.

use super::{
    address::{AddressRequest, parse_address},
    cni::NetworkConfig,
    ipam::{ConfiguredAddress, Ipam, WhereaboutsIpam, WhereaboutsRange},
    range::{IpRange, Subnet},
};

/// A range of addresses that a network assigns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AssignableRange {
    /// The addresses.
    pub range: IpRange,
    /// The index of the plugin whose IPAM assigns them.
    pub plugin: usize,
    /// The configuration that they result from.
    pub source: AssignableSource,
}

/// The configuration that assigns a range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AssignableSource {
    /// A range of Whereabouts.
    Range {
        /// The index in [`WhereaboutsIpam::ranges`].
        index: usize,
        /// The subnet, by which Whereabouts names its `IPPool`; `None` if each node allocates from
        /// its own slice.
        pool: Option<IpRange>,
    },
    /// A configured address.
    Configured {
        /// The index in the addresses of the IPAM.
        index: usize,
    },
}

/// Returns every range that a configuration assigns, in the order of the configuration.
pub fn assignable_ranges(config: &NetworkConfig) -> Vec<AssignableRange> {
    let mut supplies = Vec::new();
    for (plugin, part) in config.plugins.iter().enumerate() {
        match &part.ipam {
            Some(Ipam::Whereabouts(ipam)) => {
                for (index, range) in ipam.ranges.iter().enumerate() {
                    let Some((subnet, ranges)) = whereabouts_ranges(ipam, range) else {
                        continue;
                    };
                    let pool = ipam.node_slice_size.is_none().then_some(subnet);
                    let from = AssignableSource::Range { index, pool };
                    supplies.extend(ranges.into_iter().map(|range| AssignableRange {
                        range,
                        plugin,
                        source: from,
                    }));
                }
                push_configured(&ipam.addresses, plugin, &mut supplies);
            }
            Some(Ipam::Static(ipam)) => push_configured(&ipam.addresses, plugin, &mut supplies),
            _ => {}
        }
    }
    supplies
}

fn push_configured(
    addresses: &[ConfiguredAddress],
    plugin: usize,
    supplies: &mut Vec<AssignableRange>,
) {
    for (index, configured) in addresses.iter().enumerate() {
        if let Ok(request) = AddressRequest::parse(&configured.address) {
            supplies.push(AssignableRange {
                range: IpRange::single(request.address),
                plugin,
                source: AssignableSource::Configured { index },
            });
        }
    }
}

/// The addresses of a range of Whereabouts between its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RangeWindow {
    pub subnet: Subnet,
    /// The addresses between the bounds, without the first and the last of the subnet; `None` if none
    /// is left.
    pub window: Option<IpRange>,
}

impl RangeWindow {
    /// Reads a range as Whereabouts does: it ignores bounds outside of the subnet. `None` if the subnet
    /// is not a CIDR or has no hosts.
    pub fn of(range: &WhereaboutsRange) -> Option<Self> {
        let (start, cidr) = match range.range.split_once('-') {
            Some((start, cidr)) => (Some(start.trim()), cidr.trim()),
            None => (None, range.range.trim()),
        };
        let subnet = Subnet::parse(cidr).ok()?;
        let (whole, hosts) = (subnet.range(), subnet.hosts()?);
        let inside = |text: Option<&str>| {
            let address = parse_address(text?.trim()).ok()?;
            whole.contains(address).then_some(address)
        };
        let end = start.and(cidr.split('/').next());
        let first = inside(range.range_start.as_deref()).or(inside(start));
        let last = inside(range.range_end.as_deref()).or(inside(end));
        let bounds = IpRange::new(first.unwrap_or(hosts.first()), last.unwrap_or(hosts.last()));
        Some(Self {
            subnet,
            window: bounds.and_then(|bounds| hosts.intersection(bounds)),
        })
    }
}

/// Returns the subnet of a range, and the addresses that Whereabouts assigns of it: neither its
/// first and last address, nor addresses outside of start and end, nor excluded ones. With node
/// slices Whereabouts ignores start, end and exclusions (whereabouts#666).
fn whereabouts_ranges(
    ipam: &WhereaboutsIpam,
    range: &WhereaboutsRange,
) -> Option<(IpRange, Vec<IpRange>)> {
    let RangeWindow { subnet, window } = RangeWindow::of(range)?;
    if ipam.node_slice_size.is_some() {
        return Some((subnet.range(), vec![subnet.hosts()?]));
    }
    let exclusions = range
        .exclude
        .iter()
        .filter_map(|text| IpRange::parse(text.trim()));
    let ranges = window.map(|window| window.subtract(exclusions).collect());
    Some((subnet.range(), ranges.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn supplies(ipam: &str) -> Vec<String> {
        let config = NetworkConfig::parse(&format!(r#"{{"type":"macvlan","ipam":{ipam}}}"#));
        let supplies = assignable_ranges(&config.unwrap_or_else(|e| panic!("{e}")));
        supplies.iter().map(|s| s.range.in_words()).collect()
    }

    #[test]
    fn a_range_excludes_its_ends_and_exclusions() {
        assert_eq!(
            supplies(
                r#"{"type":"whereabouts","range":"192.0.2.192/27",
                    "exclude":["192.0.2.192/30","192.0.2.200","192.0.2.222/32"]}"#
            ),
            ["192.0.2.196 to 192.0.2.199", "192.0.2.201 to 192.0.2.221"]
        );
        assert_eq!(
            supplies(r#"{"type":"whereabouts","range":"2001:db8::/64"}"#),
            ["2001:db8::1 to 2001:db8::ffff:ffff:ffff:fffe"]
        );
    }

    #[test]
    fn excludes_may_overlap_and_reach_out() {
        assert_eq!(
            supplies(
                r#"{"type":"whereabouts","range":"10.0.0.0/24","exclude":["10.0.0.64/26",
                    "10.0.0.0/28","10.0.0.80/28","10.0.0.200","10.0.0.128/26","10.0.0.255"]}"#
            ),
            [
                "10.0.0.16 to 10.0.0.63",
                "10.0.0.192 to 10.0.0.199",
                "10.0.0.201 to 10.0.0.254"
            ]
        );
        assert_eq!(
            supplies(r#"{"type":"whereabouts","range":"::/120","exclude":["::/0","::1"]}"#),
            [""; 0]
        );
    }

    #[test]
    fn start_and_end_bound_it_in_both_notations() {
        for range in [
            r#""range":"10.0.0.5-10.0.0.9/24""#,
            r#""range":"10.0.0.77/24","range_start":"10.0.0.5","range_end":"10.0.0.9""#,
            r#""ipRanges":[{"range":"10.0.0.0/24","range_start":"10.0.0.5","range_end":"10.0.0.9"}]"#,
        ] {
            let found = supplies(&format!(r#"{{"type":"whereabouts",{range}}}"#));
            assert_eq!(found, ["10.0.0.5 to 10.0.0.9"], "{range}");
        }
    }

    #[test]
    fn slices_are_cut_from_the_whole_range() {
        assert_eq!(
            supplies(
                r#"{"type":"whereabouts","range":"10.5.0.0/20","node_slice_size":"/24",
                    "exclude":["10.5.0.0/24"],"range_start":"10.5.0.9"}"#
            ),
            ["10.5.0.1 to 10.5.15.254"]
        );
    }

    #[test]
    fn invalid_ranges_assign_nothing() {
        for ipam in [
            r#"{"type":"whereabouts","range":"10.0.0.0/31"}"#,
            r#"{"type":"whereabouts","range":"10.0.0.0/99"}"#,
            r#"{"type":"whereabouts","range":"10.0.0.0"}"#,
            r#"{"type":"whereabouts","range":"-"}"#,
            r#"{"type":"whereabouts","range":"10.0.0.9-10.0.0.5/24"}"#,
            r#"{"type":"dhcp"}"#,
        ] {
            assert_eq!(supplies(ipam), [""; 0], "{ipam}");
        }
        assert_eq!(
            supplies(
                r#"{"type":"static","addresses":[{"address":"192.0.2.5/24"},{"address":"x"}]}"#
            ),
            ["192.0.2.5"]
        );
        assert_eq!(
            supplies(r#"{"type":"whereabouts","range":"::/0"}"#),
            ["::1 to ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe"]
        );
    }
}
