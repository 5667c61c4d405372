//! Slices: the parts of a pool that single nodes allocate from.
//!
//! A range is divided into slices of one size, counted from the first address of its subnet. A node
//! owns the slices that are recorded in its name; as with addresses, the name of the record is the
//! lock. Addresses keep the prefix length of the whole range, so slices are invisible on the network.

use std::{net::IpAddr, num::ParseIntError, sync::Arc};

use thiserror::Error;

use super::{
    Address, Pool, PoolConfig,
    range::AddressRange,
    space::{LONGEST_V4, LONGEST_V6, push_address},
    spec::PoolSpec,
    spec_error::SpecError,
};
use nadmit_cni::{name::SUBDOMAIN_MAX, range::Subnet};

/// The division of a pool into slices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlicingConfig {
    /// The number of host bits of a slice: 4 for `/28` of IPv4. It is the same for every range, so that
    /// a slice of either family serves the same number of pods.
    pub host_bits: u8,
    /// True if a node never gets addresses from outside of its own slices.
    pub strict: bool,
}

/// A part of a pool, and the node that allocates from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice {
    /// The name of the pool.
    pub pool: Arc<str>,
    /// The addresses of the slice, with host bits masked.
    pub window: Subnet,
    /// The name of the node.
    pub node: Arc<str>,
}

/// The reason why a recorded slice is not a slice of its pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SliceMismatch {
    /// The pool does not exist or is invalid.
    #[error("its pool does not exist or is not valid")]
    NoPool,
    /// The pool has no `nodeSliceSize`.
    #[error("its pool has no nodeSliceSize")]
    NotSliced,
    /// The slice lies outside of the pool's ranges.
    #[error("it is in no range of its pool")]
    Outside,
    /// The size differs from that of the pool's slices, some of which it overlaps; the field is the
    /// right prefix length.
    #[error("slices of its pool have the prefix length /{0} there")]
    OtherSize(u8),
}

/// The reason why a pool cannot be sliced.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
enum SlicingError {
    /// The size is not a prefix length.
    #[error("{text:?} is not a valid prefix length; write a size such as \"/28\"")]
    NotAPrefixLength {
        text: String,
        #[source]
        source: ParseIntError,
    },
    /// The pool has only MACs.
    #[error("needs a pool with a range; add a range, or remove nodeSliceSize")]
    NoRange,
    /// The slice is not smaller than the first range.
    #[error(
        "a slice of /{size} is not smaller than the range {range}; write a longer prefix length"
    )]
    NotSmaller { size: u8, range: Subnet },
    /// The slice is a single address.
    #[error("a slice of /{0} would have fewer than two addresses; write a shorter prefix length")]
    SingleAddress(u8),
    /// The slice is not smaller than another range than the first.
    #[error(
        "a slice of /{size} of {first} has 2^{host_bits} addresses, and the range {small} is not \
         larger; write a longer prefix length, or a larger range"
    )]
    SmallRange {
        size: u8,
        first: Subnet,
        host_bits: u8,
        small: Subnet,
    },
    /// The pool's name followed by an address is too long for a name; slices are named so.
    #[error(
        "needs a pool name of at most {0} characters, because names of slices begin with it; \
         create a pool with a shorter name"
    )]
    LongName(usize),
}

impl SlicingConfig {
    /// Validates the slicing of a pool with these ranges; returns `None` if the pool is not sliced.
    pub(super) fn new(
        name: &str,
        spec: &PoolSpec,
        ranges: &[AddressRange],
    ) -> Result<Option<Self>, SpecError> {
        let strict = spec.strict_slices.unwrap_or_default();
        let text = spec.node_slice_size.as_deref().unwrap_or_default();
        if text.is_empty() {
            if !strict {
                return Ok(None);
            }
            let reason = "has no meaning without nodeSliceSize; write nodeSliceSize too, or \
                          remove strictSlices";
            return Err(SpecError::new("strictSlices", reason.to_owned()));
        }
        // Invalid ranges are reported elsewhere; without all of them the first range is not known.
        if ranges.len() < spec.ranges.len() {
            return Ok(None);
        }
        let sliced = Self::host_bits(text, ranges).and_then(|host_bits| {
            name_fits(name, ranges)?;
            Ok(Self { host_bits, strict })
        });
        sliced
            .map(Some)
            .map_err(|error| SpecError::new("nodeSliceSize", error.to_string()))
    }

    fn host_bits(text: &str, ranges: &[AddressRange]) -> Result<u8, SlicingError> {
        let number = text.strip_prefix('/').unwrap_or(text).parse::<u8>();
        let size = number.map_err(|source| SlicingError::NotAPrefixLength {
            text: text.to_owned(),
            source,
        })?;
        let first = ranges.first().ok_or(SlicingError::NoRange)?.subnet;
        if size <= first.prefix {
            return Err(SlicingError::NotSmaller { size, range: first });
        }
        let host_bits = match first.width().checked_sub(size) {
            Some(bits @ 1..) => bits,
            _ => return Err(SlicingError::SingleAddress(size)),
        };
        let small = ranges.iter().find(|r| r.subnet.host_bits() <= host_bits);
        match small {
            None => Ok(host_bits),
            Some(small) => Err(SlicingError::SmallRange {
                size,
                first,
                host_bits,
                small: small.subnet,
            }),
        }
    }

    /// Returns the slice that contains an address.
    fn around(self, address: IpAddr) -> Subnet {
        let whole = Subnet { address, prefix: 0 };
        let window = Subnet {
            prefix: whole.width().saturating_sub(self.host_bits),
            ..whole
        };
        masked(window)
    }
}

/// Checks that the name of the pool followed by an address is a valid object name: slices are named so.
fn name_fits(name: &str, ranges: &[AddressRange]) -> Result<(), SlicingError> {
    let ipv4 = ranges.iter().all(|range| range.window.is_ipv4());
    let most = SUBDOMAIN_MAX - 1 - if ipv4 { LONGEST_V4 } else { LONGEST_V6 };
    match name.len() <= most {
        true => Ok(()),
        false => Err(SlicingError::LongName(most)),
    }
}

fn masked(window: Subnet) -> Subnet {
    Subnet {
        address: window.range().first(),
        prefix: window.prefix,
    }
}

impl Pool {
    /// Returns the slice that contains an address of a range, or `None` if the pool is not sliced.
    pub(crate) fn slice_around(&self, address: IpAddr) -> Option<Subnet> {
        self.range_of(address)?;
        Some(self.slicing?.around(address))
    }
}

impl Slice {
    /// Creates a slice of a pool for a node; host bits of the window are masked.
    pub fn new(pool: &Arc<str>, window: Subnet, node: &Arc<str>) -> Self {
        Self {
            pool: Arc::clone(pool),
            window: masked(window),
            node: Arc::clone(node),
        }
    }

    /// Returns the name of the slice's record, `<pool>.<first address>`: a DNS-1123 subdomain of at
    /// most 253 characters for a valid pool. IPv6 addresses are written in full with `-` for `:`. Names
    /// of two pools never collide, because the last label contains hyphens only if it is the whole
    /// address.
    pub fn record_name(&self) -> String {
        let mut name = String::with_capacity(self.pool.len() + 1 + LONGEST_V6);
        name.push_str(&self.pool);
        name.push('.');
        // Writing to memory cannot fail.
        let _ = push_address(&mut name, Address::Ip(self.window.range().first()));
        name
    }

    /// Returns true if the slice contains the address.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.window.range().contains(address)
    }

    /// Returns the reason why this is not a slice of its pool, or `None` if it is one.
    pub fn mismatch(&self, pool_config: &PoolConfig) -> Option<SliceMismatch> {
        let first = self.window.range().first();
        let Some(pool) = pool_config.pool(&self.pool) else {
            return Some(SliceMismatch::NoPool);
        };
        if pool.slicing.is_none() {
            return Some(SliceMismatch::NotSliced);
        }
        let Some(sliced) = pool.slice_around(first) else {
            return Some(SliceMismatch::Outside);
        };
        (sliced.prefix != self.window.prefix).then_some(SliceMismatch::OtherSize(sliced.prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nadmit_cni::name;

    fn sliced(name: &str, ranges: &[&str], size: &str) -> Result<Pool, Vec<String>> {
        let ranges: Vec<_> = ranges
            .iter()
            .map(|range| serde_json::json!({"range": range}))
            .collect();
        let spec = serde_json::json!({"ranges": ranges, "nodeSliceSize": size});
        let spec = serde_json::from_value(spec).unwrap_or_else(|e| panic!("{e}"));
        Pool::new(name, &spec).map_err(|errors| errors.iter().map(ToString::to_string).collect())
    }

    fn around(pool: &Pool, address: &str) -> Option<String> {
        let address = address.parse().unwrap_or_else(|e| panic!("{e}"));
        pool.slice_around(address).map(|window| window.to_string())
    }

    fn slice(pool: &str, window: &str) -> Slice {
        let window = Subnet::parse(window).unwrap_or_else(|e| panic!("{e}"));
        Slice::new(&pool.into(), window, &"node-a".into())
    }

    #[test]
    fn slices_of_both_families_have_the_same_size() {
        let dual = sliced("a", &["10.5.0.7/20", "2001:db8::/64"], "/28");
        let dual = dual.unwrap_or_else(|e| panic!("{e:?}"));
        assert_eq!(around(&dual, "10.5.1.33").as_deref(), Some("10.5.1.32/28"));
        let v6 = around(&dual, "2001:db8::1:2f");
        assert_eq!(v6.as_deref(), Some("2001:db8::1:20/124"));
        assert_eq!(around(&dual, "10.6.0.1"), None);
        let v6 = sliced("a", &["2001:db8::/64"], "80").unwrap_or_else(|e| panic!("{e:?}"));
        let first = around(&v6, "2001:db8::1");
        assert_eq!(first.as_deref(), Some("2001:db8::/80"));
    }

    #[test]
    fn invalid_slice_sizes_are_rejected_with_a_message() {
        for (ranges, size, part) in [
            (&["10.5.0.0/20"][..], "/20", "not smaller"),
            (&["10.5.0.0/20"], "/32", "fewer than two addresses"),
            (&["10.5.0.0/20"], "/80", "fewer than two addresses"),
            (&["10.5.0.0/20"], "/28,/124", "not a valid prefix length"),
            (&["10.5.0.0/20", "2001:db8::/120"], "/24", "is not larger"),
            (&["10.5.0.0/20", "192.0.2.0/28"], "/28", "is not larger"),
        ] {
            let errors = sliced("a", ranges, size).err().unwrap_or_default().concat();
            assert!(errors.starts_with("nodeSliceSize: "), "{errors}");
            assert!(errors.contains(part), "{errors}");
        }
    }

    #[test]
    fn slice_names_are_valid_object_names() {
        assert_eq!(slice("a.b", "10.5.1.40/28").record_name(), "a.b.10.5.1.32");
        assert_eq!(
            slice("a", "2001:db8::20/124").record_name(),
            "a.2001-0db8-0000-0000-0000-0000-0000-0020"
        );
        for (range, size, window) in [
            ("10.5.0.0/20", "/28", "255.255.255.240/28"),
            ("2001:db8::/64", "/80", "2001:db8::/80"),
        ] {
            let longest = (1..=253).filter(|n| sliced(&"p".repeat(*n), &[range], size).is_ok());
            let longest = "p".repeat(longest.max().unwrap_or_default());
            let record = slice(&longest, window).record_name();
            assert_eq!(record.len(), 253);
            assert_eq!(name::subdomain(&record), Ok(()));
        }
    }

    #[test]
    fn mismatched_slices_are_detected() {
        let pool = sliced("a", &["10.5.0.0/20"], "/28").unwrap_or_else(|e| panic!("{e:?}"));
        let spec = serde_json::from_str(r#"{"ranges":[{"range":"10.5.0.0/20"}]}"#);
        let whole = Pool::new("b", &spec.unwrap_or_default()).unwrap_or_else(|e| panic!("{e:?}"));
        let pool_config = PoolConfig::new([Arc::new(pool), Arc::new(whole)], [], |_| None);
        for (pool, window, expected) in [
            ("a", "10.5.0.16/28", None),
            ("a", "10.5.0.16/29", Some(SliceMismatch::OtherSize(28))),
            ("a", "10.6.0.16/28", Some(SliceMismatch::Outside)),
            ("a", "2001:db8::/124", Some(SliceMismatch::Outside)),
            ("b", "10.5.0.16/28", Some(SliceMismatch::NotSliced)),
            ("c", "10.5.0.16/28", Some(SliceMismatch::NoPool)),
        ] {
            assert_eq!(
                slice(pool, window).mismatch(&pool_config),
                expected,
                "{window}"
            );
        }
    }
}
