//! Reviews of nadmit's own kinds: address pools and reservations.

use std::collections::BTreeMap;

use serde_json::{Value, value::RawValue};

use crate::{context::ReviewContext, review::AdmissionRequest};
use nadmit_allocation::{Address, Holder, ParsedSpec, Pool, Reservation, SharedIndex};
use nadmit_rules::{
    Finding, HeldAddress, Level, PoolChangeSubject, PoolHoldings, PoolSubject, ReservationSubject,
    judge::{judge_pool, judge_pool_change, judge_reservation},
    new_findings::subtract_baseline,
};

/// The maximum number of addresses named in a finding.
const MAX_NAMED: usize = 10;

/// A pool before and after a change.
#[derive(Debug, Clone, Copy, Default)]
struct PoolChange<'a> {
    /// The pool before the change; `None` if its spec was invalid.
    before: Option<&'a Pool>,
    /// The pool after the change; `None` if it is deleted.
    after: Option<&'a Pool>,
}

/// Returns what is held from the pool of this name, and which of it the change cuts off.
///
/// Only addresses in the pool's own ranges and MACs count: a MAC that a pod brought with it is
/// recorded under the pool, too, but must not keep the pool from being changed.
fn held_through_change(index: &SharedIndex, pool: &str, change: PoolChange<'_>) -> PoolHoldings {
    let mut held = PoolHoldings::default();
    // The lowest addresses that are cut off.
    let mut named: BTreeMap<Address, Holder> = BTreeMap::new();
    let index = index.lock();
    for (record, _) in index.recorded().filter(|(record, _)| *record.pool == *pool) {
        let address = record.address;
        held.count += u64::from(change.is_in_pool(address));
        if !change.removes(address) {
            continue;
        }
        held.outside += 1;
        named.insert(address, record.holder.clone());
        if named.len() > MAX_NAMED {
            named.pop_last();
        }
    }
    let named = named.into_iter();
    held.some_outside = named
        .map(|(address, holder)| HeldAddress { address, holder })
        .collect();
    held
}

impl PoolChange<'_> {
    /// Returns true if the pool contains this address before the change.
    fn is_in_pool(self, address: Address) -> bool {
        let Some(before) = self.before else {
            return true;
        };
        match address {
            Address::Ip(ip) => before.range_of(ip).is_some(),
            Address::Mac(mac) => before.macs.as_ref().is_some_and(|macs| macs.contains(mac)),
        }
    }

    /// Returns true if the pool can allocate this address before the change, but not after it.
    fn removes(self, address: Address) -> bool {
        // The MACs of an invalid pool are not known: a pod may have brought this one.
        let given = self
            .before
            .map_or(address.ip().is_some(), |before| allocates(before, address));
        given && self.after.is_some_and(|after| !allocates(after, address))
    }
}

fn allocates(pool: &Pool, address: Address) -> bool {
    match address {
        Address::Ip(ip) => pool
            .range_of(ip)
            .and_then(|index| pool.ranges.get(index))
            .is_some_and(|range| range.exclusion(ip).is_none()),
        Address::Mac(mac) => pool.macs.as_ref().is_some_and(|macs| macs.contains(mac)),
    }
}

/// Returns the findings on a pool; for an update only the new ones.
pub(crate) fn findings(
    request: &AdmissionRequest<'_>,
    context: &ReviewContext<'_>,
) -> Vec<Finding> {
    let Some(object) = request.reviewable_object() else {
        return Vec::new();
    };
    let (catalog, policy) = (context.catalog, context.policy);
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let after = ParsedSpec::of_pool(&spec_value(request.own.after));
    let after = PoolSubject::new(name, &after, catalog);
    let found = judge_pool(&after, policy);
    if request.old_object.is_none() {
        return found;
    }
    let before = ParsedSpec::of_pool(&spec_value(request.own.before));
    let before = PoolSubject::new(name, &before, catalog);
    let mut found = subtract_baseline(found, &judge_pool(&before, policy));
    // An invalid new spec is denied already, or was invalid before.
    if let Ok(after) = &after.pool {
        let change = PoolChange {
            before: before.pool.as_ref().ok(),
            after: Some(after),
        };
        found.extend(change_findings(name, change, context));
    }
    found
}

/// Returns the findings on a pool's deletion. A deletion that is already in progress is not
/// checked.
pub(crate) fn delete_findings(
    request: &AdmissionRequest<'_>,
    context: &ReviewContext<'_>,
) -> Vec<Finding> {
    let old = request.old_object.as_deref();
    let Some(old) = old.filter(|old| !old.is_terminating()) else {
        return Vec::new();
    };
    let name = old.metadata.name.as_deref().unwrap_or_default();
    let before = ParsedSpec::of_pool(&spec_value(request.own.before)).pool(name);
    let change = PoolChange {
        before: before.as_ref().ok(),
        after: None,
    };
    change_findings(name, change, context)
}

fn change_findings(
    name: &str,
    change: PoolChange<'_>,
    context: &ReviewContext<'_>,
) -> Vec<Finding> {
    let subject = PoolChangeSubject {
        name,
        before: change.before,
        after: change.after,
        holdings: &held_through_change(context.allocations, name, change),
    };
    judge_pool_change(&subject, context.policy)
}

/// Returns the findings on a reservation; for an update only the new ones.
pub(crate) fn reservation(
    request: &AdmissionRequest<'_>,
    context: &ReviewContext<'_>,
) -> Vec<Finding> {
    let Some(object) = request.reviewable_object() else {
        return Vec::new();
    };
    let namespace = request.namespace();
    let max_level = context.max_level(namespace).unwrap_or(Level::Off);
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let share = |reservation: &Reservation, pool: &Pool| {
        let index = context.lock_synced();
        index.namespace_usage_with(reservation, pool)
    };
    let findings = |spec| {
        let parsed = ParsedSpec::of_reservation(&spec_value(spec));
        let mut subject = ReservationSubject::new(namespace, name, &parsed, context.catalog);
        subject.namespace_total = Some(&share);
        judge_reservation(&subject, context.policy, max_level)
    };
    let found = findings(request.own.after);
    match request.old_object.as_deref() {
        None => found,
        Some(_) => subtract_baseline(found, &findings(request.own.before)),
    }
}

fn spec_value(spec: Option<&RawValue>) -> Value {
    let spec = spec.and_then(|spec| serde_json::from_str(spec.get()).ok());
    spec.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Review;
    use nadmit_allocation::{Stored, Version};
    use nadmit_catalog::Catalog;
    use nadmit_rules::Policy;

    /// Returns an index in which holders have these addresses of the pool.
    fn index_with<'t>(addresses: impl IntoIterator<Item = &'t str>) -> SharedIndex {
        let index = SharedIndex::default();
        for (at, address) in (1..).zip(addresses) {
            let record = json!({
                "address": address, "pool": "storage", "since": 0,
                "network": {"namespace": "db", "name": "a"},
                "holder": {"pod": {"namespace": "db", "name": format!("p{at}")}},
            });
            index.lock().apply(Stored {
                allocation: serde_json::from_value(record).unwrap_or_else(|e| panic!("{e}")),
                version: Version(at),
            });
        }
        index
    }

    /// Returns the codes and fields of the findings on a pool that is changed, or without an
    /// `after` deleted, while these addresses are held.
    fn found(after: Option<Value>, held: &[&str]) -> Vec<String> {
        let object = |spec: &Value| json!({"metadata": {"name": "storage"}, "spec": spec});
        let before = object(&json!({"ranges": [{"range": "192.0.2.0/24"}]}));
        let review = json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {
            "uid": "u", "kind": {"kind": "AddressPool"},
            "resource": {"group": "nadmit.io", "resource": "addresspools"},
            "operation": if after.is_some() { "UPDATE" } else { "DELETE" },
            "object": after.as_ref().map(object), "oldObject": before,
        }});
        let body = review.to_string();
        let review = Review::parse(body.as_bytes()).unwrap_or_else(|e| panic!("{e}"));
        let (catalog, policy) = (Catalog::default(), Policy::default());
        let index = index_with(held.iter().copied());
        let context = ReviewContext::authoritative(&catalog, &policy, &index);
        let findings = match after {
            Some(_) => findings(&review.request, &context),
            None => delete_findings(&review.request, &context),
        };
        let found = findings.into_iter();
        found.map(|f| format!("{} {}", f.code, f.field)).collect()
    }

    #[test]
    fn held_addresses_block_changes_and_deletion_of_a_pool() {
        let held = ["192.0.2.5", "192.0.2.6"];
        assert_eq!(found(None, &[]), [""; 0]);
        assert_eq!(found(None, &held), ["pool-in-use metadata.name"]);
        let other = json!({"ranges": [{"range": "192.0.3.0/24"}]});
        assert_eq!(found(Some(other.clone()), &[]), [""; 0]);
        let fields = [
            "pool-in-use spec.ranges[0].range",
            "pool-in-use spec.ranges",
        ];
        assert_eq!(found(Some(other), &held), fields);
        let settings = json!({"whereabouts": {"networks": ["db/a"]}});
        assert_eq!(found(Some(settings), &held), fields);
        let wider = json!({"ranges": [{"range": "192.0.2.0/23"}]});
        assert_eq!(found(Some(wider), &held), [""; 0]);
    }

    /// Returns what is held from a pool when its spec `before` becomes `after`, or when it is
    /// deleted.
    fn held_through(before: &Value, after: Option<&Value>) -> PoolHoldings {
        let index = index_with([
            "192.0.2.5",
            // In the range, but adopted: it is excluded.
            "192.0.2.200",
            "02:5e:00:00:01:07",
            // Brought by a pod.
            "ca:fe:c0:ff:ee:00",
        ]);
        let pool = |spec: &Value| ParsedSpec::of_pool(spec).pool("storage").ok();
        let (before, after) = (pool(before), after.and_then(pool));
        let change = PoolChange {
            before: before.as_ref(),
            after: after.as_ref(),
        };
        held_through_change(&index, "storage", change)
    }

    fn spec(range: &str, prefix: &str) -> Value {
        let range = json!({"range": range, "exclude": ["192.0.2.192/26"]});
        json!({"ranges": [range], "macs": {"prefix": prefix}})
    }

    #[test]
    fn only_addresses_of_the_pool_block_its_change() {
        let before = spec("192.0.2.0/24", "02:5e:00");
        let cut = |after: &Value| {
            let held = held_through(&before, Some(after));
            let named = held.some_outside.iter().map(|one| one.address.to_string());
            (held.count, named.collect::<Vec<_>>())
        };
        // A MAC that a pod brought and an excluded address do not restrict changes of the pool.
        assert_eq!(cut(&before), (3, vec![]));
        assert_eq!(cut(&spec("192.0.0.0/16", "02:5e:00")), (3, vec![]));
        let shrunk = spec("192.0.2.128/25", "02:5e:00");
        assert_eq!(cut(&shrunk), (3, vec!["192.0.2.5".to_owned()]));
        let others = cut(&spec("192.0.2.0/24", "02:5f:00"));
        assert_eq!(others, (3, vec!["02:5e:00:00:01:07".to_owned()]));
        assert_eq!(held_through(&before, None).count, 3);
        let elsewhere = json!({"ranges": [{"range": "10.0.0.0/24"}], "macs": {"prefix": "0a"}});
        assert_eq!(held_through(&elsewhere, None), PoolHoldings::default());
        let settings = json!({"whereabouts": {"networks": ["db/a"]}});
        assert_eq!(held_through(&settings, None), PoolHoldings::default());
    }

    #[test]
    fn an_invalid_pool_holds_all_addresses_but_loses_no_mac() {
        let invalid = json!({"ranges": [{"range": "x"}]});
        assert_eq!(held_through(&invalid, None).count, 4);
        let repaired = held_through(&invalid, Some(&spec("192.0.2.0/24", "02:5f:00")));
        let named = repaired
            .some_outside
            .iter()
            .map(|one| one.address.to_string());
        assert_eq!(named.collect::<Vec<_>>(), ["192.0.2.200"]);
    }

    #[test]
    fn names_the_lowest_removed_addresses_in_order() {
        let addresses: Vec<String> = (1..=30).rev().map(|at| format!("192.0.2.{at}")).collect();
        let index = index_with(addresses.iter().map(String::as_str));
        let pool =
            |range| ParsedSpec::of_pool(&json!({"ranges": [{"range": range}]})).pool("storage");
        let pools = [pool("192.0.2.0/24"), pool("192.0.3.0/24")];
        let change = PoolChange {
            before: pools[0].as_ref().ok(),
            after: pools[1].as_ref().ok(),
        };
        let held = held_through_change(&index, "storage", change);
        let named = held.some_outside.iter().map(|one| one.address.to_string());
        let expected = (1..=10).map(|at| format!("192.0.2.{at}"));
        assert_eq!(held.outside, 30);
        assert!(named.eq(expected), "{:?}", held.some_outside);
    }
}
