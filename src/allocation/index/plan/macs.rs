//! Choice of a MAC: the recorded one, the requested one, the one derived from the address, or a free
//! one of the pool.

use std::sync::Arc;

use super::{Assignment, AttachmentRequest, MacRequest, PlanBuilder};
use crate::{
    allocation::{
        Address, Allocation, Family, Pool, Space,
        error::AllocationError,
        index::{Index, pools::PoolSlot},
    },
    network::mac::Mac,
};

impl Index {
    /// Chooses the MAC: the recorded, requested or derived one, or a free one of the pool.
    pub(super) fn choose_mac(
        &mut self,
        ask: &AttachmentRequest,
        pool: &Arc<Pool>,
        held: &[Address],
        given: &Assignment,
        draft: &mut PlanBuilder<'_>,
    ) -> Result<Option<Mac>, AllocationError> {
        let own = match ask.mac {
            MacRequest::Exact(mac) if held.contains(&mac.into()) => Some(mac),
            _ => self.last_mac(held, pool, draft),
        };
        match ask.mac {
            MacRequest::None => Ok(None),
            MacRequest::Exact(mac) => self
                .take_named_mac(mac, own, given, ask, pool, draft)
                .map(Some),
            MacRequest::Auto => {
                if let Some(mac) = own {
                    self.keep(mac.into(), ask, pool, draft)?;
                    return Ok(Some(mac));
                }
                let with = self.recorded_with(given, pool);
                if let Some((mac, parts)) = with
                    && !parts
                {
                    return Ok(Some(mac));
                }
                if with.is_none() && pool.macs.is_none() {
                    return Ok(None);
                }
                self.take_any_mac(with.map(|(mac, _)| mac), ask, pool, draft)
                    .map(Some)
            }
        }
    }

    /// Returns the MAC last assigned to this pod, otherwise to its holder. There can be two for some
    /// time if two replicas handled requests concurrently.
    fn last_mac(&self, held: &[Address], pool: &Pool, draft: &PlanBuilder<'_>) -> Option<Mac> {
        let uid = draft.pod.as_ref().and_then(|pod| pod.uid.as_ref());
        let given = |mac: Mac| {
            let record = self.holder_of(&pool.space, mac.into())?;
            let by = record.pod.as_ref().and_then(|pod| pod.uid.as_ref());
            Some((by.is_some() && by == uid, record.since))
        };
        let macs = held.iter().filter_map(|address| match address {
            Address::Mac(mac) => Some(*mac),
            Address::Ip(_) => None,
        });
        macs.max_by_key(|mac| (given(*mac), std::cmp::Reverse(*mac)))
    }

    /// Allocates a MAC with a record of its own: the one recorded with the holder's address so far, a
    /// reserved one, or the lowest free one.
    fn take_any_mac(
        &mut self,
        known: Option<Mac>,
        ask: &AttachmentRequest,
        pool: &Arc<Pool>,
        draft: &mut PlanBuilder<'_>,
    ) -> Result<Mac, AllocationError> {
        let known = known.filter(|mac| self.entry(&pool.space, Address::Mac(*mac)).is_none());
        let address = match known.or_else(|| self.reserved_mac(ask, pool, draft.asker)) {
            Some(mac) => Address::Mac(mac),
            None => self.lowest(pool, PoolSlot::Macs)?,
        };
        self.take(address, ask, pool, draft)?;
        match address {
            Address::Mac(mac) => Ok(mac),
            Address::Ip(_) => Err(AllocationError::Internal(
                "a run of MACs gave an IP address",
            )),
        }
    }

    /// Returns the MAC recorded with one of the addresses, and whether it must be detached from it.
    fn recorded_with(&self, given: &Assignment, pool: &Pool) -> Option<(Mac, bool)> {
        let mut ips = given.ips.iter();
        ips.find_map(|(ip, _)| {
            let record = self.holder_of(&pool.space, (*ip).into())?;
            Some((record.mac?, pool.detaches_mac_of(record)))
        })
    }

    /// Returns the derived MAC to record with an address, if one is requested. Returns `None` if the
    /// holder has or will have a MAC with a record of its own, or if another holder has the derived
    /// one.
    pub(super) fn mac_beside(
        &self,
        record: &Allocation,
        ask: &AttachmentRequest,
        pool: &Pool,
    ) -> Option<Mac> {
        let mac = pool.derived_mac(record.address.ip()?)?;
        let wanted = match ask.mac {
            MacRequest::None => false,
            MacRequest::Auto => true,
            MacRequest::Exact(wanted) => wanted == mac,
        };
        let held = self.addresses_of(&record.holder, &record.network, &record.interface);
        let by_itself = |(space, address): &(Space, Address)| {
            *space == pool.space && address.family() == Family::Mac
        };
        let others = || {
            let holder = self.holder_of_mac(&pool.space, mac);
            holder.is_some_and(|holder| holder.address != record.address)
        };
        let follows =
            wanted && !pool.detaches_mac_of(record) && !held.iter().any(by_itself) && !others();
        follows.then_some(mac)
    }

    fn take_named_mac(
        &mut self,
        mac: Mac,
        own: Option<Mac>,
        given: &Assignment,
        ask: &AttachmentRequest,
        pool: &Arc<Pool>,
        draft: &mut PlanBuilder<'_>,
    ) -> Result<Mac, AllocationError> {
        if own == Some(mac) {
            self.keep(mac.into(), ask, pool, draft)?;
            return Ok(mac);
        }
        let with = self.recorded_with(given, pool);
        let with = with.filter(|(with, _)| *with == mac);
        if let Some((_, false)) = with {
            return Ok(mac);
        }
        if let Some(has) = own {
            return Err(AllocationError::HoldsAnother {
                holder: Box::new(draft.asker.holder.clone()),
                held: has.into(),
                requested: mac.into(),
            });
        }
        if let Some(holder) = self.holder_of_mac(&pool.space, mac)
            && holder.address != Address::Mac(mac)
            && with.is_none()
        {
            return Err(AllocationError::InUse {
                address: mac.into(),
                holder: Box::new(holder.holder.clone()),
            });
        }
        let follows = |pool: &&Arc<Pool>| pool.macs.as_ref().is_some_and(|m| m.is_derived(mac));
        // A MAC derived from one of the pod's own addresses may get its own record, to outlive the
        // address.
        let mut ips = given.ips.iter();
        let comes_along = ips.any(|(ip, _)| pool.derived_mac(*ip) == Some(mac));
        if !comes_along && let Some(pool) = self.layout.pools.values().find(follows) {
            return Err(AllocationError::DerivedMac {
                mac: mac.into(),
                pool: Arc::clone(&pool.name),
            });
        }
        self.take(mac.into(), ask, pool, draft)?;
        Ok(mac)
    }
}
