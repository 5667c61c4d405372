//! Errors of exhausted pools and slices, with counts and the largest holders.

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
    pub(super) fn resource(&self) -> String {
        match self.range {
            Some(range) => format!("address of {range}"),
            None => "MAC".to_owned(),
        }
    }

    pub(super) fn largest(&self) -> String {
        let listed: Vec<String> = self
            .largest
            .iter()
            .map(|(namespace, count)| format!("namespace {namespace} {count}"))
            .collect();
        if listed.is_empty() {
            String::new()
        } else {
            format!(" (most by {})", listed.join(", "))
        }
    }
}

impl SlicesFull {
    pub(super) fn help(&self) -> String {
        let Self { pool, node, .. } = self;
        format!(
            "widen address pool {pool:?}, release addresses of node {node:?}, or take strictSlices from \
             the pool, so that other slices lend theirs (nadmit pools {pool} --map shows who holds them)"
        )
    }
}

impl fmt::Display for SlicesFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            pool, range, node, ..
        } = self;
        write!(
            f,
            "address pool {pool:?} has no address of {range} left for node {node:?}: "
        )?;
        match self.slices {
            0 => write!(f, "every slice is another node's")?,
            1 => write!(f, "all {} of its slice are taken", self.capacity)?,
            count => write!(f, "all {} of its {count} slices are taken", self.capacity)?,
        }
        if self.slices > 0 {
            f.write_str(", and no slice is left")?;
        }
        write!(
            f,
            " ({} free in slices of other nodes, strictSlices: true)",
            self.elsewhere
        )
    }
}

impl OutsideSlice {
    pub(super) fn help(&self) -> String {
        format!(
            "ask for an address of a slice of node {:?} (kubectl get addressslices shows them), or leave \
             \"ips\" out to be given one",
            self.node
        )
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
            "{address} lies in no slice that node {node:?} has of address pool {pool:?} (strictSlices: true)"
        )?;
        match &self.owner {
            Some(owner) => write!(f, ": its slice is that of node {owner:?}"),
            None => Ok(()),
        }
    }
}
