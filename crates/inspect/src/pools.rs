//! Usage of the pools.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use nadmit_allocation::{Allocation, Holder, Index, Pool, index::Usage};
use nadmit_catalog::{Catalog, PoolValidity};

/// The allocator of a pool, by the kind of its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum PoolKind {
    /// A pool that nadmit assigns addresses of.
    #[default]
    AddressPool,
    /// A pool that Whereabouts assigns addresses of.
    #[serde(rename = "IPPool")]
    IpPool,
}

impl PoolKind {
    /// Returns the kind's name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::AddressPool => "AddressPool",
            Self::IpPool => "IPPool",
        }
    }
}

/// Usage of a pool.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PoolRow {
    #[serde(default)]
    pub kind: PoolKind,
    /// Name of the pool, as commands take it: of an `IPPool` `IPPool/NAME`.
    pub name: String,
    /// Address space of the pool; empty for the unnamed space.
    pub network_name: String,
    /// Networks of an `IPPool`, as `namespace/name`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<String>,
    /// Ranges, or the MACs if the pool has no IP ranges. A pool is as full as its fullest range.
    pub ranges: Vec<RangeRow>,
    /// First and last MAC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub macs: Option<String>,
    /// Capacity of the range with the fewest free addresses, if known.
    pub capacity: Option<u128>,
    /// Held addresses of that range; for an unconfigured pool, all held addresses.
    pub used: u64,
    /// Reserved addresses of that range that are not taken.
    pub reserved: u64,
    /// Free addresses of that range, if known.
    pub free: Option<u128>,
    /// Entries of an `IPPool` outside of what Whereabouts assigns for its networks; not in `used`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub outside: u64,
    /// Usage of its slices, if nodes allocate from slices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slices: Option<SlicesRow>,
    /// Reason why the pool allocates nothing, or why the row is incomplete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Usage of a range.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RangeRow {
    /// Subnet of the range.
    pub range: String,
    /// Number of allocatable addresses.
    pub capacity: u128,
    /// Number of held addresses.
    pub used: u64,
    /// Number of reserved addresses that are not taken.
    pub reserved: u64,
    /// Number of free addresses.
    pub free: u128,
}

/// Usage of the slices of a pool.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SlicesRow {
    /// Number of slices with allocatable addresses.
    pub all: u128,
    /// Number of slices owned by a node or being claimed.
    pub claimed: u128,
    /// Number of free addresses outside of all owned slices.
    pub free_outside: u128,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Returns all `AddressPool`s sorted by name: those of the catalog and those that only records name.
/// `serving` is true inside a running server, which allocates from the pools.
pub fn pools(index: &Index, catalog: Option<&Catalog>, serving: bool) -> Vec<PoolRow> {
    let record_usages = RecordUsages::of(index);
    let named = catalog.map(Catalog::pool_names).unwrap_or_default();
    let names: BTreeSet<&str> = named
        .into_iter()
        .chain(record_usages.0.keys().copied())
        .collect();
    let row = |name| pool_row(name, index, catalog, serving, &record_usages);
    names.into_iter().map(row).collect()
}

/// Returns the pool `name` if the catalog or a record names it.
pub(super) fn pool(
    name: &str,
    index: &Index,
    catalog: Option<&Catalog>,
    serving: bool,
) -> Option<PoolRow> {
    let mut rows = pools(index, catalog, serving).into_iter();
    rows.find(|row| row.name == name)
}

fn pool_row(
    name: &str,
    index: &Index,
    catalog: Option<&Catalog>,
    serving: bool,
    record_usages: &RecordUsages<'_>,
) -> PoolRow {
    let state = catalog.map(|catalog| catalog.pool(name));
    let note = match state {
        Some(PoolValidity::Valid(pool)) => return configured(pool, index, serving),
        Some(PoolValidity::Invalid(faults)) => faults.first().map_or_else(
            || "assigns nothing: its specification is not valid".to_owned(),
            |fault| format!("assigns nothing: {fault}"),
        ),
        Some(PoolValidity::Settings(_)) => {
            "records are left of it, but the AddressPool has only settings for pools of networks"
                .to_owned()
        }
        Some(PoolValidity::Unknown) => {
            "records are left of it, but there is no such AddressPool".to_owned()
        }
        None => "its capacity is not known without --manifests".to_owned(),
    };
    let count = record_usages.0.get(name).copied().unwrap_or_default();
    PoolRow {
        name: name.to_owned(),
        used: count.used,
        reserved: count.reserved,
        network_name: count.network_name.to_owned(),
        note: Some(note),
        ..PoolRow::default()
    }
}

fn configured(pool: &Pool, index: &Index, serving: bool) -> PoolRow {
    let ranges = ranges(pool, index);
    // An attachment needs one address of each range, so the scarcest range counts.
    let scarcest = ranges.iter().min_by_key(|range| range.free).cloned();
    let scarcest = scarcest.unwrap_or_default();
    let bounds = pool.macs.as_ref().and_then(|macs| macs.bounds());
    let cut = pool.slicing.is_some();
    let note = if serving && cut && !index.supports_slices() {
        Some(
            "assigns nothing: it has slices (nodeSliceSize), and this server does not support slices",
        )
    } else if serving && !index.is_ready(&pool.name) {
        Some("assigns nothing yet: nadmit is recording the addresses in use in its ranges")
    } else {
        None
    };
    let note = note.map(str::to_owned);
    PoolRow {
        name: pool.name.to_string(),
        network_name: pool.space.network_name().to_owned(),
        ranges,
        macs: bounds.map(|(first, last)| format!("{first} to {last}")),
        capacity: Some(scarcest.capacity),
        used: scarcest.used,
        reserved: scarcest.reserved,
        free: Some(scarcest.free),
        slices: slices(pool, index),
        note,
        ..PoolRow::default()
    }
}

/// Returns the slice usage of a pool, if its slices are recorded: by nadmit, or by Whereabouts.
fn slices(pool: &Pool, index: &Index) -> Option<SlicesRow> {
    let usage = index.slicing_usage(&pool.name);
    let is_recorded = pool.node_slices.is_some() || index.supports_slices();
    let usage = usage.filter(|_| is_recorded)?;
    Some(SlicesRow {
        all: usage.all,
        claimed: usage.claimed,
        free_outside: usage.free_outside,
    })
}

fn ranges(pool: &Pool, index: &Index) -> Vec<RangeRow> {
    let names = range_names(pool).into_iter();
    let usages = names.zip(index.range_usages(&pool.name));
    let row = |(range, usage): (String, Usage)| RangeRow {
        range,
        capacity: usage.capacity,
        used: usage.allocated,
        reserved: usage.reserved,
        free: usage.free,
    };
    usages.map(row).collect()
}

/// Returns the names of a pool's ranges; `MACs` for a pool of MACs alone.
pub fn range_names(pool: &Pool) -> Vec<String> {
    if pool.ranges.is_empty() {
        return vec!["MACs".to_owned()];
    }
    pool.ranges.iter().map(|r| r.subnet.to_string()).collect()
}

/// Usage of a pool according to the records alone.
#[derive(Debug, Clone, Copy, Default)]
struct RecordUsage<'i> {
    used: u64,
    reserved: u64,
    network_name: &'i str,
}

struct RecordUsages<'i>(BTreeMap<&'i str, RecordUsage<'i>>);

impl<'i> RecordUsages<'i> {
    /// Counts records by pool. MACs count only in pools without recorded IP addresses.
    fn of(index: &'i Index) -> Self {
        let mut with_addresses = BTreeSet::new();
        for (one, _) in index
            .allocations()
            .filter(|(one, _)| one.address.ip().is_some())
        {
            with_addresses.insert(&*one.pool);
        }
        let counts =
            |one: &Allocation| one.address.ip().is_some() || !with_addresses.contains(&*one.pool);
        let mut record_usages: BTreeMap<&str, RecordUsage<'_>> = BTreeMap::new();
        for (one, _) in index.allocations().filter(|(one, _)| counts(one)) {
            let count = record_usages.entry(&one.pool).or_default();
            count.network_name = one.space.network_name();
            match one.holder {
                Holder::Reservation { .. } => count.reserved += 1,
                _ => count.used += 1,
            }
        }
        Self(record_usages)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use nadmit_allocation::{NodeSlices, ParsedSpec, Slice, Version};
    use nadmit_cni::range::Subnet;

    #[test]
    fn slices_are_counted_where_they_are_recorded() {
        let spec = serde_json::json!({
            "ranges": [{"range": "10.5.0.0/24"}], "nodeSliceSize": "/28",
        });
        let pool = ParsedSpec::of_pool(&spec).pool("storage");
        let pool = Arc::new(pool.unwrap_or_else(|e| panic!("{e:?}")));
        let known = [("storage".into(), Ok(Arc::clone(&pool)))];
        let catalog = Catalog::default().with_pools(known, [], &Arc::default());
        let mut index = Index::of(catalog.pool_config());
        index.set_ready("storage");
        let row = |index: &Index| pools(index, Some(&catalog), true).remove(0);
        let note = row(&index).note.unwrap_or_default();
        assert!(note.contains("does not support slices"), "{note}");
        index.enable_slices();
        let window = Subnet::parse("10.5.0.16/28").unwrap_or_else(|e| panic!("{e}"));
        index.apply_slice(Slice::new(&pool.name, window, &"node-a".into()), Version(1));
        let expected = SlicesRow {
            all: 16,
            claimed: 1,
            free_outside: 238,
        };
        assert_eq!(
            (row(&index).slices, row(&index).note),
            (Some(expected), None)
        );
    }

    #[test]
    fn slices_of_whereabouts_are_counted_as_they_are() {
        let spec = serde_json::json!({"ranges": [{"range": "10.5.0.0/24"}]});
        let pool = ParsedSpec::of_pool(&spec).pool("storage");
        let mut pool = pool.unwrap_or_else(|e| panic!("{e:?}"));
        let subnet = |text| Subnet::parse(text).unwrap_or_else(|e| panic!("{e}"));
        let slices = [
            ("node-a", subnet("10.5.0.0/28")),
            ("node-b", subnet("10.5.0.16/28")),
            ("", subnet("10.5.0.32/28")),
        ];
        let expected = |all, claimed, free_outside| {
            Some(SlicesRow {
                all,
                claimed,
                free_outside,
            })
        };
        for (slices, expected) in [
            (NodeSlices::new("net", slices), expected(3, 2, 223)),
            (NodeSlices::missing("net"), expected(0, 0, 254)),
        ] {
            pool.node_slices = Some(slices);
            let known = [("storage".into(), Ok(Arc::new(pool.clone())))];
            let catalog = Catalog::default().with_pools(known, [], &Arc::default());
            let index = Index::of(catalog.pool_config());
            assert_eq!(pools(&index, Some(&catalog), true)[0].slices, expected);
        }
    }
}
