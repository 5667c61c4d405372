//! Allocatable addresses: IP addresses of either family and MACs.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use thiserror::Error;

use nadmit_cni::{
    address::{AddressError, AddressRequest},
    mac::{HardwareAddress, Mac},
};

/// An allocatable address. At any time it has at most one holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    /// An IP address, never an IPv4-mapped IPv6 address: that would be a second name for the IPv4 one.
    Ip(IpAddr),
    /// An Ethernet address.
    Mac(Mac),
}

/// The family of an address, which determines how many bits its number has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// 32 bits.
    V4,
    /// 128 bits.
    V6,
    /// 48 bits.
    Mac,
}

/// The error of a text that is not an allocatable address.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{text:?} is neither an IP address (an IPv4 one is not written as IPv6) nor a MAC")]
pub struct ParseAddressError {
    text: String,
}

impl Family {
    /// Returns the number of bits of an address of this family.
    pub fn bits(self) -> u32 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
            Self::Mac => 48,
        }
    }

    /// Returns the address with this number; only the lowest [`Self::bits`] bits are used.
    pub fn address(self, number: u128) -> Address {
        let [.., a, b, c, d, e, f] = number.to_be_bytes();
        match self {
            Self::V4 => Address::Ip(Ipv4Addr::new(c, d, e, f).into()),
            Self::V6 => Address::Ip(Ipv6Addr::from_bits(number).into()),
            Self::Mac => Address::Mac(Mac([a, b, c, d, e, f])),
        }
    }
}

impl Address {
    /// Returns the family of the address.
    pub fn family(self) -> Family {
        match self {
            Self::Ip(IpAddr::V4(_)) => Family::V4,
            Self::Ip(IpAddr::V6(_)) => Family::V6,
            Self::Mac(_) => Family::Mac,
        }
    }

    /// Returns the address as a number.
    pub fn number(self) -> u128 {
        match self {
            Self::Ip(IpAddr::V4(v4)) => v4.to_bits().into(),
            Self::Ip(IpAddr::V6(v6)) => v6.to_bits(),
            Self::Mac(Mac([a, b, c, d, e, f])) => {
                u64::from_be_bytes([0, 0, a, b, c, d, e, f]).into()
            }
        }
    }

    /// Returns the IP address, or `None` for a MAC.
    pub fn ip(self) -> Option<IpAddr> {
        match self {
            Self::Ip(ip) => Some(ip),
            Self::Mac(_) => None,
        }
    }
}

impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Self {
        Self::Ip(ip)
    }
}

impl From<Mac> for Address {
    fn from(mac: Mac) -> Self {
        Self::Mac(mac)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(f),
            Self::Mac(mac) => mac.fmt(f),
        }
    }
}

impl FromStr for Address {
    type Err = ParseAddressError;

    fn from_str(text: &str) -> Result<Self, ParseAddressError> {
        let ip: Result<AddressRequest, AddressError> = AddressRequest::parse(text);
        match (ip, HardwareAddress::parse(text)) {
            (Ok(ip), _) if ip.prefix.is_none() => Ok(Self::Ip(ip.address)),
            (_, Ok(HardwareAddress::Ethernet(mac))) => Ok(Self::Mac(mac)),
            _ => Err(ParseAddressError {
                text: text.to_owned(),
            }),
        }
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_round_trips_through_its_number() {
        for (text, family, number) in [
            ("192.0.2.205", Family::V4, 0xC000_02CD),
            ("2001:db8::5", Family::V6, 0x2001_0db8 << 96 | 5),
            ("02:5e:00:00:00:01", Family::Mac, 0x025E_0000_0001),
        ] {
            let address: Address = text.parse().unwrap_or_else(|e| panic!("{e}"));
            assert_eq!((address.family(), address.number()), (family, number));
            assert_eq!(family.address(number), address);
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn non_canonical_addresses_are_rejected() {
        for bad in [
            "::ffff:192.0.2.1",
            "192.0.2.1/24",
            "net1",
            "",
            "02:5e:00:00:00:01:02",
        ] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }
}
