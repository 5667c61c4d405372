//! `pool-unknown-key`: an unknown key in the spec of a pool.

use super::{PoolSubject, spec_field, unknown_key_help};
use crate::{
    Check, Example, Levels, Report, Rule,
    examples::{POOL, pool},
};

pub(crate) const RULE: Rule = Rule {
    code: "pool-unknown-key",
    levels: Levels::ADVICE,
    summary: "An address pool has a key that means nothing",
    explanation: "The API server drops a key that the kind's schema does not know, so a misspelt \
        one is lost: an exclude that excludes nothing. Keys are written as in the schema, with \
        capital letters inside, not with Whereabouts's underscores.",
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
                "the key {:?} means nothing here and is passed over",
                unknown.key
            ),
            unknown_key_help(unknown),
        );
    }
}
