//! Address spaces and the names of allocation records.
//!
//! The name of a record is the lock on its address: a store that rejects the creation of an existing
//! name prevents that an address is allocated twice. Each address of a space must therefore have
//! exactly one name, and no two addresses may share one (Kubernetes does the same for Services,
//! KEP-1880).

use std::{fmt, fmt::Write as _, sync::Arc};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Address;
use nadmit_cni::name;

/// The maximum length of the readable part of a key made from a name that is not a DNS-1123 label.
const SLUG_LENGTH: usize = 40;
/// The number of hash bytes that make a key unique, written as 16 hexadecimal digits.
const HASH_BYTES: usize = 8;
/// The maximum length of an IPv4 address in a name.
pub(super) const LONGEST_V4: usize = 15;
/// The length of an IPv6 address in a name.
pub(super) const LONGEST_V6: usize = 39;

/// An address space: the scope in which an address is unique. It is a pool's `networkName`, which
/// corresponds to Whereabouts's `network_name`; the empty name is an address space too.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Space(Arc<str>);

impl Space {
    /// Creates the address space with this `networkName`, which may be empty.
    pub fn new(network_name: &str) -> Self {
        Self(network_name.into())
    }

    /// Returns the `networkName`; empty for the unnamed space.
    pub fn network_name(&self) -> &str {
        &self.0
    }

    /// Returns the name of the record of `address`, a DNS-1123 subdomain of at most 253 characters:
    /// `[<key>.]<address>`. The key is the `networkName` if that is a DNS-1123 label, otherwise its
    /// readable part and 16 digits of its SHA-256. IPv6 addresses are written in full with `-` for `:`.
    ///
    /// Two spaces with different names could share a key only by a hash collision, or by a name chosen
    /// to look like another's key. Records therefore carry the whole `networkName`, to be compared.
    pub fn record_name(&self, address: Address) -> String {
        let mut name = String::with_capacity(64);
        if !self.0.is_empty() {
            self.push_key(&mut name);
            name.push('.');
        }
        // Writing to memory cannot fail.
        let _ = push_address(&mut name, address);
        name
    }

    fn push_key(&self, out: &mut String) {
        if name::label(&self.0).is_ok() {
            out.push_str(&self.0);
            return;
        }
        let start = out.len();
        for c in self.0.chars() {
            let c = c.to_ascii_lowercase();
            match c {
                'a'..='z' | '0'..='9' => out.push(c),
                _ if out.len() > start && !out.ends_with('-') => out.push('-'),
                _ => {}
            }
            if out.len() - start >= SLUG_LENGTH {
                break;
            }
        }
        if out.len() > start && !out.ends_with('-') {
            out.push('-');
        }
        for byte in Sha256::digest(self.0.as_bytes()).iter().take(HASH_BYTES) {
            let _ = write!(out, "{byte:02x}");
        }
    }
}

impl Default for Space {
    /// The unnamed space.
    fn default() -> Self {
        Self::new("")
    }
}

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            f.write_str("the unnamed address space")
        } else {
            write!(f, "address space {:?}", &*self.0)
        }
    }
}

pub(super) fn push_address(out: &mut String, address: Address) -> fmt::Result {
    match address {
        Address::Ip(std::net::IpAddr::V4(v4)) => write!(out, "{v4}"),
        Address::Ip(std::net::IpAddr::V6(v6)) => {
            for (index, group) in v6.segments().into_iter().enumerate() {
                let dash = if index > 0 { "-" } else { "" };
                write!(out, "{dash}{group:04x}")?;
            }
            Ok(())
        }
        Address::Mac(mac) => {
            out.push_str("mac");
            mac.0.iter().try_for_each(|byte| write!(out, "-{byte:02x}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(network_name: &str, address: &str) -> String {
        let address = address.parse().unwrap_or_else(|e| panic!("{e}"));
        Space::new(network_name).record_name(address)
    }

    #[test]
    fn records_are_named_by_space_and_address() {
        assert_eq!(record("", "192.0.2.205"), "192.0.2.205");
        assert_eq!(record("blue", "192.0.2.205"), "blue.192.0.2.205");
        assert_eq!(
            record("blue", "2001:db8::5"),
            "blue.2001-0db8-0000-0000-0000-0000-0000-0005"
        );
        assert_eq!(record("", "02:5e:00:00:00:01"), "mac-02-5e-00-00-00-01");
    }

    #[test]
    fn a_name_that_is_not_a_label_is_slugged_and_hashed() {
        let named = record("example_net_common", "192.0.2.205");
        let (key, rest) = named.split_at(named.len() - ".192.0.2.205".len());
        assert_eq!(rest, ".192.0.2.205");
        let hash = key.strip_prefix("example-net-common-").unwrap_or_default();
        assert_eq!(hash.len(), 16, "{named}");
        assert_ne!(named, record("example-net_common", "192.0.2.205"));
    }

    #[test]
    fn every_record_name_is_a_valid_object_name() {
        let long = "x_".repeat(400);
        for network_name in ["", "a", "_", "Größe 7", "-", "10.0.0.0", &long, "日本"] {
            for address in ["192.0.2.205", "2001:db8::5", "02:5e:00:00:00:01"] {
                let name = record(network_name, address);
                assert_eq!(name::subdomain(&name), Ok(()), "{name}");
            }
        }
    }
}
