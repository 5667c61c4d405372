//! The rules on IPAM whereabouts, one file for each. `ranges` parses their common input.
//!
//! Whereabouts checks little when it loads a configuration: it ignores invalid bounds, and fails later on
//! invalid excludes. nadmit is stricter on purpose.

pub(crate) mod clash;
pub mod exclude;
pub mod gateway;
pub mod network_name;
pub(crate) mod no_address;
pub mod overlap;
pub mod range;
pub mod slice;
pub(crate) mod unknown_key;

use std::net::IpAddr;

use crate::NetworkSubject;
use nadmit_cni::{BoundedSubnet, IpRange, Subnet, address::parse_address, range::RangeError};

use super::fields::{FieldValue, Fields};

/// The `type` of the IPAM.
const KIND: &str = "whereabouts";

/// A range as written, the object that contains it, and its parsed form.
struct WrittenRange<'s, 'a> {
    fields: Fields<'s, 'a>,
    value: FieldValue<'s, 'a>,
    text: String,
    parsed: Result<BoundedSubnet, RangeError>,
}

/// An entry of `exclude`.
struct Exclude<'s, 'a> {
    value: FieldValue<'s, 'a>,
    text: String,
    parsed: Result<IpRange, RangeError>,
}

/// A parsed bound of a range.
enum RangeBound {
    Absent,
    Inside(IpAddr),
    Unparsable,
    Outside,
}

fn ipams<'s, 'a>(subject: &'s NetworkSubject<'a>) -> Vec<Fields<'s, 'a>> {
    Fields::ipams(subject, KIND)
}

/// Returns the ranges of an `ipam` object; one at the top level is the first.
fn ranges<'s, 'a>(ipam: &Fields<'s, 'a>) -> Vec<WrittenRange<'s, 'a>> {
    let objects = [ipam.clone()].into_iter().chain(ipam.objects("ipRanges"));
    let read = |fields: Fields<'s, 'a>| {
        let text = fields.text("range")?.into_owned();
        let value = fields.value("range")?;
        let parsed = BoundedSubnet::parse(&text);
        Some(WrittenRange {
            fields,
            value,
            text,
            parsed,
        })
    };
    objects.filter_map(read).collect()
}

impl<'s, 'a> WrittenRange<'s, 'a> {
    fn subnet(&self) -> Option<Subnet> {
        self.parsed.ok().map(|range| range.subnet)
    }

    /// Returns the bound `range_start` or `range_end`.
    fn bound(&self, key: &str) -> RangeBound {
        let (Some(text), Some(subnet)) = (self.fields.text(key), self.subnet()) else {
            return RangeBound::Absent;
        };
        match parse_address(&text) {
            Err(_) => RangeBound::Unparsable,
            Ok(address) if subnet.range().contains(address) => RangeBound::Inside(address),
            Ok(_) => RangeBound::Outside,
        }
    }

    /// Returns the first and last address, from the dash notation or else from the valid bounds.
    fn bounds(&self) -> [Option<IpAddr>; 2] {
        if let Ok(BoundedSubnet {
            bounds: Some((first, last)),
            ..
        }) = self.parsed
        {
            return [Some(first), Some(last)];
        }
        ["range_start", "range_end"].map(|key| match self.bound(key) {
            RangeBound::Inside(address) => Some(address),
            _ => None,
        })
    }

    /// Returns the addresses that Whereabouts assigns, ignoring excludes: never the first and last of the
    /// subnet. As in Whereabouts, a start outside of these is ignored, as is an end before the start.
    fn window(&self) -> Option<IpRange> {
        let hosts = self.subnet()?.hosts()?;
        let [first, last] = self.bounds();
        let first = first.filter(|first| hosts.contains(*first));
        let rest = IpRange::new(first.unwrap_or(hosts.first()), hosts.last())?;
        let last = last.filter(|last| rest.contains(*last));
        IpRange::new(rest.first(), last.unwrap_or(rest.last()))
    }

    /// Returns true if the end is before the start.
    fn is_inverted(&self) -> bool {
        let [Some(first), Some(last)] = self.bounds() else {
            return false;
        };
        IpRange::new(first, last).is_none()
    }

    fn excludes(&self) -> Vec<Exclude<'s, 'a>> {
        let list = self.fields.list("exclude").into_iter();
        list.filter_map(|value| {
            let text = value.node.string()?.into_owned();
            let parsed = parse_exclude(&text);
            Some(Exclude {
                value,
                text,
                parsed,
            })
        })
        .collect()
    }
}

/// Parses an entry of `exclude`: a subnet, with or without host bits, or a single address.
fn parse_exclude(text: &str) -> Result<IpRange, RangeError> {
    match Subnet::parse(text) {
        Ok(subnet) => Ok(subnet.range()),
        Err(RangeError::NoPrefix) => {
            let address = parse_address(text)?;
            IpRange::new(address, address).ok_or(RangeError::NoPrefix)
        }
        Err(error) => Err(error),
    }
}

/// Formats a number of addresses.
fn addresses(count: u128) -> String {
    match count {
        1 => "1 address".to_owned(),
        count => format!("{count} addresses"),
    }
}
