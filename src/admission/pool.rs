//! nadmit's own kinds under review: address pools and reservations.

use serde_json::{Value, value::RawValue};

use super::{
    decide::{judged, loudest},
    review::{Operation, Request},
};
use crate::{
    allocation::{Address, Pool, SharedIndex, Words},
    catalog::Catalog,
    rules::{
        Finding, Held, HeldAddress, Policy, PoolChangeSubject, PoolSubject, ReservationSubject,
        judge::{judge_pool, judge_pool_change, judge_reservation},
        news::only_news,
    },
};

/// The plural name of pools.
const POOLS: &str = "addresspools";
/// The plural name of reservations.
const RESERVATIONS: &str = "addressreservations";

/// The most addresses that a finding names.
const NAMED: usize = 10;

/// What is held from the pool of this name, and what of it the pool would not give any more as it is
/// to be (`None`: it is deleted).
pub(super) fn held(index: &SharedIndex, pool: &str, after: Option<&Pool>) -> Held {
    let mut held = Held::default();
    let index = index.lock();
    for (record, _) in index.recorded().filter(|(record, _)| *record.pool == *pool) {
        held.count += 1;
        if after.is_none_or(|after| gives(after, record.address)) {
            continue;
        }
        held.outside += 1;
        if held.some_outside.len() < NAMED {
            held.some_outside.push(HeldAddress {
                address: record.address,
                holder: record.holder.clone(),
            });
        }
    }
    held
}

fn gives(pool: &Pool, address: Address) -> bool {
    match address {
        Address::Ip(ip) => pool
            .range_of(ip)
            .and_then(|index| pool.ranges.get(index))
            .is_some_and(|range| range.refuses(ip).is_none()),
        Address::Mac(mac) => pool.macs.as_ref().is_some_and(|macs| macs.contains(mac)),
    }
}

/// The findings on a pool or a reservation; of an update only those that are new. `held` says what is
/// held from a pool: see [`held`].
pub(super) fn findings(
    request: &Request<'_>,
    catalog: &Catalog,
    policy: &Policy,
    held: impl Fn(&str, Option<&Pool>) -> Held,
) -> Vec<Finding> {
    match (&*request.resource.resource, request.operation) {
        (POOLS, Operation::Create | Operation::Update) => pool(request, catalog, policy, held),
        (POOLS, Operation::Delete) => pool_deleted(request, policy, held),
        (RESERVATIONS, Operation::Create | Operation::Update) => {
            reservation(request, catalog, policy)
        }
        _ => Vec::new(),
    }
}

fn pool(
    request: &Request<'_>,
    catalog: &Catalog,
    policy: &Policy,
    held: impl Fn(&str, Option<&Pool>) -> Held,
) -> Vec<Finding> {
    let Some(object) = judged(request) else {
        return Vec::new();
    };
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let after = Words::of_pool(&value(request.own.after));
    let after = PoolSubject::new(name, &after, catalog);
    let found = judge_pool(&after, policy);
    if request.old_object.is_none() {
        return found;
    }
    let before = Words::of_pool(&value(request.own.before));
    let before = PoolSubject::new(name, &before, catalog);
    let mut found = only_news(found, &judge_pool(&before, policy));
    // What is to be no pool is refused already, or was none before.
    if let Ok(after) = &after.pool {
        let before = before.pool.as_ref().ok();
        found.extend(change(name, before, Some(after), policy, held));
    }
    found
}

/// The findings on a pool's deletion. One that was asked for before goes on.
fn pool_deleted(
    request: &Request<'_>,
    policy: &Policy,
    held: impl Fn(&str, Option<&Pool>) -> Held,
) -> Vec<Finding> {
    let old = request.old_object.as_ref();
    let Some(old) = old.filter(|old| old.metadata.deletion_timestamp.is_none()) else {
        return Vec::new();
    };
    let name = old.metadata.name.as_deref().unwrap_or_default();
    change(name, None, None, policy, held)
}

fn change(
    name: &str,
    before: Option<&Pool>,
    after: Option<&Pool>,
    policy: &Policy,
    held: impl Fn(&str, Option<&Pool>) -> Held,
) -> Vec<Finding> {
    let subject = PoolChangeSubject {
        name,
        before,
        after,
        held: &held(name, after),
    };
    judge_pool_change(&subject, policy)
}

fn reservation(request: &Request<'_>, catalog: &Catalog, policy: &Policy) -> Vec<Finding> {
    let (Some(object), Some(loudest)) = (judged(request), loudest(request, catalog, policy)) else {
        return Vec::new();
    };
    let namespace = request.namespace.as_deref().unwrap_or_default();
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let findings = |spec| {
        let words = Words::of_reservation(&value(spec));
        let subject = ReservationSubject::new(namespace, name, &words, catalog);
        judge_reservation(&subject, policy, loudest)
    };
    let found = findings(request.own.after);
    match &request.old_object {
        None => found,
        Some(_) => only_news(found, &findings(request.own.before)),
    }
}

fn value(spec: Option<&RawValue>) -> Value {
    let spec = spec.and_then(|spec| serde_json::from_str(spec.get()).ok());
    spec.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::admission::Review;

    /// The codes and fields found on a pool that is changed, or without an `after` deleted, while
    /// `count` addresses are held.
    fn found(after: Option<Value>, count: u64) -> Vec<String> {
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
        let findings = findings(&review.request, &catalog, &policy, |name, changed| {
            assert_eq!((name, changed.is_some()), ("storage", after.is_some()));
            Held {
                count,
                ..Held::default()
            }
        });
        let found = findings.into_iter();
        found.map(|f| format!("{} {}", f.code, f.field)).collect()
    }

    #[test]
    fn what_is_held_is_asked_for_when_a_pool_changes_or_goes() {
        assert_eq!(found(None, 0), [""; 0]);
        assert_eq!(found(None, 2), ["pool-in-use metadata.name"]);
        let other = json!({"ranges": [{"range": "192.0.3.0/24"}]});
        assert_eq!(found(Some(other.clone()), 0), [""; 0]);
        assert_eq!(found(Some(other), 2), ["pool-in-use spec.ranges[0].range"]);
        let wider = json!({"ranges": [{"range": "192.0.2.0/23"}]});
        assert_eq!(found(Some(wider), 2), [""; 0]);
    }
}
