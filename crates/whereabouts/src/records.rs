//! The records of Whereabouts, as typed values.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use nadmit_cni::Subnet;

/// The namespace and name of a pod, as `podref` has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodName {
    pub namespace: Box<str>,
    pub name: Box<str>,
}

/// An `IPPool` of Whereabouts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpPool {
    pub namespace: Box<str>,
    pub name: Box<str>,
    /// `metadata.resourceVersion`
    pub version: Option<Box<str>>,
    /// `spec.range`, with its host bits: offsets count from its address.
    pub range: Subnet,
    /// `spec.range`, as written.
    pub range_text: Box<str>,
    /// The entries, by offset.
    pub entries: Vec<PoolEntry>,
}

/// An entry of an `IPPool`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolEntry {
    pub offset: u128,
    /// The offset as written, which is the key in paths.
    pub key: Box<str>,
    pub address: IpAddr,
    /// The pod; `None` for an entry that only keeps the address from others.
    pub pod: Option<PodName>,
    /// The interface; empty in records of Whereabouts before 0.8.
    pub interface: Box<str>,
    pub container_id: Box<str>,
}

/// An `OverlappingRangeIPReservation` of Whereabouts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverlappingReservation {
    pub namespace: Box<str>,
    pub name: Box<str>,
    /// The pod; `None` for one that only keeps the address from others.
    pub pod: Option<PodName>,
    pub interface: Box<str>,
    /// `metadata.resourceVersion`
    pub version: Option<Box<str>>,
    /// The finalizers, which keep it after its deletion.
    pub finalizers: Vec<Box<str>>,
    /// True if it is being deleted; a finalizer keeps it.
    pub terminating: bool,
}

/// A `NodeSlicePool` of Whereabouts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSlicePool {
    pub namespace: Box<str>,
    pub name: Box<str>,
    pub slices: Vec<NodeSlice>,
}

/// A slice of a `NodeSlicePool`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSlice {
    /// The node; empty for a free slice.
    pub node: Box<str>,
    pub range: Box<str>,
}

impl NodeSlicePool {
    /// Returns the slices whose ranges can be read, each with its node; that of a free slice is empty.
    pub fn subnets(&self) -> impl Iterator<Item = (&str, Subnet)> {
        let slices = self.slices.iter();
        slices.filter_map(|slice| Some((&*slice.node, Subnet::parse(&slice.range).ok()?)))
    }
}

impl PodName {
    /// Parses `podref`: `namespace/name`.
    pub fn parse(text: &str) -> Option<Self> {
        let (namespace, name) = text.split_once('/')?;
        (!namespace.is_empty() && !name.is_empty()).then(|| Self {
            namespace: namespace.into(),
            name: name.into(),
        })
    }
}

impl fmt::Display for PodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl IpPool {
    /// Returns the address at an offset; `None` behind the last address of the family.
    pub fn address(&self, offset: u128) -> Option<IpAddr> {
        Some(match self.range.address {
            IpAddr::V4(base) => {
                let offset = u32::try_from(offset).ok()?;
                Ipv4Addr::from_bits(base.to_bits().checked_add(offset)?).into()
            }
            IpAddr::V6(base) => Ipv6Addr::from_bits(base.to_bits().checked_add(offset)?).into(),
        })
    }

    /// Returns the offset of an address of its range; `None` for others, and for those before the
    /// address as written.
    pub fn offset(&self, address: IpAddr) -> Option<u128> {
        if !self.range.range().contains(address) {
            return None;
        }
        match (self.range.address, address) {
            (IpAddr::V4(base), IpAddr::V4(address)) => address
                .to_bits()
                .checked_sub(base.to_bits())
                .map(u128::from),
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                address.to_bits().checked_sub(base.to_bits())
            }
            _ => None,
        }
    }
}

impl PoolEntry {
    /// Returns `podref`.
    pub fn pod_ref(&self) -> String {
        self.pod
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default()
    }
}
