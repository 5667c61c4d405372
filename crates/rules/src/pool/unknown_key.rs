//! `pool-unknown-key`: an unknown key in the spec of a pool.

use super::{PoolSubject, spec_field, unknown_key_help};
use crate::{
    Check, Example, Levels, Report, Rule, RuleDocs,
    examples::{POOL, pool},
};

pub(crate) const RULE: Rule = Rule {
    code: "pool-unknown-key",
    levels: Levels::ADVICE,
    summary: "An address pool has an unknown key",
    docs: RuleDocs {
        checks: "The spec of an AddressPool has a key that its schema does not have. Keys are in \
            camel case, such as rangeStart, and not with underscores as in Whereabouts.",
        consequence: "The API server drops the key, so a misspelt one has no effect: a misspelt \
            exclude excludes nothing.",
        fix: "Correct or remove the key.",
        source: "docs/api.md.",
    },
    wrong: Example(&[pool!(
        "  ranges: [{range: 192.0.2.192/27, range_start: 192.0.2.200}]"
    )]),
    right: Example(&[POOL]),
    check: Check::Pool(check),
};

fn check(subject: &PoolSubject<'_>, report: &mut Report<'_>) {
    for unknown in &subject.parsed.unknown_keys {
        if report.is_full() {
            return;
        }
        report.add(
            spec_field(&unknown.path),
            format!(
                "the key {:?} is unknown here and has no effect",
                unknown.key
            ),
            unknown_key_help(unknown),
        );
    }
}
