//! `reservation-conflict`: two reservations of the same address or MAC.

use std::sync::Arc;

use super::{ReservationSubject, live_read};
use crate::{
    Check, Example, Levels, Report, Rule, RuleDocs,
    examples::{POOL, POOLED_NET, RESERVATION},
    pool::spec_field,
};
use nadmit_allocation::{NetworkRef, Reservation, Space};

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

/// The scope in which an address must be unique.
#[derive(PartialEq)]
enum UniquenessScope<'w> {
    Space(&'w Space),
    /// The network, if no pool serves it.
    Network(&'w NetworkRef),
}

fn check(subject: &ReservationSubject<'_>, report: &mut Report<'_>) {
    let Ok(own) = &subject.reservation else {
        return;
    };
    let pool_config = subject.catalog.pool_config();
    let pool_of = |network: &NetworkRef| {
        let network = subject.catalog.network(&network.namespace, &network.name)?;
        pool_config.pool(network.pool()?)
    };
    let own_pool = pool_of(&own.network);
    let own_scope = own_pool.map_or(UniquenessScope::Network(&own.network), |p| {
        UniquenessScope::Space(&p.space)
    });
    for (other, pool) in &pool_config.reservations {
        let pool = pool.as_deref().and_then(|name| pool_config.pool(name));
        let scope = pool.map_or(UniquenessScope::Network(&other.network), |p| {
            UniquenessScope::Space(&p.space)
        });
        if scope == own_scope && other.key() != own.key() {
            let pool = own_pool.map_or("", |pool| &*pool.name);
            compare(own, other, pool, report);
        }
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
