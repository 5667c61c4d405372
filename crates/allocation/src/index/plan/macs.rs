//! Choice of a MAC: the recorded one, the requested one, the one derived from the address, or a free
//! one of the pool.

use std::sync::Arc;

use super::{Assignment, AttachmentRequest, MacRequest, PlanBuilder};
use crate::{
    Address, Allocation, Family, Pool, Space,
    error::AllocationError,
    index::{Index, pools::PoolSlot},
};
use nadmit_cni::mac::Mac;

impl Index {
    /// Chooses the MAC: the recorded, requested or derived one, or a free one of the pool.
    pub(super) fn choose_mac(
        &mut self,
        request: &AttachmentRequest,
        pool: &Arc<Pool>,
        held: &[Address],
        assignment: &Assignment,
        builder: &mut PlanBuilder<'_>,
    ) -> Result<Option<Mac>, AllocationError> {
        let own = match request.mac {
            MacRequest::Exact(mac) if held.contains(&mac.into()) => Some(mac),
            _ => self.latest_mac(held, pool, builder),
        };
        match request.mac {
            MacRequest::None => Ok(None),
            MacRequest::Exact(mac) => self
                .allocate_named_mac(mac, own, assignment, request, pool, builder)
                .map(Some),
            MacRequest::Auto => {
                if let Some(mac) = own {
                    self.renew(mac.into(), request, pool, builder)?;
                    return Ok(Some(mac));
                }
                let recorded = self.mac_recorded_with(assignment, pool);
                if let Some((mac, detaches)) = recorded
                    && !detaches
                {
                    return Ok(Some(mac));
                }
                if recorded.is_none() && pool.macs.is_none() {
                    return Ok(None);
                }
                self.allocate_any_mac(recorded.map(|(mac, _)| mac), request, pool, builder)
                    .map(Some)
            }
        }
    }

    /// Returns the MAC last assigned to this pod, otherwise to its holder. There can be two for some
    /// time if two replicas handled requests concurrently.
    fn latest_mac(&self, held: &[Address], pool: &Pool, builder: &PlanBuilder<'_>) -> Option<Mac> {
        let uid = builder.pod.as_ref().and_then(|pod| pod.uid.as_ref());
        let recency = |mac: Mac| {
            let record = self.holder_of(&pool.space, mac.into())?;
            let by = record.pod.as_ref().and_then(|pod| pod.uid.as_ref());
            Some((by.is_some() && by == uid, record.since))
        };
        let macs = held.iter().filter_map(|address| match address {
            Address::Mac(mac) => Some(*mac),
            Address::Ip(_) => None,
        });
        macs.max_by_key(|mac| (recency(*mac), std::cmp::Reverse(*mac)))
    }

    /// Allocates a MAC with a record of its own: the one recorded with the holder's address so far, a
    /// reserved one, or the lowest free one.
    fn allocate_any_mac(
        &mut self,
        known: Option<Mac>,
        request: &AttachmentRequest,
        pool: &Arc<Pool>,
        builder: &mut PlanBuilder<'_>,
    ) -> Result<Mac, AllocationError> {
        let known = known.filter(|mac| self.entry(&pool.space, Address::Mac(*mac)).is_none());
        let address = match known.or_else(|| self.reserved_mac(request, pool, builder.requester)) {
            Some(mac) => Address::Mac(mac),
            None => self.lowest_free(pool, PoolSlot::Macs)?,
        };
        self.allocate(address, request, pool, builder)?;
        match address {
            Address::Mac(mac) => Ok(mac),
            Address::Ip(_) => Err(AllocationError::Internal(
                "a run of MACs gave an IP address",
            )),
        }
    }

    /// Returns the MAC recorded with one of the addresses, and whether it must be detached from it.
    fn mac_recorded_with(&self, assignment: &Assignment, pool: &Pool) -> Option<(Mac, bool)> {
        let mut ips = assignment.ips.iter();
        ips.find_map(|(ip, _)| {
            let record = self.holder_of(&pool.space, (*ip).into())?;
            Some((record.mac?, pool.detaches_mac_of(record)))
        })
    }

    /// Returns the derived MAC to record with an address, if one is requested. Returns `None` if the
    /// holder has or will have a MAC with a record of its own, or if another holder has the derived
    /// one.
    pub(super) fn derived_mac_for(
        &self,
        record: &Allocation,
        request: &AttachmentRequest,
        pool: &Pool,
    ) -> Option<Mac> {
        let mac = pool.derived_mac(record.address.ip()?)?;
        let desired = match request.mac {
            MacRequest::None => false,
            MacRequest::Auto => true,
            MacRequest::Exact(desired) => desired == mac,
        };
        let held = self.addresses_of(&record.holder, &record.network, &record.interface);
        let separate_mac = |(space, address): &(Space, Address)| {
            *space == pool.space && address.family() == Family::Mac
        };
        let others = || {
            let holder = self.holder_of_mac(&pool.space, mac);
            holder.is_some_and(|holder| holder.address != record.address)
        };
        let records_derived =
            desired && !pool.detaches_mac_of(record) && !held.iter().any(separate_mac) && !others();
        records_derived.then_some(mac)
    }

    fn allocate_named_mac(
        &mut self,
        mac: Mac,
        own: Option<Mac>,
        assignment: &Assignment,
        request: &AttachmentRequest,
        pool: &Arc<Pool>,
        builder: &mut PlanBuilder<'_>,
    ) -> Result<Mac, AllocationError> {
        if own == Some(mac) {
            self.renew(mac.into(), request, pool, builder)?;
            return Ok(mac);
        }
        let recorded = self.mac_recorded_with(assignment, pool);
        let recorded = recorded.filter(|(recorded, _)| *recorded == mac);
        if let Some((_, false)) = recorded {
            return Ok(mac);
        }
        if let Some(held) = own {
            return Err(AllocationError::HoldsAnother {
                holder: Box::new(builder.requester.holder.clone()),
                held: held.into(),
                requested: mac.into(),
            });
        }
        if let Some(holder) = self.holder_of_mac(&pool.space, mac)
            && holder.address != Address::Mac(mac)
            && recorded.is_none()
        {
            return Err(AllocationError::InUse {
                address: mac.into(),
                holder: Box::new(holder.holder.clone()),
            });
        }
        let is_derived = |pool: &&Arc<Pool>| pool.macs.as_ref().is_some_and(|m| m.is_derived(mac));
        // A MAC derived from one of the pod's own addresses may get its own record, to outlive the
        // address.
        let mut ips = assignment.ips.iter();
        let from_own_address = ips.any(|(ip, _)| pool.derived_mac(*ip) == Some(mac));
        if !from_own_address && let Some(pool) = self.pool_config.pools.values().find(is_derived) {
            return Err(AllocationError::DerivedMac {
                mac: mac.into(),
                pool: Arc::clone(&pool.name),
            });
        }
        self.allocate(mac.into(), request, pool, builder)?;
        Ok(mac)
    }
}
