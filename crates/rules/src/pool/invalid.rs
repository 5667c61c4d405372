//! `invalid-pool`: a pool whose spec is not valid.

use super::{PoolSubject, fault_message, spec_field};
use crate::{
    Check, Example, Levels, Report, Rule,
    examples::{POOL, pool},
};

pub(crate) const RULE: Rule = Rule {
    code: "invalid-pool",
    levels: Levels::FAILS,
    summary: "An address pool does not make sense",
    explanation: "Ranges are written in Whereabouts's words: a CIDR, or first-last/prefix, with \
        rangeStart, rangeEnd, exclude and gateway inside of it. The first and the last address \
        are never given, nor is the gateway, and something has to be left. Ranges of one pool are \
        apart. macs is a prefix in whose rest every address of the first range has room, or start \
        and end. What Whereabouts passes over without a word is refused here, because a pool that \
        gives other addresses than were meant is found out late: such a pool gives nothing.",
    wrong: Example(&[pool!(
        "  ranges: [{range: 192.0.2.192/27, gateway: 198.51.100.1}]\n  retention: Forever"
    )]),
    right: Example(&[POOL]),
    check: Check::Pool(check),
};

fn check(subject: &PoolSubject<'_>, report: &mut Report<'_>) {
    let faults = subject.pool.as_ref().err();
    for fault in faults.into_iter().flatten() {
        let (message, help) = fault_message(fault);
        report.add(spec_field(&fault.path), message, help);
    }
}
