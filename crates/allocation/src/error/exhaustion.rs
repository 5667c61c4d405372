//! Errors of exhausted pools and slices, with counts and the largest holders as details.

use std::{fmt, net::IpAddr, sync::Arc};

use nadmit_cni::range::Subnet;

/// An exhausted range of a pool, or its exhausted MACs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exhausted {
    /// The name of the pool.
    pub pool: Arc<str>,
    /// The range; `None` for MACs.
    pub range: Option<Subnet>,
    /// The number of allocatable addresses.
    pub capacity: u128,
    /// The namespaces with the most addresses of the range, or MACs, with their counts.
    pub largest: Vec<(Arc<str>, u64)>,
}

/// The exhausted slices of a node in a strict pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlicesFull {
    /// The name of the pool.
    pub pool: Arc<str>,
    /// The range of the slices.
    pub range: Subnet,
    /// The name of the node.
    pub node: Arc<str>,
    /// The number of the node's slices in the range.
    pub slices: usize,
    /// The number of allocatable addresses in these slices.
    pub capacity: u128,
    /// The number of free addresses in slices of other nodes.
    pub elsewhere: u128,
}

/// An address outside of the node's slices in a strict pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutsideSlice {
    /// The requested address.
    pub address: IpAddr,
    /// The name of the pool.
    pub pool: Arc<str>,
    /// The node of the pod that requests the address.
    pub node: Arc<str>,
    /// The node that owns the address's slice, if any does.
    pub owner: Option<Arc<str>>,
}

impl Exhausted {
    pub(super) fn detail(&self) -> Option<String> {
        let largest = self.largest.iter();
        let listed: Vec<String> = largest
            .map(|(namespace, count)| format!("namespace {namespace}: {count}"))
            .collect();
        (!listed.is_empty()).then(|| format!("most by {}", listed.join(", ")))
    }

    pub(super) fn help(&self) -> String {
        let pool = &self.pool;
        match self.range {
            Some(_) => {
                format!(
                    "run `nadmit pools --cluster {pool} --map`, release addresses or add a range"
                )
            }
            None => format!("release MACs, or extend the macs of pool {pool:?}"),
        }
    }
}

impl fmt::Display for Exhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pool {:?} is full: ", self.pool)?;
        match (self.range, self.capacity) {
            (Some(range), 1) => write!(f, "the only address of {range} is in use"),
            (Some(range), count) => write!(f, "all {count} addresses of {range} are in use"),
            (None, 0) => f.write_str("it has no MACs that are not derived from addresses"),
            (None, 1) => f.write_str("its only MAC is in use"),
            (None, count) => write!(f, "all {count} MACs are in use"),
        }
    }
}

impl SlicesFull {
    pub(super) fn help(&self) -> String {
        format!(
            "run `nadmit pools --cluster {} --map`, release addresses, add a range, or set strictSlices: \
             false to borrow addresses",
            self.pool
        )
    }

    pub(super) fn detail(&self) -> String {
        let Self {
            slices,
            capacity,
            elsewhere,
            ..
        } = self;
        let addresses = if *capacity == 1 {
            "address"
        } else {
            "addresses"
        };
        let own = match slices {
            0 => String::new(),
            1 => format!("{capacity} {addresses} in its slice, "),
            count => format!("{capacity} {addresses} in its {count} slices, "),
        };
        format!("{own}{elsewhere} free in slices of other nodes")
    }
}

impl fmt::Display for SlicesFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            pool, range, node, ..
        } = self;
        write!(f, "pool {pool:?} is full for node {node:?}: ")?;
        match self.slices {
            0 => write!(f, "every slice of {range} belongs to another node")?,
            _ => write!(
                f,
                "all addresses of its slices of {range} are in use, and no slice is free"
            )?,
        }
        f.write_str(" (strictSlices: true)")
    }
}

impl fmt::Display for OutsideSlice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            address,
            pool,
            node,
            ..
        } = self;
        write!(
            f,
            "{address} is in no slice of node {node:?} in pool {pool:?} (strictSlices: true)"
        )?;
        match &self.owner {
            Some(owner) => write!(f, ": its slice belongs to node {owner:?}"),
            None => Ok(()),
        }
    }
}
