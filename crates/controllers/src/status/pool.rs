//! The status of a pool.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde_json::Value;

use super::{
    condition::{ConditionState, some_of},
    pressure::PRESSURE,
    settings,
};
use nadmit_allocation::{Index, Pool, SharedIndex, index::SliceUsage};
use nadmit_api::{AddressPoolStatus, PoolColumns, RangeUse, SliceUse};
use nadmit_catalog::{Catalog, PoolValidity};
use nadmit_rules::pool::whereabouts_overlaps;

/// The type of the main condition, which comes first.
pub(super) const READY: &str = "Ready";

/// The name of the only range of a pool that has MACs alone.
const MACS: &str = "MACs";

/// Returns the status of a pool, including the condition `pressure`; `None` if the catalog does not
/// know the pool yet.
pub(super) fn status(
    name: &str,
    spec: &Value,
    (catalog, index): (&Catalog, &SharedIndex),
    pressure: Option<ConditionState>,
    generation: Option<i64>,
    previous: &[Condition],
    now: Timestamp,
) -> Option<AddressPoolStatus> {
    let (verdict, numbers) = match catalog.pool(name) {
        PoolValidity::Unknown => return None,
        PoolValidity::Invalid(faults) => {
            let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
            let verdict = ConditionState::fails("Invalid", some_of(&faults));
            (verdict, not_counted(spec))
        }
        PoolValidity::Settings(settings) => {
            let effects = catalog.settings_effects(settings);
            (settings::condition(settings, &effects), not_counted(spec))
        }
        PoolValidity::Valid(pool) => {
            let overlaps = overlapped(pool, catalog);
            let index = index.lock();
            let verdict = overlaps.unwrap_or_else(|| ready(pool, &index));
            (verdict, numbers(pool, spec, &index))
        }
    };
    let both = [(READY, Some(verdict)), (PRESSURE, pressure)].into_iter();
    let conditions = both
        .filter_map(|(kind, verdict)| Some(verdict?.condition(kind, generation, previous, now)));
    Some(AddressPoolStatus {
        conditions: conditions.collect(),
        ..numbers
    })
}

/// Returns the failed condition if Whereabouts allocates addresses of the pool.
fn overlapped(pool: &Pool, catalog: &Catalog) -> Option<ConditionState> {
    let overlaps = whereabouts_overlaps(catalog, pool);
    let overlaps: Vec<String> = overlaps.iter().map(ToString::to_string).collect();
    let message = format!(
        "Whereabouts assigns addresses of pool {:?} on {}; change these networks, or exclude their \
         addresses from the pool",
        pool.name,
        some_of(&overlaps)
    );
    (!overlaps.is_empty()).then(|| ConditionState::fails("OverlapsWhereabouts", message))
}

/// Returns the condition of a valid pool: whether it allocates addresses.
fn ready(pool: &Pool, index: &Index) -> ConditionState {
    if pool.slicing.is_some() && !index.supports_slices() {
        let message = format!(
            "pool {:?} sets nodeSliceSize, but nadmit does not record node slices",
            pool.name
        );
        return ConditionState::fails("NoSlices", message);
    }
    if !index.is_ready(&pool.name) {
        let message = format!(
            "nadmit is recording the addresses of pool {:?} that pods and networks use; no action \
             needed",
            pool.name
        );
        return ConditionState::fails("WaitingForAdoption", message);
    }
    ConditionState::holds("Adopted", format!("pool {:?} assigns addresses", pool.name))
}

/// Returns the usage of each range; only the ranges' names if the index does not know the pool yet.
fn numbers(pool: &Pool, spec: &Value, index: &Index) -> AddressPoolStatus {
    let usages = index.range_usages(&pool.name);
    let names: Vec<String> = match &*pool.ranges {
        [] => vec![MACS.to_owned()],
        ranges => ranges.iter().map(|one| one.subnet.to_string()).collect(),
    };
    let Some(scarcest) = usages.iter().min_by_key(|usage| usage.free) else {
        return not_counted(spec);
    };
    let ranges = names.iter().zip(&usages);
    let written = match written_ranges(spec) {
        written if written.len() == usages.len() => written,
        _ => names.clone(),
    };
    AddressPoolStatus {
        conditions: Vec::new(),
        capacity: Some(scarcest.capacity.to_string()),
        allocated: Some(number(scarcest.allocated)),
        reserved: Some(number(scarcest.reserved)),
        free: Some(scarcest.free.to_string()),
        ranges: ranges
            .map(|(name, usage)| RangeUse::of(name.clone(), usage))
            .collect(),
        columns: Some(PoolColumns::of(&written, &usages)),
        slices: index.slice_usages(&pool.name).iter().map(slice).collect(),
    }
}

/// Returns the status of a pool of which only the spec is known.
fn not_counted(spec: &Value) -> AddressPoolStatus {
    AddressPoolStatus {
        columns: Some(PoolColumns::of(&written_ranges(spec), &[])),
        ..AddressPoolStatus::default()
    }
}

/// Returns the ranges as written in a spec.
fn written_ranges(spec: &Value) -> Vec<String> {
    let ranges = spec["ranges"].as_array().into_iter().flatten();
    let written = ranges.filter_map(|range| range["range"].as_str());
    written.map(str::to_owned).collect()
}

fn slice(usage: &SliceUsage) -> SliceUse {
    let taken = usage.capacity.saturating_sub(usage.free);
    SliceUse {
        node: usage.slice.node.to_string(),
        range: usage.slice.window.to_string(),
        allocated: number(u64::try_from(taken).unwrap_or(u64::MAX)),
        free: usage.free.to_string(),
    }
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
