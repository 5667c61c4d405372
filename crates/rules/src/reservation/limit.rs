//! `reservation-over-limit`: a reservation that exceeds the namespace's limit of the pool.

use super::{ReservationSubject, live_read};
use crate::{
    Check, Example, Levels, Report, Rule, RuleDocs,
    examples::{POOL_WITH_LIMIT, SERVED_NET, pool, reservation},
    pool::spec_field,
};
use nadmit_catalog::PoolValidity;

pub(crate) const RULE: Rule = Rule {
    code: "reservation-over-limit",
    levels: Levels::AUTHORITY,
    summary: "A reservation exceeds the limit of its namespace",
    docs: RuleDocs {
        checks: "The namespace would have more addresses of the pool than maxPerNamespace \
            permits. Held addresses and reserved addresses count, whether their holders have \
            taken them or not. An address that is reserved and held counts once.",
        consequence: "Reservations of one namespace use all addresses of the pool.",
        fix: "Reserve fewer addresses, or delete reservations or pods of the namespace. For more \
            addresses, an administrator raises maxPerNamespace.",
        source: "docs/pools.md.",
    },
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
    report.add_after_live_read_with_detail(
        live_read(name),
        spec_field("ips"),
        format!(
            "with this reservation namespace {:?} would exceed its limit of pool {name:?} \
             (maxPerNamespace: {most})",
            subject.namespace
        ),
        Some(format!("{share} held or reserved")),
        "reserve fewer addresses, or delete pods; for more, an administrator raises \
         maxPerNamespace",
    );
}
