//! `invalid-reservation`: a reservation whose spec is not valid.

use super::ReservationSubject;
use crate::{
    Check, Example, Levels, Report, Rule,
    examples::{POOL, POOLED_NET, RESERVATION, reservation},
    pool::{fault_message, spec_field, unknown_key_help},
};

pub(crate) const RULE: Rule = Rule {
    code: "invalid-reservation",
    levels: Levels::FAILS,
    summary: "An address reservation does not make sense",
    explanation: "A reservation names a network, one holder and what is set aside: addresses, a \
        MAC, or both. The holder is a pod by name, a replica of a StatefulSet, or a virtual \
        machine, of the reservation's own namespace. One that makes no sense reserves nothing. A \
        key that means nothing, which the API server drops, is only warned of.",
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
                "the key {:?} means nothing here and is passed over",
                unknown.key
            ),
            unknown_key_help(unknown),
        );
    }
}
