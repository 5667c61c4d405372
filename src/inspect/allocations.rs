//! The allocations, one by one.

use serde::{Deserialize, Serialize};

use crate::{
    allocation::{Allocation, Holder, Index, Version, index::IndexedAllocation},
    catalog::Catalog,
};

/// One allocation, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AllocationRow {
    /// The name of its record.
    pub record: String,
    /// The version of its record; none while it is being written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// Why it is not released without force, where somebody looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release_blocked: Option<String>,
    /// Whether it is kept for a workload that has no pod now, where that is known.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retained: bool,
    /// The allocation.
    #[serde(flatten)]
    pub allocation: Allocation,
}

/// Which allocations to show; nothing means all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Of this pool.
    pub pool: Option<String>,
    /// On this network: `namespace/name`, or its name in any namespace.
    pub network: Option<String>,
    /// Of holders in this namespace.
    pub namespace: Option<String>,
    /// Of this pod: `namespace/name`, or its name in any namespace.
    pub pod: Option<String>,
}

/// The allocations that a filter lets through, in no order: what an index is held for. [`rows`] makes
/// them what is shown.
pub fn collect(index: &Index, filter: &Filter) -> Vec<(Allocation, Option<Version>)> {
    let known = index.allocations().filter(|(one, _)| filter.matches(one));
    known.map(|(one, version)| (one.clone(), version)).collect()
}

/// Allocations as they are shown, by pool and address.
pub fn to_rows(
    gathered: Vec<(Allocation, Option<Version>)>,
    catalog: Option<&Catalog>,
) -> Vec<AllocationRow> {
    let mut rows: Vec<AllocationRow> = gathered
        .iter()
        .map(|(one, version)| row((one, *version), catalog))
        .collect();
    rows.sort_by(|a, b| {
        let key = |row: &AllocationRow| (row.allocation.address.family(), row.allocation.address);
        let pools = a.allocation.pool.cmp(&b.allocation.pool);
        pools.then_with(|| key(a).cmp(&key(b)))
    });
    rows
}

/// One allocation as it is shown.
pub(super) fn row(
    (allocation, version): IndexedAllocation<'_>,
    catalog: Option<&Catalog>,
) -> AllocationRow {
    AllocationRow {
        record: allocation.record_name(),
        version: version.map(|version| version.0),
        release_blocked: None,
        retained: catalog.is_some_and(|catalog| catalog.is_retained(allocation)),
        allocation: allocation.clone(),
    }
}

/// The name of the pod that uses an allocation, or used it last.
pub fn pod_of(allocation: &Allocation) -> Option<&str> {
    match (&allocation.pod, &allocation.holder) {
        (Some(pod), _) => Some(&pod.name),
        (None, Holder::Pod { name, .. }) => Some(name),
        (None, _) => None,
    }
}

impl Filter {
    /// Returns whether an allocation is shown.
    pub fn matches(&self, one: &Allocation) -> bool {
        let namespace = &**one.holder.namespace();
        let is = |wanted: &Option<String>, found: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == found)
        };
        is(&self.pool, &one.pool)
            && is(&self.namespace, namespace)
            && is_named(
                self.network.as_deref(),
                &one.network.namespace,
                Some(&one.network.name),
            )
            && is_named(self.pod.as_deref(), namespace, pod_of(one))
    }
}

/// Whether `wanted` (`namespace/name` or `name`) is this one; it is if nothing is wanted.
fn is_named(wanted: Option<&str>, namespace: &str, name: Option<&str>) -> bool {
    let Some(wanted) = wanted else { return true };
    match wanted.split_once('/') {
        Some(pair) => Some(pair) == name.map(|name| (namespace, name)),
        None => name == Some(wanted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_matches_in_any_namespace() {
        for (wanted, is) in [
            (None, true),
            (Some("db-0"), true),
            (Some("db/db-0"), true),
            (Some("web/db-0"), false),
            (Some("db-1"), false),
        ] {
            assert_eq!(is_named(wanted, "db", Some("db-0")), is, "{wanted:?}");
        }
        assert!(!is_named(Some("db-0"), "db", None));
    }
}
