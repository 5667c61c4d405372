//! A range of a pool, in Whereabouts's syntax with strict validation.

use std::net::IpAddr;

use super::{Address, FreeNumbers, spec::RangeSpec, spec_error::SpecError};
use nadmit_cni::{
    NumberRange,
    address::parse_address,
    range::{BoundedSubnet, IpRange, Subnet},
};

/// A range to allocate addresses from.
///
/// As in Whereabouts, host bits of the range are masked, bounds and excludes narrow it, and the first
/// and the last address of the subnet are never allocated, IPv6 included. Unlike Whereabouts, the
/// gateway is never allocated either (whereabouts issue 601), and values that do not parse or lie
/// outside of the range are errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressRange {
    /// The subnet; addresses are handed out with its prefix length.
    pub subnet: Subnet,
    /// The addresses between the bounds, before excludes.
    pub window: IpRange,
    /// The excluded ranges, in the order of the spec.
    pub excludes: Box<[IpRange]>,
    /// The gateway, if there is one.
    pub gateway: Option<IpAddr>,
}

/// The reason why a range never allocates an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExclusionReason {
    /// The address lies outside of the subnet.
    Outside,
    /// The address lies in the subnet, but not between the bounds.
    OutOfBounds,
    /// The first or the last address of the subnet.
    Edge,
    /// The address is part of the exclude with this index.
    Excluded(usize),
    /// The address is the gateway.
    Gateway,
}

/// The range `::ffff:0:0/96` of IPv4-mapped IPv6 addresses, each of which would be a second name for an
/// IPv4 address.
const IPV4_MAPPED: NumberRange = NumberRange::new(0xffff_0000_0000, 0xffff_ffff_ffff);

impl AddressRange {
    /// Validates the spec of a range.
    ///
    /// # Errors
    /// Returns all problems, each with its path below the range.
    pub fn new(spec: &RangeSpec) -> Result<Self, Vec<SpecError>> {
        let range = BoundedSubnet::parse(&spec.range)
            .map_err(|error| vec![SpecError::new("range", not_a_range(&spec.range, error))])?;
        let subnet = range.subnet;
        let Some(hosts) = subnet.hosts() else {
            return Err(vec![SpecError::new(
                "range",
                format!(
                    "{subnet} has no assignable address: its first and last address are never \
                     assigned; write /{} or a shorter prefix length",
                    subnet.width() - 2
                ),
            )]);
        };
        let mut errors = Vec::new();
        let window = window(spec, range, hosts, &mut errors);
        let excludes = excludes(spec, subnet, &mut errors);
        let gateway = gateway(spec, subnet, &mut errors);
        let (Some(window), true) = (window, errors.is_empty()) else {
            return Err(errors);
        };
        let range = Self {
            subnet,
            window,
            excludes: excludes.into(),
            gateway,
        };
        if range.free_numbers().capacity() == 0 {
            let reason = "bounds, exclude and gateway leave no assignable address; exclude less, or \
                          widen the range";
            return Err(vec![SpecError::new("exclude", reason.to_owned())]);
        }
        Ok(range)
    }

    /// Returns all allocatable addresses of the range, all of them free.
    pub fn free_numbers(&self) -> FreeNumbers {
        let gateway = self.gateway.map(IpRange::single);
        let mapped = (!self.window.is_ipv4()).then_some(IPV4_MAPPED);
        let exclusions = self
            .excludes
            .iter()
            .filter(|window| window.is_ipv4() == self.window.is_ipv4())
            .copied();
        let exclusions = exclusions.chain(gateway).map(IpRange::numbers);
        FreeNumbers::new(self.window.numbers(), exclusions.chain(mapped))
    }

    /// Returns true if the subnet contains the address.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.subnet.range().contains(address)
    }

    /// Returns the reason why the address is never allocated from this range, or `None` if it can be.
    pub fn exclusion(&self, address: IpAddr) -> Option<ExclusionReason> {
        if !self.contains(address) {
            return Some(ExclusionReason::Outside);
        }
        if self.gateway == Some(address) {
            return Some(ExclusionReason::Gateway);
        }
        let excluded = self.excludes.iter().position(|e| e.contains(address));
        if let Some(index) = excluded {
            return Some(ExclusionReason::Excluded(index));
        }
        if self
            .subnet
            .hosts()
            .is_none_or(|hosts| !hosts.contains(address))
        {
            return Some(ExclusionReason::Edge);
        }
        (!self.window.contains(address)).then_some(ExclusionReason::OutOfBounds)
    }

    /// Returns the offset of the address from the first address of the subnet.
    pub fn offset(&self, address: IpAddr) -> u128 {
        let base = Address::Ip(self.subnet.range().first()).number();
        Address::Ip(address).number().saturating_sub(base)
    }
}

fn not_a_range(text: &str, error: impl std::fmt::Display) -> String {
    if text.is_empty() {
        return "is missing; write a range such as 192.0.2.0/24".to_owned();
    }
    format!("{text:?} {error}; write 192.0.2.0/24, 2001:db8::/64 or 192.0.2.10-192.0.2.99/24")
}

/// Returns the addresses between the bounds. Bounds in the dash syntax take precedence over
/// `rangeStart` and `rangeEnd`, as in Whereabouts.
fn window(
    spec: &RangeSpec,
    range: BoundedSubnet,
    hosts: IpRange,
    errors: &mut Vec<SpecError>,
) -> Option<IpRange> {
    let whole = range.subnet.range();
    let mut bound = |name: &'static str, text: &Option<String>, default: IpAddr| {
        let Some(text) = text.as_deref().filter(|text| !text.is_empty()) else {
            return Some(default);
        };
        match parse_address(text) {
            Ok(address) if whole.contains(address) => Some(address),
            Ok(_) => {
                let reason = format!(
                    "{text} is outside of {}; write an address of the range",
                    range.subnet
                );
                errors.push(SpecError::new(name, reason));
                None
            }
            Err(error) => {
                let reason = format!("{text:?} {error}; write an address such as {default}");
                errors.push(SpecError::new(name, reason));
                None
            }
        }
    };
    let (path, first, last) = match range.bounds {
        Some((first, last)) => ("range", first, last),
        None => (
            "rangeEnd",
            bound("rangeStart", &spec.range_start, hosts.first())?,
            bound("rangeEnd", &spec.range_end, hosts.last())?,
        ),
    };
    let window = IpRange::new(first, last).and_then(|window| window.intersection(hosts));
    if window.is_none() {
        let reason = if IpRange::new(first, last).is_none() {
            format!("the end {last} is lower than the start {first}; write the lower one first")
        } else {
            format!("{first} to {last} has no assignable address; widen the bounds")
        };
        errors.push(SpecError::new(path, reason));
    }
    window
}

fn excludes(spec: &RangeSpec, subnet: Subnet, errors: &mut Vec<SpecError>) -> Vec<IpRange> {
    let mut windows = Vec::new();
    for (index, text) in spec.exclude.iter().enumerate() {
        let mut report = |reason| errors.push(SpecError::new(format!("exclude[{index}]"), reason));
        let window = match (Subnet::parse(text), parse_address(text)) {
            (Ok(excluded), _) => excluded.range(),
            (_, Ok(address)) => match IpRange::new(address, address) {
                Some(window) => window,
                None => continue,
            },
            (Err(error), _) => {
                report(format!(
                    "{text:?} {error}; write an address or a CIDR (several CIDRs for first-last)"
                ));
                continue;
            }
        };
        if window.intersection(subnet.range()).is_none() {
            report(format!(
                "{text} is outside of {subnet}, so it excludes nothing; remove or correct it"
            ));
        }
        windows.push(window);
    }
    windows
}

fn gateway(spec: &RangeSpec, subnet: Subnet, errors: &mut Vec<SpecError>) -> Option<IpAddr> {
    let text = spec.gateway.as_deref().filter(|text| !text.is_empty())?;
    match parse_address(text) {
        Ok(gateway) if subnet.range().contains(gateway) => Some(gateway),
        Ok(_) => {
            let reason = format!("{text} is outside of {subnet}; write an address of the range");
            errors.push(SpecError::new("gateway", reason));
            None
        }
        Err(error) => {
            let reason = format!("{text:?} {error}; write an address of the range");
            errors.push(SpecError::new("gateway", reason));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(spec: &str) -> Result<AddressRange, Vec<String>> {
        let spec: RangeSpec = serde_json::from_str(spec).unwrap_or_else(|e| panic!("{e}"));
        AddressRange::new(&spec).map_err(|errors| errors.into_iter().map(|f| f.path).collect())
    }

    fn allocated(spec: &str) -> Vec<String> {
        let range = range(spec).unwrap_or_else(|e| panic!("{spec}: {e:?}"));
        let family = Address::Ip(range.window.first()).family();
        let mut free = range.free_numbers();
        std::iter::from_fn(|| free.allocate_lowest())
            .map(|n| family.address(n).to_string())
            .take(8)
            .collect()
    }

    #[test]
    fn whereabouts_syntax_has_whereabouts_semantics() {
        let seed = r#"{"range":"192.0.2.192/27","exclude":["192.0.2.192/30","192.0.2.196/32"]}"#;
        assert_eq!(allocated(seed)[..2], ["192.0.2.197", "192.0.2.198"]);
        assert_eq!(
            allocated(r#"{"range":"192.168.2.225/28"}"#)[0],
            "192.168.2.225"
        );
        assert_eq!(
            allocated(r#"{"range":"10.10.0.100-10.10.0.102/16","rangeStart":"10.10.0.1"}"#),
            ["10.10.0.100", "10.10.0.101", "10.10.0.102"]
        );
        assert_eq!(
            allocated(r#"{"range":"2001:db8::/126"}"#),
            ["2001:db8::1", "2001:db8::2"]
        );
        assert_eq!(
            allocated(r#"{"range":"10.1.0.0/16","exclude":["10.1.2.0/23","10.1.0.0/23"]}"#)[0],
            "10.1.4.0"
        );
    }

    #[test]
    fn gateway_and_subnet_boundaries_are_not_allocatable() {
        assert_eq!(
            allocated(r#"{"range":"192.0.2.0/29","gateway":"192.0.2.1","rangeEnd":"192.0.2.7"}"#),
            [
                "192.0.2.2",
                "192.0.2.3",
                "192.0.2.4",
                "192.0.2.5",
                "192.0.2.6"
            ]
        );
        let range = range(
            r#"{"range":"192.0.2.0/28","gateway":"192.0.2.1","exclude":["192.0.2.8/30"],
            "rangeEnd":"192.0.2.13"}"#,
        )
        .unwrap_or_else(|e| panic!("{e:?}"));
        for (address, reason) in [
            ("192.0.2.0", Some(ExclusionReason::Edge)),
            ("192.0.2.1", Some(ExclusionReason::Gateway)),
            ("192.0.2.2", None),
            ("192.0.2.9", Some(ExclusionReason::Excluded(0))),
            ("192.0.2.14", Some(ExclusionReason::OutOfBounds)),
            ("192.0.2.16", Some(ExclusionReason::Outside)),
        ] {
            let address = parse_address(address).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(range.exclusion(address), reason, "{address}");
        }
    }

    #[test]
    fn values_whereabouts_ignores_are_errors_with_paths() {
        for (spec, paths) in [
            (r#"{}"#, vec!["range"]),
            (r#"{"range":"192.0.2.0"}"#, vec!["range"]),
            (r#"{"range":"192.0.2.0/31"}"#, vec!["range"]),
            (r#"{"range":"10.0.0.200-10.0.0.100/24"}"#, vec!["range"]),
            (
                r#"{"range":"192.0.2.0/24","rangeStart":"x","gateway":"10.0.0.1","exclude":["y"]}"#,
                vec!["rangeStart", "exclude[0]", "gateway"],
            ),
            (
                r#"{"range":"192.0.2.0/24","rangeStart":"192.0.2.9","rangeEnd":"192.0.2.5"}"#,
                vec!["rangeEnd"],
            ),
            (
                r#"{"range":"192.0.2.0/24","exclude":["10.0.0.0/8"]}"#,
                vec!["exclude[0]"],
            ),
            (
                r#"{"range":"192.0.2.0/24","exclude":["192.0.2.0/24"]}"#,
                vec!["exclude"],
            ),
            (r#"{"range":"::ffff:10.0.0.0/120"}"#, vec!["range"]),
        ] {
            let paths: Vec<String> = paths.into_iter().map(str::to_owned).collect();
            assert_eq!(range(spec), Err(paths), "{spec}");
        }
    }

    #[test]
    fn ipv4_mapped_addresses_are_not_allocatable() {
        let range = range(r#"{"range":"::/64"}"#).unwrap_or_else(|e| panic!("{e:?}"));
        assert!(!range.free_numbers().is_allocatable(IPV4_MAPPED.first));
        let last = std::net::Ipv6Addr::from_bits(IPV4_MAPPED.last);
        assert!(last.to_ipv4_mapped().is_some());
    }
}
