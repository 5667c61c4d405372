//! Refusals that say how many there are and who has them.

use std::{fmt, net::IpAddr, sync::Arc};

use crate::network::range::Subnet;

/// What was all given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exhausted {
    /// The pool.
    pub pool: Arc<str>,
    /// The range; of MACs none.
    pub range: Option<Subnet>,
    /// How many addresses it can give.
    pub capacity: u128,
    /// The namespaces that hold most of the range, or of the MACs, with how many.
    pub largest: Vec<(Arc<str>, u64)>,
}

/// What was all given of a node's slices, where its pool is strict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlicesFull {
    /// The pool.
    pub pool: Arc<str>,
    /// The range.
    pub range: Subnet,
    /// The node.
    pub node: Arc<str>,
    /// How many slices of the range it has.
    pub slices: usize,
    /// How many addresses these can give.
    pub capacity: u128,
    /// How many are free in slices of other nodes.
    pub elsewhere: u128,
}

/// An address of another node's slice, where its pool is strict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutsideSlice {
    /// The address.
    pub address: IpAddr,
    /// The pool.
    pub pool: Arc<str>,
    /// The node of the pod.
    pub node: Arc<str>,
    /// The node whose slice it is in, if it is anyone's.
    pub owner: Option<Arc<str>>,
}

impl Exhausted {
    pub(super) fn what(&self) -> String {
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
