//! `reservation-unknown-network`: a reservation whose network does not exist.

use super::ReservationSubject;
use crate::{
    Check, Example, Levels, Report, Rule,
    examples::{POOL, POOLED_NET, RESERVATION},
    pool::spec_field,
};
use nadmit_catalog::LiveRead;

pub(crate) const RULE: Rule = Rule {
    code: "reservation-unknown-network",
    levels: Levels::ADVICE,
    summary: "A reservation names a network that does not exist",
    explanation: "Until the network is there, and names the pool that serves it, nothing is \
        reserved. A name without a namespace is looked up in the reservation's own. It is only \
        warned of, for the network may come after the reservation.",
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
        (None, Some(other)) => format!("one of that name is in \"{other}\"; write {other}/{name}"),
        (None, None) => "create the network, or correct the name".to_owned(),
    };
    let live_read = LiveRead::Network {
        namespace: namespace.into(),
        name: name.into(),
    };
    report.add_after_live_read(
        live_read,
        spec_field("network"),
        format!(
            "network \"{name}\" does not exist in namespace \"{namespace}\": nothing is reserved \
             until it does"
        ),
        help,
    );
}
