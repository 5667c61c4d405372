//! Changes of networks whose own ranges are a pool: they may not cut off addresses that pods of the
//! network hold.

use crate::{context::ReviewContext, object::ReviewObject, review::AdmissionRequest};
use nadmit_allocation::{NetworkRef, Pool, PoolOrigin};
use nadmit_catalog::LiveRead;
use nadmit_cni::Network;
use nadmit_rules::{
    Finding, HeldAddress, PoolChangeSubject, PoolHoldings, judge::judge_pool_change,
};

/// The maximum number of addresses named in a finding.
const MAX_NAMED: usize = 10;

/// Returns the findings on a change of an inline pool. A network that no longer defines one is left to the
/// other rules: its pods keep what they have.
pub(super) fn change_findings(
    request: &AdmissionRequest<'_>,
    before: &ReviewObject<'_>,
    after: &ReviewObject<'_>,
    context: &ReviewContext<'_>,
) -> Vec<Finding> {
    let pool = |object: &ReviewObject<'_>| inline_pool(request.namespace(), object, context);
    let (Some(before_pool), Some(after_pool)) = (pool(before), pool(after)) else {
        return Vec::new();
    };
    if before_pool.name == after_pool.name {
        return Vec::new();
    }
    let network = NetworkRef {
        namespace: request.namespace().into(),
        name: before.metadata.name.as_deref().unwrap_or_default().into(),
    };
    let holdings = holdings(&network, &before_pool, &after_pool, context);
    let subject = PoolChangeSubject {
        name: &before_pool.name,
        before: Some(&before_pool),
        after: Some(&after_pool),
        holdings: &holdings,
    };
    let mut findings = judge_pool_change(&subject, context.policy);
    for finding in &mut findings {
        "spec.config".clone_into(&mut finding.field);
        // The records decide; there is no AddressPool to be read.
        finding.requires_live_read = Some(LiveRead::Allocations {
            pool: (*before_pool.name).into(),
            address: None,
        });
    }
    findings
}

/// Returns the inline pool that an object under review defines.
fn inline_pool(
    namespace: &str,
    object: &ReviewObject<'_>,
    context: &ReviewContext<'_>,
) -> Option<Pool> {
    if !context.catalog.derives_pools() {
        return None;
    }
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let annotations = &object.metadata.annotations;
    let network = Network {
        address_pool: annotations.address_pool.as_deref().map(Into::into),
        ..Network::new(namespace, name, object.spec.config.as_deref())
    };
    let pool = context.catalog.derived_pool_of(&network)?;
    (pool.origin == PoolOrigin::InlineRanges).then_some(pool)
}

/// Returns what pods of the network hold of the pool, and which of it the changed pool would not assign.
fn holdings(
    network: &NetworkRef,
    before: &Pool,
    after: &Pool,
    context: &ReviewContext<'_>,
) -> PoolHoldings {
    let mut held = PoolHoldings::default();
    let index = context.allocations.lock();
    let records = index.recorded();
    let mut records: Vec<_> = records
        .map(|(record, _)| record)
        .filter(|record| record.network == *network && record.space == before.space)
        .collect();
    records.sort_unstable_by_key(|record| record.address);
    for record in records {
        held.count += 1;
        let is_assigned = record.address.ip().is_none_or(|ip| {
            let range = after.range_of(ip).and_then(|at| after.ranges.get(at));
            range.is_some_and(|range| range.exclusion(ip).is_none())
        });
        if after.space == before.space && is_assigned {
            continue;
        }
        held.outside += 1;
        if held.some_outside.len() < MAX_NAMED {
            held.some_outside.push(HeldAddress {
                address: record.address,
                holder: record.holder.clone(),
            });
        }
    }
    held
}
