//! Reservations in plans.

use std::net::IpAddr;

use super::{AttachmentRequest, Requester};
use crate::{
    allocation::{Address, NetworkRef, Pool, Reservation, error::AllocationError, index::Index},
    network::mac::Mac,
};

impl Index {
    /// Returns the reservation of an address, if any.
    ///
    /// # Errors
    /// [`AllocationError::Reserved`] if it is for another holder.
    pub(super) fn reservation_of(
        &self,
        address: Address,
        ask: &AttachmentRequest,
        pool: &Pool,
        asker: &Requester,
    ) -> Result<Option<NetworkRef>, AllocationError> {
        let state = self.spaces.get(&pool.space);
        let index = state.and_then(|state| state.reserved.get(&address));
        let Some((reservation, _)) = index.and_then(|at| self.layout.reservations.get(*at)) else {
            return Ok(None);
        };
        if reservation.is_for(
            &asker.holder,
            asker.pod.as_ref(),
            &ask.network,
            &ask.interface,
        ) {
            return Ok(Some(reservation.key()));
        }
        Err(AllocationError::Reserved {
            address,
            holder: reservation.holder.clone(),
            reservation: reservation.key(),
        })
    }

    /// Returns the reservations for the requester on this interface.
    fn reservations_for<'s>(
        &'s self,
        ask: &'s AttachmentRequest,
        pool: &'s Pool,
        asker: &'s Requester,
    ) -> impl Iterator<Item = &'s Reservation> {
        let of_pool = self
            .layout
            .reservations
            .iter()
            .filter(|(_, served_by)| served_by.as_deref() == Some(&*pool.name));
        of_pool
            .map(|(reservation, _)| &**reservation)
            .filter(|reservation| {
                reservation.is_for(
                    &asker.holder,
                    asker.pod.as_ref(),
                    &ask.network,
                    &ask.interface,
                )
            })
    }

    pub(super) fn reserved_ip(
        &self,
        ask: &AttachmentRequest,
        pool: &Pool,
        range: usize,
        asker: &Requester,
    ) -> Option<IpAddr> {
        let reserved = &self.spaces.get(&pool.space)?.reserved;
        self.reservations_for(ask, pool, asker)
            .flat_map(|reservation| reservation.ips.iter().copied())
            .find(|ip| {
                let address = Address::Ip(*ip);
                pool.range_of(*ip) == Some(range)
                    && reserved.contains_key(&address)
                    && !self.is_spent(address, ask, pool, asker)
            })
    }

    pub(super) fn reserved_mac(
        &self,
        ask: &AttachmentRequest,
        pool: &Pool,
        asker: &Requester,
    ) -> Option<Mac> {
        let reserved = &self.spaces.get(&pool.space)?.reserved;
        self.reservations_for(ask, pool, asker)
            .filter_map(|reservation| reservation.mac)
            .find(|mac| {
                let address = Address::Mac(*mac);
                reserved.contains_key(&address) && !self.is_spent(address, ask, pool, asker)
            })
    }

    /// Returns true if the requester uses the address on another interface: a reservation without an
    /// interface applies to one of them, and the others get free addresses.
    fn is_spent(
        &self,
        address: Address,
        ask: &AttachmentRequest,
        pool: &Pool,
        asker: &Requester,
    ) -> bool {
        let state = self.spaces.get(&pool.space);
        let carrier = state.map_or(address, |state| state.recorded_address(address));
        let record = self.holder_of(&pool.space, carrier);
        record.is_some_and(|record| {
            let other = record.network != ask.network || record.interface != ask.interface;
            other && record.holder == asker.holder
        })
    }
}
