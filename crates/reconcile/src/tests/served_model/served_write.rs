//! A write of Whereabouts's records by nadmit, one request a step, as the writer of `nadmit-ledger` makes
//! it.

use std::net::IpAddr;

use nadmit_whereabouts::{
    DesiredEntry, DesiredUse, IpPool, OverlappingReservation, PodName, ReservationChange, Taken,
    reservation_change,
};

use super::api_server::{ApiServer, HOME, Kind};
use crate::RestsOn;

/// The number of attempts of one write.
const MAX_ATTEMPTS: u32 = 8;

/// A write of the records of one address: the entry, then the reservation; the reservation first where
/// the address is left to its pod.
#[derive(Debug)]
pub(super) struct ServedTask {
    pub(super) entry: DesiredEntry,
    rests_on: Vec<RestsOn>,
    attempts: u32,
    next: ServedStep,
}

#[derive(Debug)]
enum ServedStep {
    ReadPool,
    CheckForPool(IpPool),
    WritePool(IpPool),
    ReadReservation,
    CheckForReservation(Option<OverlappingReservation>),
    WriteReservation(Option<OverlappingReservation>),
}

/// The end of a write.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Written {
    Done,
    /// The record has changed, or there were too many conflicts.
    GivenUp,
    Taken(Taken),
}

impl ServedTask {
    pub(super) fn new(entry: DesiredEntry, rests_on: Vec<RestsOn>) -> Self {
        Self {
            next: match entry.at.pool {
                Some(_) if !entry.desired.is_left_to_pod() => ServedStep::ReadPool,
                _ => ServedStep::ReadReservation,
            },
            entry,
            rests_on,
            attempts: 0,
        }
    }

    /// Makes the next request.
    pub(super) fn step(&mut self, api: &mut ApiServer) -> Option<Written> {
        let name = self.entry.at.reservation.clone();
        match std::mem::replace(&mut self.next, ServedStep::ReadPool) {
            ServedStep::ReadPool => {
                let Some(at) = &self.entry.at.pool else {
                    return Some(Written::Done);
                };
                match api.pool(&at.name) {
                    Some(pool) => self.next = ServedStep::CheckForPool(pool),
                    None => drop(api.create(Kind::IpPool, &at.name, at.to_object())),
                }
            }
            ServedStep::CheckForPool(pool) => {
                if self.is_outdated(api) {
                    return Some(Written::GivenUp);
                }
                self.next = ServedStep::WritePool(pool);
            }
            ServedStep::WritePool(pool) => {
                let found = match pool.changes(&self.entry) {
                    Ok(found) => found,
                    Err(taken) => return Some(Written::Taken(taken)),
                };
                let bound = |pod: &PodName| {
                    let pod = api.pods.get(&pod.to_string());
                    pod.is_some_and(|pod| pod.node.is_some())
                };
                if found.unbound.iter().any(bound) {
                    return Some(Written::GivenUp);
                }
                let mut changes = found.changes;
                let is_of_review = self.rests_on.is_empty()
                    && matches!(self.entry.desired, DesiredUse::Binding { .. });
                if changes.is_empty() && is_of_review {
                    changes.extend(pool.renewal(&self.entry));
                }
                let patch = pool.patch(&changes);
                let unchanged = changes.is_empty();
                if !unchanged && api.patch(Kind::IpPool, &pool.name, &patch).is_err() {
                    return self.again(ServedStep::ReadPool);
                }
                if self.entry.desired.is_left_to_pod() {
                    return Some(Written::Done);
                }
                self.next = ServedStep::ReadReservation;
            }
            ServedStep::ReadReservation => {
                let Some(name) = name else {
                    return self.reserved();
                };
                self.next = ServedStep::CheckForReservation(api.reservation(&name));
            }
            ServedStep::CheckForReservation(found) => {
                let address: IpAddr = self.entry.at.address;
                match reservation_change(&self.entry.desired, address, found.as_ref()) {
                    Ok(None) => return self.reserved(),
                    Err(taken) => return Some(Written::Taken(taken)),
                    Ok(Some(_)) if self.is_outdated(api) => return Some(Written::GivenUp),
                    Ok(Some(_)) => self.next = ServedStep::WriteReservation(found),
                }
            }
            ServedStep::WriteReservation(found) => {
                if self.change_reservation(&name.unwrap_or_default(), found.as_ref(), api) {
                    return self.reserved();
                }
                return self.again(ServedStep::ReadReservation);
            }
        }
        None
    }

    /// Goes on after the reservation.
    fn reserved(&mut self) -> Option<Written> {
        if self.entry.desired.is_left_to_pod() && self.entry.at.pool.is_some() {
            self.next = ServedStep::ReadPool;
            return None;
        }
        Some(Written::Done)
    }

    fn again(&mut self, next: ServedStep) -> Option<Written> {
        self.attempts += 1;
        self.next = next;
        (self.attempts == MAX_ATTEMPTS).then_some(Written::GivenUp)
    }

    fn is_outdated(&self, api: &ApiServer) -> bool {
        self.rests_on.iter().any(|guard| {
            let found = api.records.get(&guard.record);
            found.map(|stored| stored.version) != guard.version
        })
    }

    /// Returns true if the reservation is as it has to be, and false if it has to be read again.
    fn change_reservation(
        &self,
        name: &str,
        found: Option<&OverlappingReservation>,
        api: &mut ApiServer,
    ) -> bool {
        let change = reservation_change(&self.entry.desired, self.entry.at.address, found);
        let Ok(Some(change)) = change else {
            return true;
        };
        let patch = |api: &mut ApiServer, patch| api.patch(Kind::Reservation, name, &patch).is_ok();
        let create = |api: &mut ApiServer, change: &ReservationChange| {
            let object = change.object(HOME, name);
            object.is_none_or(|object| api.create(Kind::Reservation, name, object).is_ok())
        };
        match (&change, found) {
            (ReservationChange::Create { .. }, _) => create(api, &change),
            (ReservationChange::Assign { pod, interface }, Some(found)) => {
                patch(api, found.assign_patch(pod.as_ref(), interface))
            }
            (ReservationChange::GiveBack { pod, interface }, Some(found)) => {
                patch(api, found.give_back_patch(pod, interface))
                    && (!found.terminating || create(api, &change))
            }
            (ReservationChange::Delete, Some(found)) if found.terminating => {
                patch(api, found.return_patch())
            }
            (ReservationChange::Delete, Some(found)) => {
                let version = found.version.as_deref();
                let _ = api.delete(Kind::Reservation, name, version);
                false
            }
            (_, None) => false,
        }
    }
}
