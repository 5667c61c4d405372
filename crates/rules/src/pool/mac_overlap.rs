//! `mac-prefix-overlap`: two pools with overlapping MACs.

use super::{PoolSubject, spec_field};
use crate::{
    Check, Example, Levels, Report, Rule, RuleDocs,
    examples::{POOL, pool},
};
use nadmit_catalog::LiveRead;

pub(crate) const RULE: Rule = Rule {
    code: "mac-prefix-overlap",
    levels: Levels::FAILS,
    summary: "Two pools have common MACs",
    docs: RuleDocs {
        checks: "The MACs of a pool overlap those of another pool. A MAC is derived from the \
            address: the prefix plus the offset in the first range of the pool. The rule also \
            applies to pools of different address spaces, because an L2 segment does not \
            separate address spaces.",
        consequence: "Two interfaces get one MAC, and switches send the frames of both to one of \
            them.",
        fix: "Write a MAC prefix that no other pool has.",
        source: "docs/pools.md.",
    },
    wrong: Example(&[
        POOL,
        pool!(
            "backup",
            "  ranges: [{range: 198.51.100.0/24}]\n  macs: {prefix: \"02:5e:00:01\"}"
        ),
    ]),
    right: Example(&[
        POOL,
        pool!(
            "backup",
            "  ranges: [{range: 198.51.100.0/24}]\n  macs: {prefix: \"02:5e:01\"}"
        ),
    ]),
    check: Check::Pool(check),
};

fn check(subject: &PoolSubject<'_>, report: &mut Report<'_>) {
    let Ok(pool) = &subject.pool else { return };
    let Some(macs) = &pool.macs else { return };
    let Some(bounds) = macs.bounds() else { return };
    let others = subject.catalog.pools_with_macs(bounds);
    for other in others.filter(|other| *other.name != *subject.name) {
        if report.is_full() {
            return;
        }
        let Some(theirs) = other.macs.as_ref().filter(|theirs| macs.overlaps(theirs)) else {
            continue;
        };
        let Some((first, last)) = theirs.bounds() else {
            continue;
        };
        let live_read = LiveRead::Pool {
            name: (*other.name).into(),
            namespace: None,
        };
        report.add_after_live_read(
            live_read,
            spec_field("macs"),
            format!(
                "the MACs overlap those of pool {:?} ({first} to {last}), so two interfaces would \
                 get one MAC",
                other.name
            ),
            "write another prefix, or other bounds",
        );
    }
}
