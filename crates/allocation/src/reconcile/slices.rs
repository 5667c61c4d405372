//! Garbage collection of slices.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::Arc,
};

use crate::{Allocation, PoolConfig, Slice, SliceMismatch, Version};
use nadmit_cni::range::Subnet;

/// The observed state of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeState {
    /// The node responds.
    Ready,
    /// The node exists but does not respond; its pods may still be running.
    NotReady,
    /// No node of this name exists.
    Gone,
    /// The state is unknown.
    Unknown,
}

/// A slice that can be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdleSlice {
    /// The slice; it contains no record of its pool.
    pub slice: Slice,
    /// The version of the slice's record, for a conditional delete.
    pub version: Version,
    /// The reason why it can be deleted.
    pub reason: IdleReason,
}

/// The reason why a slice can be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdleReason {
    /// The node is deleted.
    NodeGone,
    /// The slice does not match its pool.
    Mismatch(SliceMismatch),
}

impl IdleReason {
    /// Returns the label for logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::NodeGone => "node-gone",
            Self::Mismatch(_) => "misfit",
        }
    }
}

/// Returns the slices without records whose nodes are deleted or which do not match their pools, in
/// input order. Records must include pending ones, and the configuration must be complete. The caller
/// deletes the slices under their versions: an address that is allocated in the meantime remains valid
/// and counts as borrowed.
pub fn idle_slices<'a>(
    slices: impl IntoIterator<Item = (&'a Slice, Version)>,
    records: impl IntoIterator<Item = &'a Allocation>,
    pool_config: &PoolConfig,
    node: impl Fn(&str) -> NodeState,
) -> Vec<IdleSlice> {
    let mut idle: Vec<IdleSlice> = slices
        .into_iter()
        .filter_map(|(slice, version)| {
            let reason = match slice.mismatch(pool_config) {
                Some(mismatch) => IdleReason::Mismatch(mismatch),
                None if node(&slice.node) == NodeState::Gone => IdleReason::NodeGone,
                None => return None,
            };
            let slice = slice.clone();
            Some(IdleSlice {
                slice,
                version,
                reason,
            })
        })
        .collect();
    if idle.is_empty() {
        return idle;
    }
    let used = used(&idle, records);
    idle.retain(|one| !used.contains(&key(&one.slice.pool, one.slice.window)));
    idle
}

/// A part of a pool: the pool, the first address, and the prefix length.
type PoolPart = (Arc<str>, IpAddr, u8);

/// Returns the parts of pools that contain records, limited to the sizes of the given slices.
fn used<'a>(
    slices: &[IdleSlice],
    records: impl IntoIterator<Item = &'a Allocation>,
) -> HashSet<PoolPart> {
    // The slices of a pool usually have one size; a record lies in one part of each size.
    let mut sizes: HashMap<&str, Vec<u8>> = HashMap::new();
    for one in slices {
        let sizes = sizes.entry(&one.slice.pool).or_default();
        if !sizes.contains(&one.slice.window.prefix) {
            sizes.push(one.slice.window.prefix);
        }
    }
    let mut used = HashSet::new();
    for record in records {
        let sizes = sizes.get(&*record.pool).into_iter().flatten();
        let Some(address) = record.address.ip() else {
            continue;
        };
        for prefix in sizes.copied() {
            let part = Subnet { address, prefix };
            if prefix <= part.width() {
                used.insert(key(&record.pool, part));
            }
        }
    }
    used
}

fn key(pool: &Arc<str>, part: Subnet) -> PoolPart {
    (Arc::clone(pool), part.range().first(), part.prefix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Holder, NetworkRef, Pool, Space, Timestamp};

    fn pool_config(size: &str) -> PoolConfig {
        let spec = serde_json::json!({
            "ranges": [{"range": "192.0.2.0/24"}, {"range": "2001:db8::/64"}],
            "nodeSliceSize": size,
        });
        let spec = serde_json::from_value(spec).unwrap_or_else(|e| panic!("{e}"));
        let pool = Pool::new("storage", &spec).unwrap_or_else(|e| panic!("{e:?}"));
        PoolConfig::new([Arc::new(pool)], [], |_| None)
    }

    fn slice(pool: &str, window: &str, node: &str) -> Slice {
        let window = Subnet::parse(window).unwrap_or_else(|e| panic!("{e}"));
        Slice::new(&pool.into(), window, &node.into())
    }

    fn record(pool: &str, address: &str) -> Allocation {
        let network = NetworkRef {
            namespace: "db".into(),
            name: "storage-net".into(),
        };
        Allocation {
            address: address.parse().unwrap_or_else(|e| panic!("{e}")),
            space: Space::default(),
            pool: pool.into(),
            network,
            interface: "net1".into(),
            holder: Holder::Pod {
                namespace: "db".into(),
                name: "p".into(),
            },
            pod: None,
            mac: None,
            former_nodes: Vec::new(),
            taken: None,
            reservation: None,
            since: Timestamp(0),
        }
    }

    fn state(node: &str) -> NodeState {
        match node {
            "ready" => NodeState::Ready,
            "silent" => NodeState::NotReady,
            "gone" => NodeState::Gone,
            _ => NodeState::Unknown,
        }
    }

    fn idle(slices: &[Slice], records: &[Allocation], size: &str) -> Vec<(String, IdleReason)> {
        let slices = slices.iter().map(|slice| (slice, Version(3)));
        let idle = idle_slices(slices, records, &pool_config(size), state);
        idle.into_iter()
            .map(|one| (one.slice.window.to_string(), one.reason))
            .collect()
    }

    #[test]
    fn empty_slices_of_deleted_nodes_are_collected() {
        let slices = [
            slice("storage", "192.0.2.0/28", "ready"),
            slice("storage", "192.0.2.16/28", "silent"),
            slice("storage", "192.0.2.32/28", "else"),
            slice("storage", "192.0.2.48/28", "gone"),
            slice("storage", "192.0.2.64/28", "gone"),
            slice("storage", "2001:db8::40/124", "gone"),
            slice("storage", "2001:db8::50/124", "gone"),
        ];
        let records = [
            record("storage", "192.0.2.63"),
            record("other", "192.0.2.64"),
            record("storage", "2001:db8::50"),
            record("storage", "02:5e:00:00:00:01"),
        ];
        let gone = |window: &str| (window.to_owned(), IdleReason::NodeGone);
        assert_eq!(
            idle(&slices, &records, "/28"),
            [gone("192.0.2.64/28"), gone("2001:db8::40/124")]
        );
    }

    #[test]
    fn empty_mismatched_slices_are_collected() {
        let slices = [
            slice("storage", "192.0.2.0/28", "ready"),
            slice("storage", "192.0.2.16/28", "ready"),
            slice("other", "192.0.2.0/28", "ready"),
        ];
        let records = [record("storage", "192.0.2.17")];
        assert_eq!(
            idle(&slices, &records, "/27"),
            [
                (
                    "192.0.2.0/28".to_owned(),
                    IdleReason::Mismatch(SliceMismatch::OtherSize(27))
                ),
                (
                    "192.0.2.0/28".to_owned(),
                    IdleReason::Mismatch(SliceMismatch::NoPool)
                ),
            ]
        );
    }
}
