//! What there is to say of a reservation.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::condition::{ConditionState, some_of};
use crate::{
    allocation::{
        Address, Allocation, Holder, Index, NetworkRef, Pool, PoolFault, Reservation, Space,
    },
    api::AddressReservationStatus,
};

/// The condition.
pub(super) const RESERVED: &str = "Reserved";

/// The status that a verdict makes.
pub(super) fn status(
    verdict: ConditionState,
    generation: Option<i64>,
    before: &[Condition],
    now: Timestamp,
) -> AddressReservationStatus {
    AddressReservationStatus {
        conditions: vec![verdict.condition(RESERVED, generation, before, now)],
    }
}

/// Of one that makes no sense.
pub(super) fn faulty(faults: &[PoolFault]) -> ConditionState {
    let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
    ConditionState::fails("Invalid", some_of(&faults))
}

/// Judges a reservation that sets nothing aside, though the pool of this name may serve its network.
pub(super) fn without_pool(
    reservation: &Reservation,
    serves_network: Option<&str>,
) -> ConditionState {
    let NetworkRef { namespace, name } = &reservation.network;
    let message = match serves_network {
        None => format!("no pool serves the network {namespace}/{name}"),
        Some(pool) => format!(
            "pool {pool:?} of the network {namespace}/{name} does not serve namespace {:?}",
            reservation.namespace
        ),
    };
    ConditionState::fails("NoPool", message)
}

/// Judges whether everything that a reservation sets aside is held by it, or was taken from it.
pub(super) fn reserved(reservation: &Reservation, pool: &Pool, index: &Index) -> ConditionState {
    let set_aside = reservation.reserved_addresses(pool);
    let outside = reservation.ips.iter().map(|ip| Address::Ip(*ip));
    let outside: Vec<String> = outside
        .filter(|address| !set_aside.contains(address))
        .map(|address| address.to_string())
        .collect();
    if !outside.is_empty() {
        let message = format!("pool {:?} never gives {}", pool.name, some_of(&outside));
        return ConditionState::fails("OutsidePool", message);
    }
    let (mut conflicts, mut waiting, mut taken) = (Vec::new(), Vec::new(), Vec::new());
    for address in set_aside {
        match holder(index, &pool.space, address) {
            None => waiting.push(address.to_string()),
            Some(record) if keeps(reservation, record) => {}
            Some(record) => {
                let who = format!("{address} is held by {}", record.holder);
                if is_taken_from(reservation, record) {
                    taken.push(who);
                } else {
                    conflicts.push(who);
                }
            }
        }
    }
    if !conflicts.is_empty() {
        return ConditionState::fails("Conflict", some_of(&conflicts));
    }
    if !waiting.is_empty() {
        let message = format!("{} will be recorded", some_of(&waiting));
        return ConditionState::fails("Waiting", message);
    }
    if taken.is_empty() {
        return ConditionState::holds("Kept", "it is kept until its holder comes");
    }
    ConditionState::holds("Taken", some_of(&taken))
}

fn holder<'i>(index: &'i Index, space: &Space, address: Address) -> Option<&'i Allocation> {
    match address {
        Address::Mac(mac) => index.holder_of_mac(space, mac),
        Address::Ip(_) => index.holder_of(space, address),
    }
}

/// Whether the reservation itself is the holder.
fn keeps(reservation: &Reservation, record: &Allocation) -> bool {
    let Holder::Reservation { namespace, name } = &record.holder else {
        return false;
    };
    *namespace == reservation.namespace && *name == reservation.name
}

/// Whether the holder took it from the reservation, or is whom that is for.
fn is_taken_from(reservation: &Reservation, record: &Allocation) -> bool {
    let from = record.reservation.as_ref();
    let from =
        from.is_some_and(|r| r.namespace == reservation.namespace && r.name == reservation.name);
    let pod = record.pod.as_ref();
    from || reservation.is_for(&record.holder, pod, &record.network, &record.interface)
}
