//! Subnets and ranges of addresses.
//!
//! An address is represented as its family and a number of 128 bits, so that computing with IPv6
//! ranges costs no more than with IPv4 ranges.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use thiserror::Error;

use super::{
    address::{AddressError, AddressRequest, parse_address, width},
    number_range::NumberRange,
};

/// A subnet: an address and a prefix length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    /// The address as written, including its host bits.
    pub address: IpAddr,
    /// The prefix length in bits; at most the number of bits of the family.
    pub prefix: u8,
}

/// A range of consecutive addresses of one family, including its first and last address. Ranges are
/// ordered by their first address, IPv4 before IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IpRange {
    v6: bool,
    /// The addresses as numbers; never empty.
    numbers: NumberRange,
}

/// A subnet, and the bounds of Whereabouts's notation with a dash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BoundedSubnet {
    /// The subnet; with a dash, it is the part after it.
    pub subnet: Subnet,
    /// The first and last address of `first-last/prefix`, as written.
    pub bounds: Option<(IpAddr, IpAddr)>,
}

/// The reason why a text is not a valid subnet or range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RangeError {
    /// The address or the prefix is invalid.
    #[error("{0}")]
    Address(#[from] AddressError),
    /// The prefix length is missing.
    #[error("has no prefix length")]
    NoPrefix,
    /// The first address is outside of the subnet: `10.0.0.5-10.1.0.9/24`.
    #[error("starts outside of its subnet")]
    StartOutside,
}

impl Subnet {
    /// Parses CIDR notation as Go's `net.ParseCIDR` does, but keeps the host bits.
    ///
    /// # Errors
    /// Returns what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, RangeError> {
        let AddressRequest { address, prefix } = AddressRequest::parse(text)?;
        let prefix = prefix.ok_or(RangeError::NoPrefix)?;
        Ok(Self { address, prefix })
    }

    /// Returns the number of bits of an address of its family: 32 or 128.
    pub fn width(self) -> u8 {
        width(self.address)
    }

    /// Returns the number of host bits.
    pub fn host_bits(self) -> u8 {
        self.width() - self.prefix
    }

    /// Returns its addresses, including the first and the last.
    pub fn range(self) -> IpRange {
        let mask = 1u128
            .checked_shl(self.host_bits().into())
            .map_or(u128::MAX, |size| size - 1);
        let first = bits(self.address) & !mask;
        IpRange {
            v6: self.address.is_ipv6(),
            numbers: NumberRange::new(first, first | mask),
        }
    }

    /// Returns its addresses without the first and the last; `None` if nothing is between them.
    pub fn hosts(self) -> Option<IpRange> {
        let IpRange { v6, numbers } = self.range();
        (self.host_bits() > 1).then(|| IpRange {
            v6,
            numbers: NumberRange::new(numbers.first + 1, numbers.last - 1),
        })
    }

    /// Returns true if the address has host bits that are not zero.
    pub fn has_host_bits(self) -> bool {
        self.range().first() != self.address
    }
}

impl fmt::Display for Subnet {
    /// Formats the subnet without its host bits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.range().first(), self.prefix)
    }
}

impl IpRange {
    /// Creates the range from `first` to `last`; `None` if they differ in family or are in the
    /// wrong order.
    pub fn new(first: IpAddr, last: IpAddr) -> Option<Self> {
        let numbers = NumberRange::new(bits(first), bits(last));
        let v6 = first.is_ipv6();
        (last.is_ipv6() == v6 && !numbers.is_empty()).then_some(Self { v6, numbers })
    }

    /// Creates a range of one address.
    pub fn single(address: IpAddr) -> Self {
        Self {
            v6: address.is_ipv6(),
            numbers: NumberRange::single(bits(address)),
        }
    }

    /// Parses the addresses of a CIDR, or a single address without a prefix; `None` if the text is
    /// neither.
    pub fn parse(text: &str) -> Option<Self> {
        let AddressRequest { address, prefix } = AddressRequest::parse(text).ok()?;
        let subnet = prefix.map(|prefix| Subnet { address, prefix });
        Some(subnet.map_or_else(|| Self::single(address), Subnet::range))
    }

    /// Returns the first address.
    pub fn first(self) -> IpAddr {
        self.address(self.numbers.first)
    }

    /// Returns the last address.
    pub fn last(self) -> IpAddr {
        self.address(self.numbers.last)
    }

    /// Returns the addresses as numbers.
    pub fn numbers(self) -> NumberRange {
        self.numbers
    }

    /// Returns true if these are IPv4 addresses.
    pub fn is_ipv4(self) -> bool {
        !self.v6
    }

    /// Returns the number of addresses; one less for the whole IPv6 address space.
    pub fn count(self) -> u128 {
        self.numbers.count()
    }

    /// Returns true if the range contains the address.
    pub fn contains(self, address: IpAddr) -> bool {
        address.is_ipv6() == self.v6 && self.numbers.contains(bits(address))
    }

    /// Returns the addresses that are in both ranges.
    pub fn intersection(self, other: Self) -> Option<Self> {
        let numbers = self.numbers.intersection(other.numbers);
        let v6 = self.v6;
        (v6 == other.v6 && !numbers.is_empty()).then_some(Self { v6, numbers })
    }

    /// Returns the parts of the range that are in none of the `excluded` ranges, which may overlap, in
    /// ascending order.
    pub fn subtract(self, excluded: impl IntoIterator<Item = Self>) -> impl Iterator<Item = Self> {
        let excluded = excluded.into_iter().filter(|other| other.v6 == self.v6);
        let left = self.numbers.subtract(excluded.map(Self::numbers));
        let v6 = self.v6;
        left.into_iter().map(move |numbers| Self { v6, numbers })
    }

    /// Returns the number of addresses that are in none of the `excluded` ranges, which may
    /// overlap.
    pub fn count_without(self, excluded: impl IntoIterator<Item = Self>) -> u128 {
        let left = self.subtract(excluded).map(Self::count);
        left.fold(0, u128::saturating_add)
    }

    /// Formats the range as in "10.0.0.1 to 10.0.0.9", or as a single address.
    pub fn in_words(self) -> String {
        match (self.first(), self.last()) {
            (first, last) if first == last => first.to_string(),
            (first, last) => format!("{first} to {last}"),
        }
    }

    /// Returns a key for sorting by first address, IPv6 before IPv4.
    pub fn sort_key(self) -> (bool, u128) {
        (self.is_ipv4(), self.numbers.first)
    }

    fn address(self, bits: u128) -> IpAddr {
        match u32::try_from(bits) {
            Ok(bits) if !self.v6 => Ipv4Addr::from_bits(bits).into(),
            _ => Ipv6Addr::from_bits(bits).into(),
        }
    }
}

impl fmt::Display for IpRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first(), self.last())
    }
}

impl BoundedSubnet {
    /// Parses CIDR notation, or `first-last/prefix` as Whereabouts does. The bounds may be in the
    /// wrong order: Whereabouts does not check that.
    pub fn parse(text: &str) -> Result<Self, RangeError> {
        let Some((first, rest)) = text.split_once('-') else {
            return Ok(Self {
                subnet: Subnet::parse(text)?,
                bounds: None,
            });
        };
        let first = parse_address(first)?;
        let subnet = Subnet::parse(rest)?;
        if !subnet.range().contains(first) {
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

    fn range(text: &str) -> IpRange {
        subnet(text).range()
    }

    #[test]
    fn a_subnet_has_its_first_and_last_address() {
        for (text, first, last, count) in [
            ("192.168.2.225/28", "192.168.2.224", "192.168.2.239", 16),
            ("10.0.0.5/32", "10.0.0.5", "10.0.0.5", 1),
            ("0.0.0.0/0", "0.0.0.0", "255.255.255.255", 1 << 32),
            ("2001:db8::5/126", "2001:db8::4", "2001:db8::7", 4),
        ] {
            let range = range(text);
            assert_eq!(range.first().to_string(), first);
            assert_eq!(range.last().to_string(), last);
            assert_eq!(range.count(), count);
        }
        assert_eq!(range("::/0").count(), u128::MAX);
        assert_eq!(
            range("::/0").last().to_string(),
            Ipv6Addr::from_bits(u128::MAX).to_string()
        );
    }

    #[test]
    fn hosts_are_without_the_first_and_the_last() {
        let hosts = |text| subnet(text).hosts().map(IpRange::count);
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
    fn overlapping_exclusions_are_counted_once() {
        let whole = range("10.0.0.0/24");
        let without = |list: &[&str]| whole.count_without(list.iter().map(|text| range(text)));
        assert_eq!(without(&[]), 256);
        assert_eq!(
            without(&["10.0.0.0/25", "10.0.0.64/26", "10.0.0.0/26"]),
            128
        );
        assert_eq!(without(&["10.0.0.128/25", "10.0.0.0/25"]), 0);
        assert_eq!(without(&["10.0.1.0/24", "2001:db8::/64"]), 256);
        assert_eq!(without(&["0.0.0.0/0", "10.0.0.0/24"]), 0);
        let all = range("::/0");
        assert_eq!(all.count_without([all, all]), 0);
        assert_eq!(all.count_without([range("::/1")]), 1 << 127);
    }

    #[test]
    fn windows_are_of_one_family_and_in_order() {
        let address = |text: &str| parse_address(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        let new = |first, last| IpRange::new(address(first), address(last));
        assert_eq!(new("10.0.0.1", "10.0.0.9").map(IpRange::count), Some(9));
        assert_eq!(new("10.0.0.9", "10.0.0.1"), None);
        assert_eq!(new("10.0.0.9", "::1"), None);
        assert!(range("10.0.0.0/24").intersection(range("::/96")).is_none());
        let common = range("10.0.0.0/24").intersection(range("10.0.0.128/20"));
        assert_eq!(common, Some(range("10.0.0.0/24")));
    }

    #[test]
    fn the_dash_syntax_sets_bounds() {
        let range =
            BoundedSubnet::parse("10.10.0.100-10.10.0.200/16").unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(range.subnet.to_string(), "10.10.0.0/16");
        let (first, last) = range.bounds.unwrap_or_else(|| panic!("bounds"));
        assert_eq!(
            (first.to_string(), last.to_string()),
            ("10.10.0.100".into(), "10.10.0.200".into())
        );
        assert_eq!(
            BoundedSubnet::parse("10.10.0.100-10.10.0.200"),
            Err(RangeError::NoPrefix)
        );
        assert_eq!(
            BoundedSubnet::parse("10.9.0.1-10.10.0.200/16"),
            Err(RangeError::StartOutside)
        );
        assert!(BoundedSubnet::parse("a-b/16").is_err());
        assert!(BoundedSubnet::parse("-").is_err());
    }
}
