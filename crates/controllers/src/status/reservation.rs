//! The status of a reservation.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::condition::{ConditionState, some_of};
use nadmit_allocation::{
    Address, Allocation, Holder, Index, NetworkRef, Pool, Reservation, Space, SpecError,
};
use nadmit_api::AddressReservationStatus;

/// The type of the condition.
pub(super) const RESERVED: &str = "Reserved";

/// Returns the status with the given condition.
pub(super) fn status(
    verdict: ConditionState,
    generation: Option<i64>,
    previous: &[Condition],
    now: Timestamp,
) -> AddressReservationStatus {
    AddressReservationStatus {
        conditions: vec![verdict.condition(RESERVED, generation, previous, now)],
    }
}

/// Returns the condition of an invalid reservation.
pub(super) fn faulty(faults: &[SpecError]) -> ConditionState {
    let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
    ConditionState::fails("Invalid", some_of(&faults))
}

/// Returns the condition of a reservation that reserves nothing. `serves_network` is the pool of its
/// network, which may not serve its namespace.
pub(super) fn without_pool(
    reservation: &Reservation,
    serves_network: Option<&str>,
) -> ConditionState {
    let NetworkRef { namespace, name } = &reservation.network;
    let message = match serves_network {
        None => format!("no address pool serves network {namespace}/{name}"),
        Some(pool) => format!(
            "pool {pool:?} of network {namespace}/{name} does not serve namespace {:?}",
            reservation.namespace
        ),
    };
    ConditionState::fails("NoPool", message)
}

/// Returns the condition of a valid reservation: whether everything it reserves is held by it, or was
/// taken from it by its holder.
pub(super) fn reserved(reservation: &Reservation, pool: &Pool, index: &Index) -> ConditionState {
    let set_aside = reservation.reserved_addresses(pool);
    let outside = reservation.ips.iter().map(|ip| Address::Ip(*ip));
    let outside: Vec<String> = outside
        .filter(|address| !set_aside.contains(address))
        .map(|address| address.to_string())
        .collect();
    if !outside.is_empty() {
        let message = format!("pool {:?} never assigns {}", pool.name, some_of(&outside));
        return ConditionState::fails("OutsidePool", message);
    }
    let (mut conflicts, mut waiting, mut taken) = (Vec::new(), Vec::new(), Vec::new());
    for address in set_aside {
        match holder(index, &pool.space, address) {
            None => waiting.push(address.to_string()),
            Some(record) if keeps(reservation, record) => {}
            Some(record) => {
                let holder_text = format!("{address} is held by {}", record.holder);
                if is_taken_from(reservation, record) {
                    taken.push(holder_text);
                } else {
                    conflicts.push(holder_text);
                }
            }
        }
    }
    if !conflicts.is_empty() {
        return ConditionState::fails("Conflict", some_of(&conflicts));
    }
    if !waiting.is_empty() {
        let message = format!("nadmit will record {}; no action needed", some_of(&waiting));
        return ConditionState::fails("Waiting", message);
    }
    if taken.is_empty() {
        return ConditionState::holds(
            "Kept",
            "the addresses are reserved until their holder requests them",
        );
    }
    ConditionState::holds("Taken", some_of(&taken))
}

fn holder<'i>(index: &'i Index, space: &Space, address: Address) -> Option<&'i Allocation> {
    match address {
        Address::Mac(mac) => index.holder_of_mac(space, mac),
        Address::Ip(_) => index.holder_of(space, address),
    }
}

/// Returns true if the reservation itself is the holder of the record.
fn keeps(reservation: &Reservation, record: &Allocation) -> bool {
    let Holder::Reservation { namespace, name } = &record.holder else {
        return false;
    };
    *namespace == reservation.namespace && *name == reservation.name
}

/// Returns true if the record was taken from the reservation, or its holder is the one the reservation
/// is for.
fn is_taken_from(reservation: &Reservation, record: &Allocation) -> bool {
    let from = record.reservation.as_ref();
    let from =
        from.is_some_and(|r| r.namespace == reservation.namespace && r.name == reservation.name);
    let pod = record.pod.as_ref();
    from || reservation.is_for(&record.holder, pod, &record.network, &record.interface)
}
