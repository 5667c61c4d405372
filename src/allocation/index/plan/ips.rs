//! Choice of IP addresses: requested ones, retained ones, then the lowest free one.

use std::{net::IpAddr, sync::Arc};

use super::{AttachmentRequest, PlanBuilder, slices::SliceScope};
use crate::allocation::{
    Address, Family, Pool,
    error::{AllocationError, Exhausted},
    index::{Index, pools::PoolSlot},
};

impl Index {
    pub(super) fn choose_ips(
        &mut self,
        ask: &AttachmentRequest,
        pool: &Arc<Pool>,
        reach: Option<&SliceScope<'_>>,
        held: &[Address],
        draft: &mut PlanBuilder<'_>,
    ) -> Result<Vec<IpAddr>, AllocationError> {
        let mut chosen = Vec::new();
        for &address in &ask.ips {
            let range = pool
                .range_of(address)
                .ok_or_else(|| AllocationError::OutsidePool {
                    address,
                    pool: Arc::clone(&pool.name),
                    ranges: pool.ranges.iter().map(|range| range.subnet).collect(),
                })?;
            match reach {
                None => self.take_named(ask, pool, range, address, held, draft)?,
                // An address that was assigned on this node stays valid.
                Some(reach)
                    if held.contains(&Address::Ip(address))
                        && self.was_given_on(reach, address) =>
                {
                    self.keep(address.into(), ask, pool, draft)?;
                }
                Some(reach) => {
                    self.take_named(ask, pool, range, address, held, draft)?;
                    self.stay_in_reach(reach, range, address, draft)?;
                }
            }
            chosen.push(address);
        }
        for range in 0..pool.ranges.len() {
            if ask.ips.iter().any(|ip| pool.range_of(*ip) == Some(range)) {
                continue;
            }
            let of_range =
                |address: &Address| address.ip().filter(|ip| pool.range_of(*ip) == Some(range));
            let kept: Vec<IpAddr> = held.iter().filter_map(of_range).collect();
            if let Some(reach) = reach {
                chosen.extend(self.choose_of_slices(reach, range, &kept, draft)?);
                continue;
            }
            if kept.is_empty() {
                chosen.push(self.take_any(ask, pool, range, draft)?);
            }
            for ip in kept {
                self.keep(Address::Ip(ip), ask, pool, draft)?;
                chosen.push(ip);
            }
        }
        Ok(chosen)
    }

    /// Allocates an address that the attachment requests.
    fn take_named(
        &mut self,
        ask: &AttachmentRequest,
        pool: &Arc<Pool>,
        range: usize,
        address: IpAddr,
        held: &[Address],
        draft: &mut PlanBuilder<'_>,
    ) -> Result<(), AllocationError> {
        if held.contains(&Address::Ip(address)) {
            return self.keep(Address::Ip(address), ask, pool, draft);
        }
        let asked = |ip: &IpAddr| ask.ips.contains(ip);
        let other = held
            .iter()
            .filter_map(|held| held.ip())
            .find(|ip| pool.range_of(*ip) == Some(range) && !asked(ip));
        if let Some(has) = other {
            return Err(AllocationError::HoldsAnother {
                holder: Box::new(draft.asker.holder.clone()),
                held: has.into(),
                requested: address.into(),
            });
        }
        if let Some(reason) = pool.ranges.get(range).and_then(|r| r.exclusion(address)) {
            return Err(AllocationError::Excluded {
                address,
                pool: Arc::clone(&pool.name),
                reason,
            });
        }
        self.take(address.into(), ask, pool, draft)
    }

    /// Allocates the address reserved for the requester in this range, otherwise the lowest free one.
    fn take_any(
        &mut self,
        ask: &AttachmentRequest,
        pool: &Arc<Pool>,
        range: usize,
        draft: &mut PlanBuilder<'_>,
    ) -> Result<IpAddr, AllocationError> {
        if let Some(reserved) = self.reserved_ip(ask, pool, range, draft.asker) {
            self.take(reserved.into(), ask, pool, draft)?;
            return Ok(reserved);
        }
        let slot = PoolSlot::Range(range);
        let address = self.lowest(pool, slot)?;
        let ip = address
            .ip()
            .ok_or(AllocationError::Internal("a range gave no IP address"))?;
        self.take(address, ask, pool, draft)?;
        Ok(ip)
    }

    pub(super) fn lowest(&self, pool: &Pool, slot: PoolSlot) -> Result<Address, AllocationError> {
        let bug = AllocationError::Internal("a pool of the layout is not in the index");
        let state = self.pools.get(&pool.name).ok_or(bug)?;
        let range = match slot {
            PoolSlot::Range(index) => pool.ranges.get(index).map(|range| range.subnet),
            PoolSlot::Macs => None,
        };
        let family = match range {
            Some(range) => Address::Ip(range.address).family(),
            None => Family::Mac,
        };
        let free = state.free(slot);
        let window = range.map(|range| range.range());
        let beginning = window.and_then(|window| {
            let [first, last] = [window.first(), window.last()].map(|ip| Address::Ip(ip).number());
            Some((self.beginning(first, last)?, last))
        });
        let lowest = free.and_then(|free| {
            let behind = beginning.and_then(|(from, to)| free.lowest_within(from, to));
            behind.or_else(|| free.lowest())
        });
        lowest.map(|number| family.address(number)).ok_or_else(|| {
            AllocationError::Exhausted(Box::new(Exhausted {
                pool: Arc::clone(&pool.name),
                range,
                capacity: free.map_or(0, |free| free.capacity()),
                largest: state.largest(slot),
            }))
        })
    }
}
