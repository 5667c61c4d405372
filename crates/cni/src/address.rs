//! Requested addresses: `192.0.2.5/24`, `2001:db8::5/64`, or without a prefix.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use thiserror::Error;

/// One element of `ips`: an address and its prefix length, if one is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AddressRequest {
    /// The address; never an IPv4-mapped IPv6 address.
    pub address: IpAddr,
    /// The prefix length in bits, if one was written.
    pub prefix: Option<u8>,
}

/// The reason why a text is not a valid address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AddressError {
    /// The text has no other, more specific mistake.
    #[error("is not an IP address")]
    Address,
    /// A number of an IPv4 address has a leading zero, which could mean octal.
    #[error("has a number with a leading zero")]
    LeadingZero,
    /// The text has an IPv6 zone (`%eth0`), which is not supported.
    #[error("has a zone (%...)")]
    Zone,
    /// There is white space in or around the address.
    #[error("contains white space")]
    Space,
    /// The part after `/` is not a valid prefix length of the address family.
    #[error("has a prefix length that is not a number from 0 to {0}")]
    Prefix(u8),
    /// An IPv4-mapped IPv6 address (`::ffff:192.0.2.1`): a second notation of an IPv4 address,
    /// which comparisons would take for a different address.
    #[error("is an IPv4 address in IPv6 notation")]
    Mapped,
}

impl AddressRequest {
    /// Parses an address with an optional prefix length, as Go's `net.ParseCIDR` and `net.ParseIP`
    /// do, which Multus uses. The one exception: IPv4-mapped IPv6 addresses are rejected (Go
    /// accepts them as IPv4 addresses).
    ///
    /// # Errors
    /// Returns what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address = parse_address(address)?;
        let prefix = prefix
            .map(|bits| parse_prefix(bits, width(address)))
            .transpose()?;
        if matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some()) {
            return Err(AddressError::Mapped);
        }
        Ok(Self { address, prefix })
    }

    /// Returns the first address of the subnet that the prefix describes; `None` without a prefix.
    pub fn network(&self) -> Option<IpAddr> {
        let prefix = u32::from(self.prefix?);
        Some(match self.address {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(32 - prefix).unwrap_or(0);
                Ipv4Addr::from_bits(v4.to_bits() & mask).into()
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(128 - prefix).unwrap_or(0);
                Ipv6Addr::from_bits(v6.to_bits() & mask).into()
            }
        })
    }
}

impl fmt::Display for AddressRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.prefix {
            Some(prefix) => write!(f, "{}/{prefix}", self.address),
            None => self.address.fmt(f),
        }
    }
}

/// Parses like [`AddressRequest::parse`], but accepts IPv4-mapped addresses and returns the IPv4
/// address that plugins make of them. The prefix length of such an address is reduced by 96, as Go
/// prints it.
pub fn canonical(text: &str) -> Option<AddressRequest> {
    match AddressRequest::parse(text) {
        Ok(request) => Some(request),
        Err(AddressError::Mapped) => {
            let (address, prefix) = text.split_once('/').unwrap_or((text, ""));
            let address: IpAddr = address.parse().ok()?;
            Some(AddressRequest {
                address: address.to_canonical(),
                prefix: prefix.parse().ok().map(|bits: u8| bits.saturating_sub(96)),
            })
        }
        Err(_) => None,
    }
}

/// The kind of an address that no host has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpecialAddress {
    /// 0.0.0.0 or ::.
    Unspecified,
    /// A multicast address.
    Multicast,
    /// A loopback address.
    Loopback,
}

impl SpecialAddress {
    /// Returns the kind of an address; `None` if a host may have it.
    pub fn of(address: IpAddr) -> Option<Self> {
        match address {
            _ if address.is_unspecified() => Some(Self::Unspecified),
            _ if address.is_multicast() => Some(Self::Multicast),
            _ if address.is_loopback() => Some(Self::Loopback),
            _ => None,
        }
    }
}

impl fmt::Display for SpecialAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unspecified => "the unspecified address",
            Self::Multicast => "a multicast address",
            Self::Loopback => "a loopback address",
        })
    }
}

/// Returns the number of bits of an address of this family: 32 or 128.
pub fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// Parses a plain address as Go's `net.ParseIP` does.
///
/// # Errors
/// Returns what is wrong with the text.
pub fn parse_address(text: &str) -> Result<IpAddr, AddressError> {
    text.parse().map_err(|_| likely_error(text))
}

fn parse_prefix(text: &str, bits: u8) -> Result<u8, AddressError> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let value = digits.then(|| text.parse::<u32>().ok()).flatten();
    value
        .and_then(|value| u8::try_from(value).ok())
        .filter(|&value| value <= bits)
        .ok_or(AddressError::Prefix(bits))
}

/// Returns the likeliest reason why `text` is not an address.
fn likely_error(text: &str) -> AddressError {
    if text.contains(char::is_whitespace) {
        return AddressError::Space;
    }
    if text.contains('%') {
        return AddressError::Zone;
    }
    let numbers: Vec<&str> = text.split('.').collect();
    let octets = numbers.len() == 4
        && numbers
            .iter()
            .all(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    if octets && numbers.iter().any(|n| n.len() > 1 && n.starts_with('0')) {
        return AddressError::LeadingZero;
    }
    AddressError::Address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_with_and_without_prefix() {
        for text in [
            "192.0.2.5/24",
            "192.0.2.5",
            "2001:db8::5/64",
            "2001:db8::5",
            "0.0.0.0/0",
        ] {
            let parsed = AddressRequest::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(parsed.to_string(), text);
        }
        assert_eq!(
            AddressRequest::parse("10.0.0.1/024").map(|a| a.prefix),
            Ok(Some(24))
        );
    }

    #[test]
    fn texts_that_go_rejects_are_rejected_with_a_reason() {
        for (text, reason) in [
            ("", AddressError::Address),
            ("10.0.0.256", AddressError::Address),
            ("10.0.0", AddressError::Address),
            ("10.0.0.01/24", AddressError::LeadingZero),
            ("fe80::1%eth0/64", AddressError::Zone),
            (" 10.0.0.1", AddressError::Space),
            ("10.0.0.1/33", AddressError::Prefix(32)),
            ("10.0.0.1/+8", AddressError::Prefix(32)),
            ("10.0.0.1/", AddressError::Prefix(32)),
            ("2001:db8::1/129", AddressError::Prefix(128)),
            ("10.0.0.1/8/8", AddressError::Prefix(32)),
            ("::ffff:10.0.0.1/120", AddressError::Mapped),
        ] {
            assert_eq!(AddressRequest::parse(text), Err(reason), "{text:?}");
        }
    }

    #[test]
    fn mapped_addresses_are_the_ipv4_addresses_that_plugins_make_of_them() {
        for (text, canonical) in [
            ("192.0.2.5/24", "192.0.2.5/24"),
            ("2001:db8::5/64", "2001:db8::5/64"),
            ("::ffff:192.0.2.5", "192.0.2.5"),
            ("::ffff:192.0.2.5/120", "192.0.2.5/24"),
            ("::FFFF:c000:205/32", "192.0.2.5/0"),
            ("0:0:0:0:0:ffff:192.0.2.5/128", "192.0.2.5/32"),
        ] {
            let parsed = super::canonical(text).map(|request| request.to_string());
            assert_eq!(parsed.as_deref(), Some(canonical), "{text}");
        }
        assert_eq!(canonical("::ffff:192.0.2.5/129"), None);
        assert_eq!(canonical("192.0.2"), None);
    }

    #[test]
    fn networks() {
        let network = |text| AddressRequest::parse(text).ok().and_then(|a| a.network());
        assert_eq!(network("192.0.2.5/24"), "192.0.2.0".parse().ok());
        assert_eq!(network("192.0.2.5/0"), "0.0.0.0".parse().ok());
        assert_eq!(network("2001:db8::5/64"), "2001:db8::".parse().ok());
        assert_eq!(network("2001:db8::5/0"), "::".parse().ok());
        assert_eq!(network("192.0.2.5"), None);
    }
}
