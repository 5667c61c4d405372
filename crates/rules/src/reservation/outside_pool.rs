//! `reservation-outside-pool`: a reserved address or MAC that the pool never assigns.

use std::net::IpAddr;

use super::{ReservationSubject, live_read};
use crate::{
    Check, Example, Levels, Report, Rule, RuleDocs,
    examples::{POOL, POOLED_NET, RESERVATION, reservation},
    pool::spec_field,
};
use nadmit_allocation::{ExclusionReason, Pool, Reservation};
use nadmit_catalog::PoolValidity;
use nadmit_cni::address::AddressRequest;

pub(crate) const RULE: Rule = Rule {
    code: "reservation-outside-pool",
    levels: Levels::FAILS,
    summary: "The pool of the network never assigns a reserved address",
    docs: RuleDocs {
        checks: "A reserved address is outside of the pool's ranges or their bounds, or is \
            excluded. Or it is the gateway, or the first or last address of its subnet. A MAC \
            that is derived from another address of the pool is denied too. The rule only warns \
            if no pool serves the network, or if the pool is missing or does not serve the \
            namespace. It also warns of another prefix length than the range has. That prefix \
            length is ignored.",
        consequence: "The holder never gets the address.",
        fix: "Write an address that the pool assigns, with the prefix length of its range. Or, \
            as an administrator, let the pool serve the network and the namespace.",
        source: "docs/pools.md.",
    },
    wrong: Example(&[
        POOL,
        POOLED_NET,
        reservation!(
            "  network: storage-net\n  holder: {pod: db-0}\n  ips: [192.0.2.193/27, 198.51.100.5/24]"
        ),
    ]),
    right: Example(&[POOL, POOLED_NET, RESERVATION]),
    check: Check::Reservation(check),
};

fn check(subject: &ReservationSubject<'_>, report: &mut Report<'_>) {
    let Some((reservation, network)) = subject.with_network() else {
        return;
    };
    let full_name = format!("{}/{}", network.namespace, network.name);
    let Some((name, state)) = subject.pool(network) else {
        return report.add_capped(
            Levels::ADVICE,
            spec_field("network"),
            format!("no pool serves network {full_name}, so nothing is reserved"),
            "annotate the network with nadmit.io/address-pool",
        );
    };
    let PoolValidity::Valid(pool) = state else {
        return report.add_capped(
            Levels::ADVICE,
            spec_field("network"),
            format!(
                "pool {name:?} of network {full_name} does not exist or is not valid, so nothing \
                 is reserved"
            ),
            "create the AddressPool, or correct its spec",
        );
    };
    for (index, address) in reservation.ips.iter().enumerate() {
        let path = format!("ips[{index}]");
        match rejection(pool, *address) {
            Some((message, help)) => {
                report.add_after_live_read(live_read(name), spec_field(&path), message, help);
            }
            None => check_prefix(subject, pool, index, *address, report),
        }
    }
    check_mac(pool, reservation, report);
    let labels = subject.catalog.namespace_labels(subject.namespace);
    if !pool.serves(&labels) {
        report.add_capped(
            Levels::ADVICE,
            spec_field("network"),
            format!(
                "pool {name:?} does not serve pods of namespace {:?}, so nothing is reserved",
                subject.namespace
            ),
            "change the pool's namespaceSelector to select the namespace",
        );
    }
}

/// Returns message and remedy if the pool never assigns the address.
fn rejection(pool: &Pool, address: IpAddr) -> Option<(String, String)> {
    let name = &pool.name;
    let ranges: Vec<String> = pool.ranges.iter().map(|r| r.subnet.to_string()).collect();
    let Some(range) = pool
        .range_of(address)
        .and_then(|index| pool.ranges.get(index))
    else {
        let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
        let same =
            |range: &nadmit_allocation::AddressRange| range.window.is_ipv4() == address.is_ipv4();
        let message = if pool.ranges.iter().any(same) {
            format!("{address} is outside of pool {name:?}")
        } else {
            format!("pool {name:?} assigns no {family} addresses, so it never assigns {address}")
        };
        return Some((
            message,
            format!("write an address of {}", ranges.join(", ")),
        ));
    };
    let why = match range.exclusion(address)? {
        ExclusionReason::Outside => return None,
        ExclusionReason::OutOfBounds => format!(
            "is outside of the range's bounds ({} to {})",
            range.window.first(),
            range.window.last()
        ),
        ExclusionReason::Edge => {
            "is the first or last of its subnet, which is never assigned".to_owned()
        }
        ExclusionReason::Excluded(index) => {
            let exclusion = range.excludes.get(index);
            let exclusion =
                exclusion.map(|range| format!(" ({} to {})", range.first(), range.last()));
            format!("is excluded{}", exclusion.unwrap_or_default())
        }
        ExclusionReason::Gateway => "is the pool's gateway, which is never assigned".to_owned(),
    };
    let help = format!(
        "write an address from {} to {} that is not excluded",
        range.window.first(),
        range.window.last()
    );
    Some((format!("{address} {why}, in pool {name:?}"), help))
}

/// Reports a prefix length that differs from that of the pool, which applies in any case.
fn check_prefix(
    subject: &ReservationSubject<'_>,
    pool: &Pool,
    index: usize,
    address: IpAddr,
    report: &mut Report<'_>,
) {
    let written = subject.parsed.spec.ips.get(index);
    let written = written.and_then(|text| AddressRequest::parse(text).ok()?.prefix);
    let range = pool
        .range_of(address)
        .and_then(|index| pool.ranges.get(index));
    let (Some(written), Some(range)) = (written, range) else {
        return;
    };
    if written != range.subnet.prefix {
        report.add_capped(
            Levels::ADVICE,
            spec_field(&format!("ips[{index}]")),
            format!(
                "the prefix length /{written} has no effect: the pool assigns {address}/{}",
                range.subnet.prefix
            ),
            format!("write {address}/{}", range.subnet.prefix),
        );
    }
}

/// Reports a MAC that is derived from another address: it is only assigned together with that address.
fn check_mac(pool: &Pool, reservation: &Reservation, report: &mut Report<'_>) {
    let (Some(mac), Some(macs)) = (reservation.mac, &pool.macs) else {
        return;
    };
    let own = reservation.ips.iter();
    let own = own.filter_map(|address| pool.derived_mac(*address));
    if macs.is_derived(mac) && own.into_iter().all(|following| following != mac) {
        report.add_after_live_read(
            live_read(&pool.name),
            spec_field("mac"),
            format!(
                "{mac} is derived from another address of pool {:?}, and is assigned only with \
                 that address",
                pool.name
            ),
            "remove mac to get the one derived from the address, or write a MAC outside of the \
             pool",
        );
    }
}
