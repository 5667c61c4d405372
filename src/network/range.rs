//! Runs of addresses: subnets, windows in them, and what is left of a window.
//!
//! All arithmetic is on the address as a number of 128 bits beside its family, so that a window of
//! IPv6 costs no more than one of IPv4.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use thiserror::Error;

use super::address::{AddressError, AddressRequest, parse_address, width};

/// A subnet: an address and the length of its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    /// The address as written, host bits and all.
    pub address: IpAddr,
    /// The length of the prefix in bits; never more than the family has.
    pub prefix: u8,
}

/// Addresses of one family from the first to the last, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    v4: bool,
    first: u128,
    last: u128,
}

/// What a range means: its subnet, and the bounds that the dash syntax sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The subnet, from the part behind the dash if there is one.
    pub subnet: Subnet,
    /// First and last address of `first-last/prefix`, as written.
    pub bounds: Option<(IpAddr, IpAddr)>,
}

/// Why a text is no subnet or range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RangeError {
    /// The address or the prefix.
    #[error("{0}")]
    Address(#[from] AddressError),
    /// An address alone.
    #[error("has no prefix length")]
    NoPrefix,
    /// `10.0.0.5-10.1.0.9/24`
    #[error("begins outside of its subnet")]
    StartOutside,
}

impl Subnet {
    /// Parses CIDR notation as Go's `net.ParseCIDR` does; host bits are kept.
    ///
    /// # Errors
    /// Says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, RangeError> {
        let AddressRequest { address, prefix } = AddressRequest::parse(text)?;
        let prefix = prefix.ok_or(RangeError::NoPrefix)?;
        Ok(Self { address, prefix })
    }

    /// The bits of its family's addresses: 32 or 128.
    pub fn width(self) -> u8 {
        width(self.address)
    }

    /// How many bits tell its addresses apart.
    pub fn host_bits(self) -> u8 {
        self.width() - self.prefix
    }

    /// Its addresses, the first and the last included.
    pub fn window(self) -> Window {
        let mask = 1u128
            .checked_shl(self.host_bits().into())
            .map_or(u128::MAX, |size| size - 1);
        let first = bits(self.address) & !mask;
        Window {
            v4: self.address.is_ipv4(),
            first,
            last: first | mask,
        }
    }

    /// Its addresses without the first and the last; `None` if nothing is between them.
    pub fn hosts(self) -> Option<Window> {
        let whole = self.window();
        (self.host_bits() > 1).then(|| Window {
            first: whole.first + 1,
            last: whole.last - 1,
            ..whole
        })
    }

    /// Whether the address has bits behind the prefix.
    pub fn has_host_bits(self) -> bool {
        self.window().first() != self.address
    }
}

impl fmt::Display for Subnet {
    /// The subnet without its host bits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.window().first(), self.prefix)
    }
}

impl Window {
    /// The addresses from `first` to `last`; `None` if they are of two families or the wrong way
    /// round.
    pub fn new(first: IpAddr, last: IpAddr) -> Option<Self> {
        let window = Self {
            v4: first.is_ipv4(),
            first: bits(first),
            last: bits(last),
        };
        (last.is_ipv4() == window.v4 && window.first <= window.last).then_some(window)
    }

    /// The first address.
    pub fn first(self) -> IpAddr {
        self.address(self.first)
    }

    /// The last address.
    pub fn last(self) -> IpAddr {
        self.address(self.last)
    }

    /// Whether these are addresses of IPv4.
    pub fn is_ipv4(self) -> bool {
        self.v4
    }

    /// How many addresses there are; of all of IPv6, one less.
    pub fn count(self) -> u128 {
        (self.last - self.first).saturating_add(1)
    }

    /// Whether the address is one of these.
    pub fn contains(self, address: IpAddr) -> bool {
        address.is_ipv4() == self.v4 && (self.first..=self.last).contains(&bits(address))
    }

    /// The addresses that are in both.
    pub fn common(self, other: Self) -> Option<Self> {
        let common = Self {
            v4: self.v4,
            first: self.first.max(other.first),
            last: self.last.min(other.last),
        };
        (self.v4 == other.v4 && common.first <= common.last).then_some(common)
    }

    /// How many addresses are left without those of `excluded`, which may overlap.
    pub fn count_without(self, excluded: impl IntoIterator<Item = Self>) -> u128 {
        let inside = excluded.into_iter().filter_map(|other| self.common(other));
        let mut inside: Vec<Self> = inside.collect();
        inside.sort_unstable_by_key(|window| window.first);
        let mut left = self.count();
        // The first address behind all that was taken off; `None` behind the very last one.
        let mut next = Some(self.first);
        for window in inside {
            let Some(from) = next else { break };
            if window.last < from {
                continue;
            }
            let taken = (window.last - window.first.max(from)).saturating_add(1);
            left = left.saturating_sub(taken);
            next = window.last.checked_add(1);
        }
        left
    }

    /// The order of families and first addresses.
    pub fn sort_key(self) -> (bool, u128) {
        (self.v4, self.first)
    }

    fn address(self, bits: u128) -> IpAddr {
        match u32::try_from(bits) {
            Ok(bits) if self.v4 => Ipv4Addr::from_bits(bits).into(),
            _ => Ipv6Addr::from_bits(bits).into(),
        }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first(), self.last())
    }
}

impl Range {
    /// Parses CIDR notation, or `first-last/prefix` as Whereabouts does. The bounds may be the wrong
    /// way round: Whereabouts does not look.
    ///
    /// # Errors
    /// Says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, RangeError> {
        let Some((first, rest)) = text.split_once('-') else {
            return Ok(Self {
                subnet: Subnet::parse(text)?,
                bounds: None,
            });
        };
        let first = parse_address(first)?;
        let subnet = Subnet::parse(rest)?;
        if !subnet.window().contains(first) {
            return Err(RangeError::StartOutside);
        }
        Ok(Self {
            subnet,
            bounds: Some((first, subnet.address)),
        })
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_bits().into(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        Subnet::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn window(text: &str) -> Window {
        subnet(text).window()
    }

    #[test]
    fn a_subnet_has_its_first_and_last_address() {
        for (text, first, last, count) in [
            ("192.168.2.225/28", "192.168.2.224", "192.168.2.239", 16),
            ("10.0.0.5/32", "10.0.0.5", "10.0.0.5", 1),
            ("0.0.0.0/0", "0.0.0.0", "255.255.255.255", 1 << 32),
            ("2001:db8::5/126", "2001:db8::4", "2001:db8::7", 4),
        ] {
            let window = window(text);
            assert_eq!(window.first().to_string(), first);
            assert_eq!(window.last().to_string(), last);
            assert_eq!(window.count(), count);
        }
        assert_eq!(window("::/0").count(), u128::MAX);
        assert_eq!(
            window("::/0").last().to_string(),
            Ipv6Addr::from_bits(u128::MAX).to_string()
        );
    }

    #[test]
    fn hosts_are_without_the_first_and_the_last() {
        let hosts = |text| subnet(text).hosts().map(Window::count);
        assert_eq!(hosts("10.0.0.0/30"), Some(2));
        assert_eq!(hosts("2001:db8::/126"), Some(2));
        for none in ["10.0.0.0/31", "10.0.0.0/32", "::/127", "::/128"] {
            assert_eq!(hosts(none), None, "{none}");
        }
        assert_eq!(hosts("::/0"), Some(u128::MAX - 1));
    }

    #[test]
    fn host_bits_are_seen_and_not_shown() {
        assert!(subnet("10.0.0.5/24").has_host_bits());
        assert!(!subnet("10.0.0.0/24").has_host_bits());
        assert_eq!(subnet("10.0.0.5/24").to_string(), "10.0.0.0/24");
        assert_eq!(Subnet::parse("10.0.0.5"), Err(RangeError::NoPrefix));
    }

    #[test]
    fn what_is_excluded_twice_is_taken_off_once() {
        let whole = window("10.0.0.0/24");
        let without = |list: &[&str]| whole.count_without(list.iter().map(|text| window(text)));
        assert_eq!(without(&[]), 256);
        assert_eq!(
            without(&["10.0.0.0/25", "10.0.0.64/26", "10.0.0.0/26"]),
            128
        );
        assert_eq!(without(&["10.0.0.128/25", "10.0.0.0/25"]), 0);
        assert_eq!(without(&["10.0.1.0/24", "2001:db8::/64"]), 256);
        assert_eq!(without(&["0.0.0.0/0", "10.0.0.0/24"]), 0);
        let all = window("::/0");
        assert_eq!(all.count_without([all, all]), 0);
        assert_eq!(all.count_without([window("::/1")]), (1 << 127) - 1);
    }

    #[test]
    fn windows_are_of_one_family_and_in_order() {
        let address = |text: &str| parse_address(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        let new = |first, last| Window::new(address(first), address(last));
        assert_eq!(new("10.0.0.1", "10.0.0.9").map(Window::count), Some(9));
        assert_eq!(new("10.0.0.9", "10.0.0.1"), None);
        assert_eq!(new("10.0.0.9", "::1"), None);
        assert!(window("10.0.0.0/24").common(window("::/96")).is_none());
        let common = window("10.0.0.0/24").common(window("10.0.0.128/20"));
        assert_eq!(common, Some(window("10.0.0.0/24")));
    }

    #[test]
    fn the_dash_syntax_sets_bounds() {
        let range = Range::parse("10.10.0.100-10.10.0.200/16").unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(range.subnet.to_string(), "10.10.0.0/16");
        let (first, last) = range.bounds.unwrap_or_else(|| panic!("bounds"));
        assert_eq!(
            (first.to_string(), last.to_string()),
            ("10.10.0.100".into(), "10.10.0.200".into())
        );
        assert_eq!(
            Range::parse("10.10.0.100-10.10.0.200"),
            Err(RangeError::NoPrefix)
        );
        assert_eq!(
            Range::parse("10.9.0.1-10.10.0.200/16"),
            Err(RangeError::StartOutside)
        );
        assert!(Range::parse("a-b/16").is_err());
        assert!(Range::parse("-").is_err());
    }
}
