//! Hardware addresses: Ethernet MACs and InfiniBand GUIDs.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use thiserror::Error;

/// An Ethernet address of 6 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// Returns true if the group bit is set: a multicast or broadcast address, which Linux rejects
    /// for an interface.
    pub fn is_multicast(self) -> bool {
        self.0[0] & 1 == 1
    }

    /// Returns true if all bytes are zero, which Linux rejects for an interface.
    pub fn is_zero(self) -> bool {
        self.0 == [0; 6]
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl Serialize for Mac {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Mac {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match HardwareAddress::parse(&text) {
            Ok(HardwareAddress::Ethernet(mac)) => Ok(mac),
            Ok(_) => Err(D::Error::custom(format!(
                "{text:?} is not a MAC address of 6 bytes"
            ))),
            Err(error) => Err(D::Error::custom(format!("{text:?} {error}"))),
        }
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A hardware address that Multus's parser (Go's `net.ParseMAC`) accepts: 6, 8 or 20 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HardwareAddress {
    /// 6 bytes: an Ethernet address.
    Ethernet(Mac),
    /// 8 bytes: an EUI-64 or an InfiniBand GUID.
    Eui64([u8; 8]),
    /// 20 bytes: an IP-over-InfiniBand link-layer address.
    Infiniband([u8; 20]),
}

/// The reason why a text is not a valid hardware address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HardwareAddressError {
    /// The text is neither pairs of hexadecimal digits joined by `:` or `-`, nor groups of four
    /// joined by `.`.
    #[error("is not written as pairs of hexadecimal digits joined by \":\" (or \"-\")")]
    Form,
    /// The text is well-formed, but has an unsupported number of bytes.
    #[error("has {0} bytes")]
    Length(usize),
}

impl HardwareAddress {
    /// Parses a hardware address as Go's `net.ParseMAC` does: `:` or `-` between pairs, or `.`
    /// between groups of four digits; 6, 8 or 20 bytes.
    ///
    /// # Errors
    /// Returns an error if the form or the length is not supported.
    pub fn parse(text: &str) -> Result<Self, HardwareAddressError> {
        let (buffer, length) = bytes(text).ok_or(HardwareAddressError::Form)?;
        let bytes = buffer
            .get(..length)
            .ok_or(HardwareAddressError::Length(length))?;
        if let Ok(mac) = <[u8; 6]>::try_from(bytes) {
            return Ok(Self::Ethernet(Mac(mac)));
        }
        if let Ok(eui) = <[u8; 8]>::try_from(bytes) {
            return Ok(Self::Eui64(eui));
        }
        match <[u8; 20]>::try_from(bytes) {
            Ok(address) => Ok(Self::Infiniband(address)),
            Err(_) => Err(HardwareAddressError::Length(length)),
        }
    }

    /// Returns the address if it is an Ethernet address.
    pub fn ethernet(&self) -> Option<Mac> {
        match self {
            Self::Ethernet(mac) => Some(*mac),
            Self::Eui64(_) | Self::Infiniband(_) => None,
        }
    }

    /// Returns the MAC that an Ethernet interface gets: Linux takes the first six bytes.
    pub fn as_interface_mac(&self) -> Mac {
        let mut mac = [0; 6];
        for (to, from) in mac.iter_mut().zip(self.as_bytes()) {
            *to = *from;
        }
        Mac(mac)
    }

    /// Returns the bytes of the address.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Ethernet(mac) => &mac.0,
            Self::Eui64(bytes) => bytes,
            Self::Infiniband(bytes) => bytes,
        }
    }
}

/// Returns the bytes of a well-formed text, and their number. Bytes that do not fit into the buffer
/// are counted only.
fn bytes(text: &str) -> Option<([u8; 20], usize)> {
    let (separator, digits) = match text.bytes().find(|b| !b.is_ascii_hexdigit())? {
        separator @ (b':' | b'-') => (separator, 2),
        b'.' => (b'.', 4),
        _ => return None,
    };
    let mut buffer = [0; 20];
    let mut length = 0;
    for group in text.split(separator as char) {
        if group.len() != digits || !group.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        for pair in group.as_bytes().chunks(2) {
            let pair = std::str::from_utf8(pair).ok()?;
            if let Some(slot) = buffer.get_mut(length) {
                *slot = u8::from_str_radix(pair, 16).ok()?;
            }
            length += 1;
        }
    }
    Some((buffer, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ethernet(text: &str) -> Mac {
        match HardwareAddress::parse(text) {
            Ok(HardwareAddress::Ethernet(mac)) => mac,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn three_ways_to_write_one_mac() {
        let mac = Mac([0xca, 0xfe, 0xc0, 0xff, 0xee, 0]);
        assert_eq!(ethernet("CA:FE:C0:FF:EE:00"), mac);
        assert_eq!(ethernet("ca-fe-c0-ff-ee-00"), mac);
        assert_eq!(ethernet("cafe.c0ff.ee00"), mac);
        assert_eq!(mac.to_string(), "ca:fe:c0:ff:ee:00");
    }

    #[test]
    fn other_lengths_and_forms() {
        assert!(matches!(
            HardwareAddress::parse("24:8a:07:03:00:8d:ae:2f"),
            Ok(HardwareAddress::Eui64(_))
        ));
        assert_eq!(
            HardwareAddress::parse("02:00"),
            Err(HardwareAddressError::Length(2))
        );
        assert_eq!(
            HardwareAddress::parse(&["00"; 21].join(":")),
            Err(HardwareAddressError::Length(21))
        );
        for bad in [
            "",
            "0200000000",
            "02:00:00:00:00:0g",
            "02:00-00:00:00:00",
            "2:0:0:0:0:1",
            ":",
        ] {
            assert_eq!(
                HardwareAddress::parse(bad),
                Err(HardwareAddressError::Form),
                "{bad}"
            );
        }
    }
}
