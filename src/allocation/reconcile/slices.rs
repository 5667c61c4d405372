//! Slices that nobody draws from any more.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::Arc,
};

use crate::{
    allocation::{Allocation, Mismatch, PoolConfig, Slice, Version},
    network::range::Subnet,
};

/// What is known of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeState {
    /// It answers.
    Ready,
    /// It is there, and does not answer: what runs on it may run on.
    NotReady,
    /// There is none of this name.
    Gone,
    /// Nothing can be said.
    Unknown,
}

/// A slice that may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdleSlice {
    /// The slice; no record of its pool is inside.
    pub slice: Slice,
    /// The version of its record that was judged.
    pub version: Version,
    /// Why it may go.
    pub reason: IdleReason,
}

/// Why a slice may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdleReason {
    /// Its node is gone.
    NodeGone,
    /// It is none of its pool's any more.
    Mismatch(Mismatch),
}

impl IdleReason {
    /// The word in logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::NodeGone => "node-gone",
            Self::Mismatch(_) => "misfit",
        }
    }
}

/// The slices in which nothing is recorded, and whose nodes are gone or pools are cut otherwise, in the
/// order in which they come. Give it what is in flight, too, and a layout that is read to its end.
/// Whoever deletes them does so under the versions: an address that is given meanwhile is held as
/// before, and counts as lent.
pub fn idle_slices<'a>(
    slices: impl IntoIterator<Item = (&'a Slice, Version)>,
    records: impl IntoIterator<Item = &'a Allocation>,
    layout: &PoolConfig,
    node: impl Fn(&str) -> NodeState,
) -> Vec<IdleSlice> {
    let mut idle: Vec<IdleSlice> = slices
        .into_iter()
        .filter_map(|(slice, version)| {
            let reason = match slice.mismatch(layout) {
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

/// A pool, the first address of a part of it, and the length of that part's prefix.
type Part = (Arc<str>, IpAddr, u8);

/// The parts of pools in which something is recorded, of those that are asked for.
fn used<'a>(
    asked: &[IdleSlice],
    records: impl IntoIterator<Item = &'a Allocation>,
) -> HashSet<Part> {
    // Mostly the slices of a pool are of one size; a record lies in one part of each size.
    let mut sizes: HashMap<&str, Vec<u8>> = HashMap::new();
    for one in asked {
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

fn key(pool: &Arc<str>, part: Subnet) -> Part {
    (Arc::clone(pool), part.range().first(), part.prefix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allocation::{Holder, NetworkRef, Pool, Space, Timestamp};

    fn layout(size: &str) -> PoolConfig {
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
        let idle = idle_slices(slices, records, &layout(size), state);
        idle.into_iter()
            .map(|one| (one.slice.window.to_string(), one.reason))
            .collect()
    }

    #[test]
    fn an_empty_slice_goes_with_its_node() {
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
    fn a_slice_of_an_older_layout_goes_when_it_is_empty() {
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
                    IdleReason::Mismatch(Mismatch::OtherSize(27))
                ),
                (
                    "192.0.2.0/28".to_owned(),
                    IdleReason::Mismatch(Mismatch::NoPool)
                ),
            ]
        );
    }
}
