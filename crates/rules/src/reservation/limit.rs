//! `reservation-over-limit`: a reservation that exceeds the namespace's limit of the pool.

use super::{ReservationSubject, live_read};
use crate::{
    Check, Example, Levels, Report, Rule,
    examples::{POOL_WITH_LIMIT, SERVED_NET, pool, reservation},
    pool::spec_field,
};
use nadmit_catalog::PoolValidity;

pub(crate) const RULE: Rule = Rule {
    code: "reservation-over-limit",
    levels: Levels::AUTHORITY,
    summary: "A reservation would set aside more of a pool than its namespace may have",
    explanation: "maxPerNamespace of an AddressPool counts what a namespace holds and what its \
        reservations set aside, whether anybody has taken that or not: otherwise reservations would \
        use the pool up. An address that is reserved and held counts once.",
    wrong: Example(&[
        POOL_WITH_LIMIT,
        SERVED_NET,
        reservation!(
            "  network: pooled-net\n  holder: {pod: db-0}\n  ips: [192.0.2.2/29, 192.0.2.3/29]"
        ),
    ]),
    right: Example(&[
        pool!("  ranges: [{range: 192.0.2.0/29}]\n  namespaceSelector: {}\n  maxPerNamespace: 2"),
        SERVED_NET,
        reservation!(
            "  network: pooled-net\n  holder: {pod: db-0}\n  ips: [192.0.2.2/29, 192.0.2.3/29]"
        ),
    ]),
    check: Check::Reservation(check),
};

fn check(subject: &ReservationSubject<'_>, report: &mut Report<'_>) {
    let Some((reservation, network)) = subject.with_network() else {
        return;
    };
    let Some((name, PoolValidity::Valid(pool))) = subject.pool(network) else {
        return;
    };
    let Some(most) = pool.max_per_namespace else {
        return;
    };
    let share = match subject.namespace_total {
        Some(share) => share(reservation, pool),
        None => reservation.reserved_addresses(pool).len() as u64,
    };
    if share <= most {
        return;
    }
    report.add_after_live_read(
        live_read(name),
        spec_field("ips"),
        format!(
            "with this reservation namespace {:?} would have {share} addresses of pool {name:?}, \
             held or set aside, and may have {most} (maxPerNamespace)",
            subject.namespace
        ),
        "reserve fewer addresses, delete reservations or pods there, or have the limit raised",
    );
}
