//! Lists of allocations.

use serde::{Deserialize, Serialize};

use nadmit_allocation::{Allocation, Holder, Index, Version, index::IndexedAllocation};
use nadmit_catalog::Catalog;

/// An allocation, as shown to operators.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AllocationRow {
    /// Name of the record.
    pub record: String,
    /// Version of the record; `None` while it is being written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// Reason that blocks a release without force, where it was determined.
    #[serde(default, rename = "kept", skip_serializing_if = "Option::is_none")]
    pub release_blocked: Option<String>,
    /// True if it is retained for a workload without a pod.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retained: bool,
    /// The recorded allocation.
    #[serde(flatten)]
    pub allocation: Allocation,
}

/// Conditions on the allocations to show; `None` matches all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Pool name.
    pub pool: Option<String>,
    /// Network: `namespace/name`, or a name in any namespace.
    pub network: Option<String>,
    /// Namespace of the holder.
    pub namespace: Option<String>,
    /// Pod: `namespace/name`, or a name in any namespace.
    pub pod: Option<String>,
}

/// Collects the allocations that match a filter, unordered, while the caller holds the index.
/// [`to_rows`] then converts them.
pub fn collect(index: &Index, filter: &Filter) -> Vec<(Allocation, Option<Version>)> {
    let known = index.allocations().filter(|(one, _)| filter.matches(one));
    known.map(|(one, version)| (one.clone(), version)).collect()
}

/// Converts allocations to rows, sorted by pool and address.
pub fn to_rows(
    collected: Vec<(Allocation, Option<Version>)>,
    catalog: Option<&Catalog>,
) -> Vec<AllocationRow> {
    let mut rows: Vec<AllocationRow> = collected
        .iter()
        .map(|(one, version)| to_row((one, *version), catalog))
        .collect();
    rows.sort_by(|a, b| {
        let key = |row: &AllocationRow| (row.allocation.address.family(), row.allocation.address);
        let pools = a.allocation.pool.cmp(&b.allocation.pool);
        pools.then_with(|| key(a).cmp(&key(b)))
    });
    rows
}

/// Converts one allocation to a row.
pub(super) fn to_row(
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

/// Returns the name of the pod that uses an allocation or used it last.
pub fn pod_of(allocation: &Allocation) -> Option<&str> {
    match (&allocation.pod, &allocation.holder) {
        (Some(pod), _) => Some(&pod.name),
        (None, Holder::Pod { name, .. }) => Some(name),
        (None, _) => None,
    }
}

impl Filter {
    /// Returns whether an allocation matches.
    pub fn matches(&self, one: &Allocation) -> bool {
        let namespace = &**one.holder.namespace();
        let is = |pattern: &Option<String>, found: &str| {
            pattern.as_deref().is_none_or(|pattern| pattern == found)
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

/// Returns true if `pattern` (`namespace/name` or `name`) names this object, or is
/// `None`.
pub(super) fn is_named(pattern: Option<&str>, namespace: &str, name: Option<&str>) -> bool {
    let Some(pattern) = pattern else { return true };
    match pattern.split_once('/') {
        Some(pair) => Some(pair) == name.map(|name| (namespace, name)),
        None => name == Some(pattern),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_matches_in_any_namespace() {
        for (pattern, is) in [
            (None, true),
            (Some("db-0"), true),
            (Some("db/db-0"), true),
            (Some("web/db-0"), false),
            (Some("db-1"), false),
        ] {
            assert_eq!(is_named(pattern, "db", Some("db-0")), is, "{pattern:?}");
        }
        assert!(!is_named(Some("db-0"), "db", None));
    }
}
