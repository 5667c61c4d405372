//! `reservation-conflict`: two reservations of the same address or MAC.

use std::sync::Arc;

use super::{ReservationSubject, live_read};
use crate::{
    Check, Example, Levels, Report, Rule, RuleDocs,
    examples::{POOL, POOLED_NET, RESERVATION},
    pool::spec_field,
};
use nadmit_allocation::{Address, Reservation};
use nadmit_catalog::ReservationScope;

pub(crate) const RULE: Rule = Rule {
    code: "reservation-conflict",
    levels: Levels::FAILS,
    summary: "Two reservations reserve one address",
    docs: RuleDocs {
        checks: "A reservation reserves an address or a MAC that another reservation of the same \
            address space already reserves. The other reservation can be in another namespace.",
        consequence: "The second reservation never takes effect, and its holder does not get the \
            address.",
        fix: "Reserve another address, or delete the other reservation first.",
        source: "docs/pools.md.",
    },
    wrong: Example(&[
        POOL,
        POOLED_NET,
        concat!(
            "apiVersion: nadmit.io/v1alpha1\nkind: AddressReservation\n",
            "metadata: {name: reports, namespace: db}\nspec:\n  network: storage-net\n",
            "  holder: {pod: reports}\n  ips: [192.0.2.205/27]\n"
        ),
        RESERVATION,
    ]),
    right: Example(&[
        POOL,
        POOLED_NET,
        RESERVATION,
        concat!(
            "apiVersion: nadmit.io/v1alpha1\nkind: AddressReservation\n",
            "metadata: {name: db-1, namespace: db}\nspec:\n  network: storage-net\n",
            "  holder: {statefulSet: db, ordinal: 1}\n  ips: [192.0.2.206/27]\n"
        ),
    ]),
    check: Check::Reservation(check),
};

fn check(subject: &ReservationSubject<'_>, report: &mut Report<'_>) {
    let Ok(own) = &subject.reservation else {
        return;
    };
    let catalog = subject.catalog;
    let network = catalog.network(&own.network.namespace, &own.network.name);
    let pool = network.and_then(|network| catalog.pool_config().pool(network.pool()?));
    let scope = match pool {
        Some(pool) => ReservationScope::Space(pool.space.clone()),
        None => ReservationScope::Network(own.network.clone()),
    };
    let ips = own.ips.iter().copied().map(Address::Ip);
    let addresses = ips.chain(own.mac.map(Address::Mac));
    let others = catalog.reservations_of(&scope, addresses);
    for other in others.filter(|other| other.key() != own.key()) {
        if report.is_full() {
            return;
        }
        compare(own, other, pool.map_or("", |pool| &*pool.name), report);
    }
}

fn compare(own: &Reservation, other: &Arc<Reservation>, pool: &str, report: &mut Report<'_>) {
    let mut add = |path: &str, what: String| {
        report.add_after_live_read(
            live_read(pool),
            spec_field(path),
            format!(
                "{what} is already reserved by reservation {}/{} for {}",
                other.namespace, other.name, other.holder
            ),
            "reserve another address, or delete that reservation first",
        );
    };
    for (index, address) in own.ips.iter().enumerate() {
        if other.ips.contains(address) {
            add(&format!("ips[{index}]"), address.to_string());
        }
    }
    if let Some(mac) = own.mac.filter(|mac| other.mac == Some(*mac)) {
        add("mac", mac.to_string());
    }
}
