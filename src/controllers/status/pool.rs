//! What there is to say of a pool.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::{
    condition::{Verdict, some_of},
    fullness::PRESSURE,
};
use crate::{
    allocation::{Index, Pool, SharedIndex, index::SliceUsage},
    api::{AddressPoolStatus, SliceUse},
    catalog::{Catalog, PoolState},
    rules::pool::whereabouts_overlaps,
};

/// The condition, which comes first.
pub(super) const READY: &str = "Ready";

/// The status of a pool, with the `pressure` that it is under; `None` where the catalog does not know
/// it yet.
pub(super) fn status(
    name: &str,
    (catalog, index): (&Catalog, &SharedIndex),
    pressure: Option<Verdict>,
    generation: Option<i64>,
    before: &[Condition],
    now: Timestamp,
) -> Option<AddressPoolStatus> {
    let (verdict, numbers) = match catalog.pool(name) {
        PoolState::Unknown => return None,
        PoolState::Faulty(faults) => {
            let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
            let verdict = Verdict::fails("Invalid", some_of(&faults));
            (verdict, AddressPoolStatus::default())
        }
        PoolState::Valid(pool) => {
            let overlaps = overlapped(pool, catalog);
            let index = index.lock();
            let verdict = overlaps.unwrap_or_else(|| ready(pool, &index));
            (verdict, numbers(pool, &index))
        }
    };
    let both = [(READY, Some(verdict)), (PRESSURE, pressure)].into_iter();
    let conditions =
        both.filter_map(|(kind, verdict)| Some(verdict?.condition(kind, generation, before, now)));
    Some(AddressPoolStatus {
        conditions: conditions.collect(),
        ..numbers
    })
}

/// Whether Whereabouts is in its way.
fn overlapped(pool: &Pool, catalog: &Catalog) -> Option<Verdict> {
    let overlaps = whereabouts_overlaps(catalog, pool);
    let overlaps: Vec<String> = overlaps.iter().map(ToString::to_string).collect();
    let message = format!(
        "Whereabouts gives addresses of it to pods on {}; change these networks, or exclude their \
         addresses",
        some_of(&overlaps)
    );
    (!overlaps.is_empty()).then(|| Verdict::fails("OverlapsWhereabouts", message))
}

/// Whether it gives addresses.
fn ready(pool: &Pool, index: &Index) -> Verdict {
    if pool.slicing.is_some() && !index.supports_slices() {
        let message = "it is cut into slices of nodes, and nobody records slices";
        return Verdict::fails("NoSlices", message);
    }
    if !index.is_ready(&pool.name) {
        let message = "what pods and networks use in its ranges is being recorded";
        return Verdict::fails("WaitingForAdoption", message);
    }
    Verdict::holds("Adopted", "it gives addresses")
}

/// How full it is; nothing where the index does not know it yet.
fn numbers(pool: &Pool, index: &Index) -> AddressPoolStatus {
    let Some(usage) = index.usage(&pool.name) else {
        return AddressPoolStatus::default();
    };
    AddressPoolStatus {
        conditions: Vec::new(),
        capacity: Some(usage.capacity.to_string()),
        allocated: Some(number(usage.allocated)),
        reserved: Some(number(usage.reserved)),
        free: Some(usage.free.to_string()),
        slices: index.slice_usages(&pool.name).iter().map(slice).collect(),
    }
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
