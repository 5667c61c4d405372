//! `reservation-unknown-network`: a reservation whose network does not exist.

use super::ReservationSubject;
use crate::{
    Check, Example, Levels, Report, Rule, RuleDocs,
    examples::{POOL, POOLED_NET, RESERVATION},
    pool::spec_field,
};
use nadmit_catalog::LiveRead;

pub(crate) const RULE: Rule = Rule {
    code: "reservation-unknown-network",
    levels: Levels::ADVICE,
    summary: "A reservation names a network that does not exist",
    docs: RuleDocs {
        checks: "The network of a reservation does not exist. A name without a namespace is \
            looked up in the namespace of the reservation. The rule only warns, because the \
            network may be created later.",
        consequence: "Nothing is reserved before the network exists and names a pool. Another \
            pod can get the address meanwhile.",
        fix: "Correct the name of the network, or create the network.",
        source: "docs/pools.md.",
    },
    wrong: Example(&[RESERVATION]),
    right: Example(&[POOL, POOLED_NET, RESERVATION]),
    check: Check::Reservation(check),
};

fn check(subject: &ReservationSubject<'_>, report: &mut Report<'_>) {
    let Ok(reservation) = &subject.reservation else {
        return;
    };
    let (namespace, name) = (&*reservation.network.namespace, &*reservation.network.name);
    if subject.catalog.network(namespace, name).is_some() {
        return;
    }
    let similar = subject.catalog.similar_network(namespace, name);
    let elsewhere = subject.catalog.namespaces_of(name).next();
    let help = match (similar, elsewhere) {
        (Some(similar), _) => format!("did you mean \"{similar}\"?"),
        (None, Some(other)) => format!("write {other}/{name}, which exists"),
        (None, None) => "correct the name, or create the network".to_owned(),
    };
    let live_read = LiveRead::Network {
        namespace: namespace.into(),
        name: name.into(),
    };
    report.add_after_live_read(
        live_read,
        spec_field("network"),
        format!(
            "network \"{name}\" does not exist in namespace \"{namespace}\", so nothing is reserved"
        ),
        help,
    );
}
