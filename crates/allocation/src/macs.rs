//! The MACs of a pool.

use super::{Address, FreeNumbers, range::AddressRange, spec::MacsSpec, spec_error::SpecError};
use nadmit_cni::{
    NumberRange,
    mac::{HardwareAddress, Mac},
};

/// The number of bits of a MAC.
const BITS: u32 = 48;
/// The group bit of a MAC, which marks it as multicast.
const GROUP_BIT: u128 = 1 << 40;

/// The MACs of a pool: some are derived from addresses of the pool's first range, the others are
/// allocated like addresses.
///
/// A derived MAC has the same offset from the first MAC as its address has from the base of the subnet.
/// It needs no record of its own: it is taken while its address is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Macs {
    /// The first MAC, as a number.
    first: u128,
    /// The last MAC, as a number.
    last: u128,
    /// The number of MACs, from the first on, that are derived from addresses.
    derived_count: u128,
}

impl Macs {
    /// Validates `macs`. `first_range` is the pool's first range, if it has one.
    ///
    /// # Errors
    /// Returns the first problem, with its path below `macs`.
    pub(super) fn new(
        spec: &MacsSpec,
        first_range: Option<&AddressRange>,
    ) -> Result<Self, SpecError> {
        let offsets = first_range.map_or(0, |range| range.subnet.range().count());
        let (first, last) = match (&spec.prefix, &spec.start, &spec.end) {
            (Some(prefix), None, None) => by_prefix(prefix)?,
            (None, Some(start), Some(end)) => by_bounds(start, end)?,
            _ => {
                let reason =
                    "needs either prefix, or start and end; write for example prefix: \"02:5e:00\"";
                return Err(SpecError::new("", reason.to_owned()));
            }
        };
        let fits = offsets <= last - first + 1;
        if spec.prefix.is_some() && !fits {
            return Err(prefix_too_long(first_range, first, last));
        }
        Ok(Self {
            first,
            last,
            derived_count: if fits { offsets } else { 0 },
        })
    }

    /// Returns the MAC derived from the address at this offset in the first range, if there is one.
    pub fn derived(&self, offset: u128) -> Option<Mac> {
        let number = self.first.checked_add(offset)?;
        (offset < self.derived_count).then(|| mac(number)).flatten()
    }

    /// Returns true if this MAC is derived from an address, so that it cannot be allocated by itself.
    pub fn is_derived(&self, mac: Mac) -> bool {
        let number = Address::Mac(mac).number();
        number >= self.first && number - self.first < self.derived_count
    }

    /// Returns true if there are MACs that are not derived from addresses.
    pub fn has_spare(&self) -> bool {
        self.derived_count <= self.last - self.first
    }

    /// Returns true if the MAC belongs to the pool.
    pub fn contains(&self, mac: Mac) -> bool {
        (self.first..=self.last).contains(&Address::Mac(mac).number())
    }

    /// Returns true if two pools have a MAC in common.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// Returns the first and the last MAC.
    pub fn bounds(&self) -> Option<(Mac, Mac)> {
        Some((mac(self.first)?, mac(self.last)?))
    }

    /// Returns the MACs that are allocated by themselves, all of them free.
    pub fn free_numbers(&self) -> FreeNumbers {
        // Multicast MACs between start and end cannot be assigned to an interface.
        let group = |number: u128| number & GROUP_BIT != 0;
        let mut exclusions = Vec::new();
        let mut block = self.first >> 40;
        while block <= self.last >> 40 {
            if group(block << 40) {
                exclusions.push(NumberRange::new(
                    block << 40,
                    (block << 40) | (GROUP_BIT - 1),
                ));
            }
            block += 1;
        }
        exclusions.push(NumberRange::single(0));
        let own = NumberRange::new(self.first + self.derived_count, self.last);
        FreeNumbers::new(own, exclusions)
    }
}

fn mac(number: u128) -> Option<Mac> {
    match super::Family::Mac.address(number) {
        Address::Mac(mac) => Some(mac),
        Address::Ip(_) => None,
    }
}

fn by_prefix(text: &str) -> Result<(u128, u128), SpecError> {
    let error = |reason: &str| {
        let reason = format!("{text:?} {reason}; write one to five bytes, such as \"02:5e:00\"");
        SpecError::new("prefix", reason)
    };
    let bytes: Option<Vec<u8>> = text
        .split([':', '-'])
        .map(|pair| {
            let hex = pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit());
            hex.then(|| u8::from_str_radix(pair, 16).ok()).flatten()
        })
        .collect();
    let bytes = bytes.ok_or_else(|| error("is not pairs of hexadecimal digits"))?;
    if bytes.is_empty() || bytes.len() > 5 {
        return Err(error("has more than five bytes"));
    }
    if bytes.first().is_some_and(|byte| byte & 1 == 1) {
        return Err(error("is multicast: its first byte is odd"));
    }
    let prefix = bytes
        .iter()
        .fold(0u128, |sum, byte| sum << 8 | u128::from(*byte));
    let rest = BITS - 8 * u32::try_from(bytes.len()).unwrap_or_default();
    Ok((prefix << rest, (prefix << rest) | ((1 << rest) - 1)))
}

fn by_bounds(start: &str, end: &str) -> Result<(u128, u128), SpecError> {
    const EXPECTED: &str = "write a MAC such as \"02:5e:00:00:00:01\"";
    let parse = |path: &'static str, text: &str| match HardwareAddress::parse(text) {
        Ok(HardwareAddress::Ethernet(mac)) if mac.is_multicast() || mac.is_zero() => {
            let reason = format!(
                "{text:?} is multicast or zero, and cannot be the MAC of an interface; {EXPECTED}"
            );
            Err(SpecError::new(path, reason))
        }
        Ok(HardwareAddress::Ethernet(mac)) => Ok(Address::Mac(mac).number()),
        Ok(_) => {
            let reason = format!("{text:?} does not have six bytes; {EXPECTED}");
            Err(SpecError::new(path, reason))
        }
        Err(error) => {
            let reason = format!("{text:?} {error}; {EXPECTED}");
            Err(SpecError::new(path, reason))
        }
    };
    let (first, last) = (parse("start", start)?, parse("end", end)?);
    if first > last {
        let reason = format!("{end} is lower than the start {start}; write the lower one first");
        return Err(SpecError::new("end", reason));
    }
    Ok((first, last))
}

fn prefix_too_long(range: Option<&AddressRange>, first: u128, last: u128) -> SpecError {
    let left = (last - first + 1).trailing_zeros();
    let (subnet, bits) = range.map_or((String::new(), 0), |range| {
        (range.subnet.to_string(), range.subnet.host_bits())
    });
    SpecError::new(
        "prefix",
        format!(
            "has room for {left} bits, and addresses of {subnet} have {bits} host bits, so MACs \
             cannot be derived from them; write a shorter prefix, or start and end for MACs with \
             records of their own"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::RangeSpec;

    fn macs(spec: &str, range: Option<&str>) -> Result<Macs, SpecError> {
        let spec: MacsSpec = serde_json::from_str(spec).unwrap_or_else(|e| panic!("{e}"));
        let range = range.map(|range| {
            let spec = RangeSpec {
                range: range.to_owned(),
                ..RangeSpec::default()
            };
            AddressRange::new(&spec).unwrap_or_else(|e| panic!("{e:?}"))
        });
        Macs::new(&spec, range.as_ref())
    }

    fn is(mac: Option<Mac>, text: &str) -> bool {
        mac.is_some_and(|mac| mac.to_string() == text)
    }

    #[test]
    fn a_mac_is_derived_from_the_offset_of_the_address() {
        let macs = macs(r#"{"prefix":"02:5e:00"}"#, Some("192.0.2.192/27"));
        let macs = macs.unwrap_or_else(|e| panic!("{e}"));
        assert!(is(macs.derived(13), "02:5e:00:00:00:0d"));
        assert_eq!(macs.derived(32), None);
        let own = macs.free_numbers();
        assert_eq!(own.lowest(), Some(0x025e_0000_0020));
    }

    #[test]
    fn a_mac_prefix_must_leave_enough_bits_for_every_offset() {
        assert!(macs(r#"{"prefix":"02:5e:00"}"#, Some("10.0.0.0/8")).is_ok());
        let too_long = macs(r#"{"prefix":"02:5e:00:00"}"#, Some("10.0.0.0/8"));
        assert_eq!(
            too_long.map_err(|error| error.path),
            Err("prefix".to_owned())
        );
        assert!(macs(r#"{"prefix":"02:5e:00"}"#, Some("2001:db8::/64")).is_err());
        let own = macs(
            r#"{"start":"02:00:00:00:00:00","end":"02:00:00:00:00:ff"}"#,
            Some("2001:db8::/64"),
        );
        assert!(own.is_ok_and(|macs| macs.derived(1).is_none()));
    }

    #[test]
    fn macs_invalid_for_interfaces_are_rejected() {
        for (spec, path) in [
            (r#"{"prefix":"01:5e"}"#, "prefix"),
            (r#"{"prefix":"2:5e"}"#, "prefix"),
            (r#"{"prefix":"02:00:00:00:00:00"}"#, "prefix"),
            (r#"{}"#, ""),
            (
                r#"{"start":"02:00:00:00:00:09","end":"02:00:00:00:00:01"}"#,
                "end",
            ),
            (
                r#"{"start":"01:00:00:00:00:09","end":"02:00:00:00:00:01"}"#,
                "start",
            ),
        ] {
            let error = macs(spec, None).map_err(|error| error.path);
            assert_eq!(error, Err(path.to_owned()), "{spec}");
        }
        let wide = macs(
            r#"{"start":"02:ff:ff:ff:ff:ff","end":"04:00:00:00:00:00"}"#,
            None,
        );
        let wide = wide.unwrap_or_else(|e| panic!("{e}")).free_numbers();
        assert_eq!(
            (wide.capacity(), wide.is_allocatable(0x0300_0000_0000)),
            (2, false)
        );
    }
}
