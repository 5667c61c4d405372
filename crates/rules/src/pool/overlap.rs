//! `pool-overlap`: two pools of one address space with common addresses.

use super::{PoolSubject, spec_field};
use crate::{
    Check, Example, Levels, Report, Rule, RuleDocs,
    examples::{POOL, pool},
};
use nadmit_allocation::AddressRange;
use nadmit_cni::range::IpRange;

pub(crate) const RULE: Rule = Rule {
    code: "pool-overlap",
    levels: Levels::ADVICE,
    summary: "Two pools of one address space have common addresses",
    docs: RuleDocs {
        checks: "Two pools of one address space have common addresses that both assign. The \
            address space is networkName. Pools without one share the unnamed address space. \
            Each address of a space is assigned once, whichever pool assigns it, so the rule \
            only warns.",
        consequence: "The pools take each other's addresses. Their capacities do not add up, and \
            one of them can be full earlier than expected.",
        fix: "Write ranges that do not overlap. For L2 segments without a connection, give each \
            pool a networkName. MACs are never assigned twice, in any address space.",
        source: "docs/pools.md.",
    },
    wrong: Example(&[POOL, pool!("backup", "  ranges: [{range: 192.0.2.208/28}]")]),
    right: Example(&[
        POOL,
        pool!(
            "backup",
            "  networkName: backup\n  ranges: [{range: 192.0.2.208/28}]"
        ),
    ]),
    check: Check::Pool(check),
};

fn check(subject: &PoolSubject<'_>, report: &mut Report<'_>) {
    let Ok(pool) = &subject.pool else { return };
    let windows = pool.ranges.iter().map(|range| range.window);
    let others = subject.catalog.pools_overlapping(&pool.space, windows);
    for other in others.filter(|other| *other.name != *subject.name) {
        for (index, range) in pool.ranges.iter().enumerate() {
            for theirs in &other.ranges {
                let Some((window, count)) = shared(range, theirs) else {
                    continue;
                };
                if report.is_full() {
                    return;
                }
                let addresses = if count == 1 { "address" } else { "addresses" };
                report.add(
                    spec_field(&format!("ranges[{index}].range")),
                    format!(
                        "{} has {count} {addresses} in common with {} of pool {:?} ({} to {}) in {}",
                        range.subnet,
                        theirs.subnet,
                        other.name,
                        window.first(),
                        window.last(),
                        pool.space
                    ),
                    "write ranges that do not overlap, or another networkName if the L2 segments \
                     are not connected",
                );
            }
        }
    }
}

/// Returns the range of addresses that both ranges may assign, and their number.
fn shared(one: &AddressRange, other: &AddressRange) -> Option<(IpRange, u128)> {
    let window = one.window.intersection(other.window)?;
    let exclusions = [one, other].into_iter().flat_map(|range| {
        let excludes = range.excludes.iter();
        let excludes = excludes.copied();
        excludes.chain(range.gateway.map(IpRange::single))
    });
    match window.count_without(exclusions) {
        0 => None,
        count => Some((window, count)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use nadmit_allocation::ParsedSpec;

    fn range(spec: serde_json::Value) -> AddressRange {
        let parsed = ParsedSpec::of_pool(&json!({ "ranges": [spec] }));
        let pool = parsed.pool("a").unwrap_or_else(|e| panic!("{e:?}"));
        pool.ranges[0].clone()
    }

    #[test]
    fn only_addresses_that_both_assign_overlap() {
        let whole = range(json!({"range": "192.0.2.0/24"}));
        let count = |spec| shared(&whole, &range(spec)).map(|(_, count)| count);
        assert_eq!(count(json!({"range": "192.0.2.0/28"})), Some(14));
        let half =
            json!({"range": "192.0.2.0/28", "exclude": ["192.0.2.0/29"], "gateway": "192.0.2.9"});
        assert_eq!(count(half), Some(6));
        assert_eq!(count(json!({"range": "192.0.3.0/24"})), None);
        assert_eq!(count(json!({"range": "2001:db8::/64"})), None);
    }
}
