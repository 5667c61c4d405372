//! Reservations in plans.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use super::{AttachmentRequest, Requester};
use crate::{
    Address, DesignatedHolder, NetworkRef, Pool, Reservation, error::AllocationError, index::Index,
};
use nadmit_cni::mac::Mac;

impl Index {
    /// Returns the reservation of an address, if any.
    ///
    /// # Errors
    /// [`AllocationError::Reserved`] if it is for another holder.
    pub(super) fn reservation_of(
        &self,
        address: Address,
        request: &AttachmentRequest,
        pool: &Pool,
        requester: &Requester,
    ) -> Result<Option<NetworkRef>, AllocationError> {
        let state = self.spaces.get(&pool.space);
        let index = state.and_then(|state| state.reserved.get(&address));
        let Some((reservation, _)) = index.and_then(|at| self.pool_config.reservations.get(*at))
        else {
            return Ok(None);
        };
        if reservation.is_for(
            &requester.holder,
            requester.pod.as_ref(),
            &request.network,
            &request.interface,
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
        request: &'s AttachmentRequest,
        pool: &'s Pool,
        requester: &'s Requester,
    ) -> impl Iterator<Item = &'s Reservation> {
        let holders = DesignatedHolder::of_holder(&requester.holder, requester.pod.as_ref());
        let namespace = requester.holder.namespace();
        let indexes = holders.into_iter().flat_map(|holder| {
            let key = (Arc::clone(namespace), holder);
            self.reservations.get(&key).into_iter().flatten().copied()
        });
        let indexes: BTreeSet<usize> = indexes.collect();
        let reservations = indexes.into_iter();
        let of_pool = reservations
            .filter_map(|index| self.pool_config.reservations.get(index))
            .filter(|(_, served_by)| served_by.as_deref() == Some(&*pool.name));
        of_pool
            .map(|(reservation, _)| &**reservation)
            .filter(|reservation| {
                reservation.is_for(
                    &requester.holder,
                    requester.pod.as_ref(),
                    &request.network,
                    &request.interface,
                )
            })
    }

    pub(super) fn reserved_ip(
        &self,
        request: &AttachmentRequest,
        pool: &Pool,
        range: usize,
        requester: &Requester,
    ) -> Option<IpAddr> {
        let reserved = &self.spaces.get(&pool.space)?.reserved;
        self.reservations_for(request, pool, requester)
            .flat_map(|reservation| reservation.ips.iter().copied())
            .find(|ip| {
                let address = Address::Ip(*ip);
                pool.range_of(*ip) == Some(range)
                    && reserved.contains_key(&address)
                    && !self.is_used_elsewhere(address, request, pool, requester)
            })
    }

    pub(super) fn reserved_mac(
        &self,
        request: &AttachmentRequest,
        pool: &Pool,
        requester: &Requester,
    ) -> Option<Mac> {
        let reserved = &self.spaces.get(&pool.space)?.reserved;
        self.reservations_for(request, pool, requester)
            .filter_map(|reservation| reservation.mac)
            .find(|mac| {
                let address = Address::Mac(*mac);
                reserved.contains_key(&address)
                    && !self.is_used_elsewhere(address, request, pool, requester)
            })
    }

    /// Returns true if the requester uses the address on another interface: a reservation without an
    /// interface applies to one of them, and the others get free addresses.
    fn is_used_elsewhere(
        &self,
        address: Address,
        request: &AttachmentRequest,
        pool: &Pool,
        requester: &Requester,
    ) -> bool {
        let state = self.spaces.get(&pool.space);
        let carrier = state.map_or(address, |state| state.recorded_address(address));
        let record = self.holder_of(&pool.space, carrier);
        record.is_some_and(|record| {
            let other = record.network != request.network || record.interface != request.interface;
            other && record.holder == requester.holder
        })
    }
}
