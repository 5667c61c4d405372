//! Errors of exhausted pools and slices, with counts and the largest holders as details.

use std::{fmt, net::IpAddr, sync::Arc};

use crate::NetworkRef;
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

/// The authority that keeps a node to its slices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SliceLimit {
    /// The pool has `strictSlices`.
    Strict,
    /// The plugin on the node uses the slice in the NodeSlicePool of this name alone.
    NodeSlicePool(Arc<str>),
}

/// The exhausted slices of a node that borrows no addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlicesFull {
    /// The name of the pool.
    pub pool: Arc<str>,
    /// The range of the slices; of a NodeSlicePool, the slice.
    pub range: Subnet,
    /// The name of the node.
    pub node: Arc<str>,
    /// The number of the node's slices in the range.
    pub slices: usize,
    /// The number of allocatable addresses in these slices.
    pub capacity: u128,
    /// The number of free addresses in slices of other nodes.
    pub elsewhere: u128,
    pub limit: SliceLimit,
}

/// A node or an address without a slice in the NodeSlicePool of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoNodeSlice {
    /// The network that is divided into slices.
    pub network: NetworkRef,
    pub without: WithoutSlice,
    /// The name of the NodeSlicePool.
    pub slice_pool: Arc<str>,
    /// True if the NodeSlicePool exists.
    pub exists: bool,
}

/// The node or address that has no slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WithoutSlice {
    /// No slice is this node's.
    Node(Arc<str>),
    /// The slice of no node contains this address.
    Address(IpAddr),
}

/// An address outside of the slices of a node that borrows no addresses.
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
    pub limit: SliceLimit,
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
        let pool = &self.pool;
        match self.limit {
            SliceLimit::Strict => format!(
                "run `nadmit pools --cluster {pool} --map`, release addresses, add a range, or set \
                 strictSlices: false to borrow addresses"
            ),
            SliceLimit::NodeSlicePool(_) => format!(
                "run `nadmit pools --cluster {pool} --map`, delete pods of the node, or give the nodes \
                 larger slices (node_slice_size)"
            ),
        }
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

impl OutsideSlice {
    pub(super) fn help(&self) -> String {
        match self.limit {
            SliceLimit::Strict => {
                "request an address of a slice of the pod's node (kubectl get addressslices), or remove \"ips\" \
                 to get one assigned"
            }
            SliceLimit::NodeSlicePool(_) => {
                "place the pod on the node of the address (nodeSelector), or remove \"ips\" to get an address \
                 of its own node's slice (kubectl get nodeslicepools -A)"
            }
        }
        .to_owned()
    }
}

impl fmt::Display for SlicesFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            pool, range, node, ..
        } = self;
        write!(f, "pool {pool:?} is full for node {node:?}: ")?;
        match (&self.limit, self.slices) {
            (SliceLimit::NodeSlicePool(_), _) => {
                write!(f, "all addresses of its slice {range} are in use")?;
            }
            (SliceLimit::Strict, 0) => write!(f, "every slice of {range} belongs to another node")?,
            (SliceLimit::Strict, _) => write!(
                f,
                "all addresses of its slices of {range} are in use, and no slice is free"
            )?,
        }
        write!(f, " ({})", self.limit)
    }
}

impl fmt::Display for SliceLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Strict => f.write_str("strictSlices: true"),
            Self::NodeSlicePool(name) => write!(f, "NodeSlicePool {name:?}"),
        }
    }
}

impl NoNodeSlice {
    pub(super) fn help(&self) -> String {
        match self.without {
            WithoutSlice::Address(_) if self.exists => {
                "request an address of a node's slice (kubectl get nodeslicepools -A), or remove \"ips\" to get \
                 one assigned"
            }
            _ => {
                "check that Whereabouts's node-slice-controller runs, and read its log (kubectl get \
                 nodeslicepools -A); controllers and the scheduler try again"
            }
        }
        .to_owned()
    }
}

impl fmt::Display for NoNodeSlice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            network: NetworkRef { namespace, name },
            slice_pool,
            ..
        } = self;
        match &self.without {
            WithoutSlice::Node(node) => write!(f, "node {node:?} has no slice")?,
            WithoutSlice::Address(address) => write!(f, "{address} is in the slice of no node")?,
        }
        write!(f, " of network {namespace}/{name}")?;
        match self.exists {
            true => write!(f, " in NodeSlicePool {slice_pool:?}"),
            false => write!(f, ": NodeSlicePool {slice_pool:?} does not exist"),
        }
    }
}

impl fmt::Display for OutsideSlice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            address,
            pool,
            node,
            owner,
            limit,
        } = self;
        match (limit, owner) {
            (SliceLimit::Strict, owner) => {
                write!(
                    f,
                    "{address} is in no slice of node {node:?} in pool {pool:?} ({limit})"
                )?;
                match owner {
                    Some(owner) => write!(f, ": its slice belongs to node {owner:?}"),
                    None => Ok(()),
                }
            }
            (SliceLimit::NodeSlicePool(_), Some(owner)) => write!(
                f,
                "{address} is in the slice of node {owner:?}, not of {node:?} ({limit})"
            ),
            (SliceLimit::NodeSlicePool(_), None) => {
                write!(
                    f,
                    "{address} is not in the slice of node {node:?} ({limit})"
                )
            }
        }
    }
}
