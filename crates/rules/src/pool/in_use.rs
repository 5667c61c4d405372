//! `pool-in-use`: a change or deletion of a pool that held addresses prevent.

use super::{PoolChangeSubject, PoolHoldings, spec_field};
use crate::{
    Check, Example, FieldRef, Levels, Report, Rule, RuleDocs,
    examples::{POOL, pool},
};
use nadmit_allocation::Pool;
use nadmit_catalog::LiveRead;
use nadmit_cni::mac::Mac;

pub(crate) const RULE: Rule = Rule {
    code: "pool-in-use",
    levels: Levels::FAILS,
    summary: "A pool with held addresses is deleted, or changed in a way that they do not permit",
    docs: RuleDocs {
        checks: "A pool is deleted while holders have addresses of it. Or an update changes \
            networkName, macs, the start of the first range, retention or nodeSliceSize \
            meanwhile. Or an update removes held addresses from the ranges, or excludes them. A \
            range may grow. It may shrink, and excludes may be added, if no held address is cut \
            off. Only addresses and MACs of the pool before the change count. A MAC that a pod \
            requests from outside of the pool does not block a change. nadmit reads the held \
            addresses from the API server before it denies.",
        consequence: "Addresses are recorded under networkName. Their MACs are derived from macs \
            and from the start of the first range. retention and nodeSliceSize decided which \
            address was assigned. After such a change running pods have addresses that nadmit no \
            longer knows, and other pods get them too.",
        fix: "Restore the field, or delete the pods that hold the addresses first. To replace \
            the pool, create a second pool and name it in the networks. Delete the old pool \
            after its last pod.",
        source: "docs/pools.md and docs/explanation/life-of-an-address.md.",
    },
    wrong: Example(&[
        POOL,
        pool!(
            "  networkName: other\n  ranges: [{range: 192.0.2.192/28}]\n  macs: {prefix: \"02:5e:00\"}\n  namespaceSelector: {}"
        ),
    ]),
    right: Example(&[
        POOL,
        pool!(
            "  ranges: [{range: 192.0.2.192/26}]\n  macs: {prefix: \"02:5e:00\"}\n  namespaceSelector: {}\n  maxPerNamespace: 10"
        ),
    ]),
    check: Check::PoolChange(check),
};

fn check(subject: &PoolChangeSubject<'_>, report: &mut Report<'_>) {
    let holdings = subject.holdings;
    if holdings.count == 0 {
        return;
    }
    let mut add = |field_ref: FieldRef<'_>, message: String, detail: String, help: &str| {
        let live_read = LiveRead::Pool {
            name: subject.name.into(),
            namespace: None,
        };
        report.add_after_live_read_with_detail(live_read, field_ref, message, Some(detail), help);
    };
    let Some(after) = subject.after else {
        let field_ref = FieldRef {
            field: "metadata.name".to_owned(),
            source: None,
        };
        let message = format!("pool {:?} has held addresses", subject.name);
        let help = "delete the pods that hold them, and wait until the addresses are released";
        return add(field_ref, message, describe_count(holdings), help);
    };
    let changed = subject
        .before
        .map(|before| immutable_changes(before, after));
    for (path, why) in changed.into_iter().flatten() {
        let message = format!("{path} cannot change while addresses are held: {why}");
        let help = "restore it, or create another pool and name that in the networks";
        add(spec_field(path), message, describe_count(holdings), help);
    }
    if holdings.outside > 0 {
        let message = format!(
            "pool {:?} would no longer assign addresses that are held",
            subject.name
        );
        let help = "keep these addresses in the ranges, or delete the pods that hold them first";
        add(
            spec_field("ranges"),
            message,
            describe_outside(holdings),
            help,
        );
    }
}

/// Returns the changed fields that are immutable while addresses are held, with the reasons.
fn immutable_changes(before: &Pool, after: &Pool) -> Vec<(&'static str, &'static str)> {
    let base = |pool: &Pool| {
        let first = pool.ranges.first();
        first.map(|range| range.subnet.range().first())
    };
    let size = |pool: &Pool| pool.slicing.map(|slicing| slicing.host_bits);
    let all = [
        (
            before.space != after.space,
            "networkName",
            "nadmit records them under it",
        ),
        (
            macs(before) != macs(after),
            "macs",
            "their MACs are derived from it",
        ),
        (
            base(before) != base(after),
            "ranges[0].range",
            "their MACs are derived from its start",
        ),
        (
            size(before) != size(after),
            "nodeSliceSize",
            "they are in slices of that size",
        ),
        (
            before.retention != after.retention,
            "retention",
            "it decides how long they are kept",
        ),
    ];
    let changed = all.into_iter().filter(|(changed, ..)| *changed);
    changed.map(|(_, path, why)| (path, why)).collect()
}

/// Returns the bounds of the pool's MACs and whether MACs are derived from addresses. The number of
/// addresses is left out, because ranges may grow.
fn macs(pool: &Pool) -> Option<(Option<(Mac, Mac)>, bool)> {
    let macs = pool.macs.as_ref()?;
    Some((macs.bounds(), macs.derived(0).is_some()))
}

fn describe_count(holdings: &PoolHoldings) -> String {
    match holdings.count {
        1 => "1 address held".to_owned(),
        count => format!("{count} addresses held"),
    }
}

fn describe_outside(holdings: &PoolHoldings) -> String {
    let named = holdings.some_outside.iter();
    let mut named: Vec<String> = named
        .map(|h| format!("{} ({})", h.address, h.holder))
        .collect();
    let listed = u64::try_from(named.len()).unwrap_or(u64::MAX);
    match holdings.outside.saturating_sub(listed) {
        0 => {}
        more => named.push(format!("{more} more")),
    }
    named.join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{HeldAddress, Policy, judge::judge_pool_change};
    use nadmit_allocation::{Holder, ParsedSpec};

    fn pool(spec: &serde_json::Value) -> Pool {
        let pool = ParsedSpec::of_pool(spec).pool("storage");
        pool.unwrap_or_else(|e| panic!("{e:?}"))
    }

    fn found(after: Option<&serde_json::Value>, holdings: &PoolHoldings) -> Vec<(String, String)> {
        let before =
            pool(&json!({"ranges": [{"range": "192.0.2.0/24"}, {"range": "2001:db8::/64"}]}));
        let after = after.map(pool);
        let subject = PoolChangeSubject {
            name: "storage",
            before: Some(&before),
            after: after.as_ref(),
            holdings,
        };
        let findings = judge_pool_change(&subject, &Policy::default());
        findings.into_iter().map(|f| (f.field, f.detail)).collect()
    }

    #[test]
    fn only_held_addresses_restrict_changes() {
        let none = PoolHoldings::default();
        assert_eq!(found(None, &none), []);
        assert_eq!(
            found(Some(&json!({"macs": {"prefix": "02:5e"}})), &none),
            []
        );
        let some = PoolHoldings {
            count: 3,
            ..PoolHoldings::default()
        };
        assert_eq!(found(None, &some)[0].0, "metadata.name");
        let harmless = json!({"ranges": [{"range": "192.0.2.0/23"}], "quarantine": "5m"});
        assert_eq!(found(Some(&harmless), &some), []);
        let harmful = json!({"ranges": [{"range": "192.0.3.0/24"}], "networkName": "a",
            "macs": {"prefix": "02:5e:00"}, "nodeSliceSize": "/28"});
        let fields: Vec<String> = found(Some(&harmful), &some)
            .into_iter()
            .map(|f| f.0)
            .collect();
        let expected = [
            "networkName",
            "macs",
            "ranges[0].range",
            "nodeSliceSize",
            "retention",
        ];
        assert_eq!(fields, expected.map(|path| format!("spec.{path}")));
    }

    #[test]
    fn slice_size_is_immutable_and_strictness_is_not() {
        let sliced = |more: serde_json::Value| {
            let mut spec = json!({"ranges": [{"range": "10.5.0.0/20"}], "nodeSliceSize": "/28"});
            if let (Some(spec), Some(more)) = (spec.as_object_mut(), more.as_object()) {
                spec.extend(more.clone());
            }
            pool(&spec)
        };
        let changes = |after: &Pool| {
            let changed = immutable_changes(&sliced(json!({})), after).into_iter();
            changed.map(|(path, _)| path).collect::<Vec<_>>()
        };
        assert_eq!(changes(&sliced(json!({"strictSlices": true}))), [""; 0]);
        assert_eq!(changes(&sliced(json!({"retention": "Pod"}))), [""; 0]);
        assert_eq!(
            changes(&sliced(json!({"nodeSliceSize": "27"}))),
            ["nodeSliceSize"]
        );
        let whole = pool(&json!({"ranges": [{"range": "10.5.0.0/20"}]}));
        assert_eq!(changes(&whole), ["nodeSliceSize", "retention"]);
    }

    #[test]
    fn holders_outside_the_new_ranges_are_named() {
        let holdings = PoolHoldings {
            count: 20,
            outside: 12,
            some_outside: vec![HeldAddress {
                address: "192.0.2.205".parse().unwrap_or_else(|e| panic!("{e}")),
                holder: Holder::Replica {
                    namespace: "db".into(),
                    stateful_set: "db".into(),
                    ordinal: 0,
                },
            }],
        };
        let after = json!({"ranges": [{"range": "192.0.2.0/25"}]});
        let (field, detail) = &found(Some(&after), &holdings)[0];
        assert_eq!(field, "spec.ranges");
        assert!(
            detail.ends_with("192.0.2.205 (replica 0 of StatefulSet db/db), 11 more"),
            "{detail}"
        );
    }
}
