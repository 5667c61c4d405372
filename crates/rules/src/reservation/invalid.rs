//! `invalid-reservation`: a reservation whose spec is not valid.

use super::ReservationSubject;
use crate::{
    Check, Example, Levels, Report, Rule, RuleDocs,
    examples::{POOL, POOLED_NET, RESERVATION, reservation},
    pool::{fault_message, spec_field, unknown_key_help},
};

pub(crate) const RULE: Rule = Rule {
    code: "invalid-reservation",
    levels: Levels::FAILS,
    summary: "The spec of an address reservation is not valid",
    docs: RuleDocs {
        checks: "The spec of an AddressReservation has an error. A reservation names a network, \
            one holder, and addresses, a MAC or both. The holder is a pod by name, a replica of \
            a StatefulSet, or a virtual machine, in the namespace of the reservation. An unknown \
            key, which the API server drops, is only warned of.",
        consequence: "An invalid reservation reserves nothing, and another pod can get the \
            address.",
        fix: "Correct the field that the finding names. Remove unknown keys.",
        source: "docs/pools.md and docs/api.md.",
    },
    wrong: Example(&[
        POOL,
        POOLED_NET,
        reservation!(
            "  network: storage-net\n  holder: {statefulSet: db}\n  ips: [192.0.2.205/27]"
        ),
    ]),
    right: Example(&[POOL, POOLED_NET, RESERVATION]),
    check: Check::Reservation(check),
};

fn check(subject: &ReservationSubject<'_>, report: &mut Report<'_>) {
    let faults = subject.reservation.as_ref().err();
    for fault in faults.into_iter().flatten() {
        let (message, help) = fault_message(fault);
        report.add(spec_field(&fault.path), message, help);
    }
    for unknown in &subject.parsed.unknown_keys {
        report.add_capped(
            Levels::ADVICE,
            spec_field(&unknown.path),
            format!(
                "the key {:?} is unknown here and has no effect",
                unknown.key
            ),
            unknown_key_help(unknown),
        );
    }
}
