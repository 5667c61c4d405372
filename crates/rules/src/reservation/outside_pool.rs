//! `reservation-outside-pool`: a reserved address or MAC that the pool never assigns.

use std::net::IpAddr;

use super::{ReservationSubject, live_read};
use crate::{
    Check, Example, Levels, Report, Rule,
    examples::{POOL, POOLED_NET, RESERVATION, reservation},
    pool::spec_field,
};
use nadmit_allocation::{ExclusionReason, Pool, Reservation};
use nadmit_catalog::PoolValidity;
use nadmit_cni::address::AddressRequest;

pub(crate) const RULE: Rule = Rule {
    code: "reservation-outside-pool",
    levels: Levels::FAILS,
    summary: "A reserved address is not one that the network's pool gives",
    explanation: "A reservation sets aside what the pool of its network would give: an address \
        inside of a range and its bounds, not excluded, neither the gateway nor the first or last \
        of the subnet. Another would never reach its holder. A MAC that follows from another \
        address of the pool is refused, too. Only warned of is what may still come: a network \
        that no pool serves, a pool that is not there or does not serve the namespace, and a \
        prefix length that is not the range's, which is ignored.",
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
            format!("no pool serves network {full_name}: nothing is reserved"),
            "name the pool in the network's annotation nadmit.io/address-pool",
        );
    };
    let PoolValidity::Valid(pool) = state else {
        return report.add_capped(
            Levels::ADVICE,
            spec_field("network"),
            format!(
                "the pool {name:?} of network {full_name} is not there or not valid: nothing is \
                 reserved until it is"
            ),
            "create or correct the AddressPool",
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
                "the pool {name:?} does not serve pods of namespace {:?}: nothing is reserved \
                 until it does",
                subject.namespace
            ),
            "let the pool's namespaceSelector select the namespace",
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
            format!("{address} lies outside of the pool {name:?}")
        } else {
            format!("the pool {name:?} gives no {family} addresses, so not {address}")
        };
        return Some((message, format!("write one of {}", ranges.join(", "))));
    };
    let why = match range.exclusion(address)? {
        ExclusionReason::Outside => return None,
        ExclusionReason::OutOfBounds => format!(
            "lies outside of the range's bounds, {} to {}",
            range.window.first(),
            range.window.last()
        ),
        ExclusionReason::Edge => {
            "is the first or last of its subnet, which is never given".to_owned()
        }
        ExclusionReason::Excluded(index) => {
            let exclusion = range.excludes.get(index);
            let exclusion =
                exclusion.map(|range| format!(" ({} to {})", range.first(), range.last()));
            format!("is excluded{}", exclusion.unwrap_or_default())
        }
        ExclusionReason::Gateway => "is the pool's gateway, which is never given".to_owned(),
    };
    let help = format!(
        "write an address from {} to {} that is not excluded",
        range.window.first(),
        range.window.last()
    );
    Some((format!("{address} {why} in the pool {name:?}"), help))
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
                "the prefix /{written} is ignored: the pool gives {address}/{}",
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
                "{mac} is the MAC that follows from another address of the pool {:?}, and is had \
                 with that address only",
                pool.name
            ),
            "leave mac out, so that it follows from the address, or write one that is not one of the \
             pool's",
        );
    }
}
