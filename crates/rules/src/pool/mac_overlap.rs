//! `mac-prefix-overlap`: two pools with overlapping MACs.

use super::{PoolSubject, spec_field};
use crate::{
    Check, Example, Levels, Report, Rule,
    examples::{POOL, pool},
};
use nadmit_catalog::LiveRead;

pub(crate) const RULE: Rule = Rule {
    code: "mac-prefix-overlap",
    levels: Levels::FAILS,
    summary: "Two pools have MACs in common",
    explanation: "A MAC follows from the address by which it is given: prefix plus the offset in \
        the pool's first range. Two pools whose MACs overlap would give one MAC to two interfaces, \
        and switches send the frames of both to either. That holds across address spaces, too, \
        for a wire knows nothing of them.",
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
    for other in subject.others() {
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
                "these MACs overlap those of pool {:?} ({first} to {last}): one MAC would be given \
                 twice",
                other.name
            ),
            "write another prefix",
        );
    }
}
