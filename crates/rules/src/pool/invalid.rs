//! `invalid-pool`: a pool whose spec is not valid.

use super::{PoolSubject, fault_message, spec_field};
use crate::{
    Check, Example, Levels, Report, Rule, RuleDocs,
    examples::{POOL, pool},
};

pub(crate) const RULE: Rule = Rule {
    code: "invalid-pool",
    levels: Levels::FAILS,
    summary: "The spec of an address pool is not valid",
    docs: RuleDocs {
        checks: "The spec of an AddressPool has an error. Ranges have the syntax of Whereabouts: \
            a CIDR or first-last/prefix, with rangeStart, rangeEnd, exclude and gateway inside \
            of it. The first and the last address, and the gateway, are never assigned, and at \
            least one address must remain. Ranges of one pool must not overlap. macs is either a \
            prefix or start and end. After the prefix every address of the first range must have \
            room. With whereabouts, the pool has no ranges and no other key that its networks \
            decide. nadmit also reports values that Whereabouts silently ignores.",
        consequence: "An invalid pool assigns nothing. A pool that assigned other addresses than \
            intended would be found much later.",
        fix: "Correct the field that the finding names.",
        source: "docs/pools.md; Whereabouts v0.9.4, LoadIPAMConfig.",
    },
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
